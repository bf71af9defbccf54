"""The references of the registry: what it holds, what it assumes, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docgen.tables import DO_NOT_EDIT, plain, table

ENTRIES_HEAD = """# What the registry holds

`mlsysim zoo KIND NAME` prints an entry with the source, the kind and the date of every value.
"""
DEFAULTS_HEAD = """# Defaults

What the engine assumes where a plan is silent (`registry/defaults.yaml`). Each that a result rests on is
among its assumptions, and each has its source: see [sources](sources.md).
"""
SOURCES_HEAD = """# Sources

Every record of `registry/sources.yaml`: where the numbers and equations come from.
"""
KINDS = ("hardware", "models", "infra", "systems")
TITLES = {
    "hardware": "Accelerators",
    "models": "Models",
    "infra": "Regions and grids",
    "systems": "Servers, fabrics, storage, reliability, scenarios",
}


def entries_page() -> str:
    """Return the page of all names."""
    parts = [DO_NOT_EDIT + ENTRIES_HEAD]
    for kind in KINDS:
        catalog = _catalog(kind)
        rows = [(group, ", ".join(f"`{n}`" for n in catalog.names(group))) for group in catalog.groups()]
        parts.append(f"## {TITLES[kind]}\n\n`mlsysim zoo {kind}`: {len(catalog)} entries.\n")
        parts.append(table(("group", "names"), rows))
    return "\n".join(parts)


def _catalog(kind: str) -> Any:
    from importlib import import_module

    return import_module(f"mlsysim.{kind}").CATALOG


def defaults_page() -> str:
    """Return the page of the defaults."""
    from mlsysim.core.registry import table as registry_table

    rows = [
        (f"`{name}`", _value(r), f"[{r['source']}](sources.md#{r['source']})", r["kind"], plain(_why(r)))
        for name, r in registry_table("defaults.yaml").items()
    ]
    return DO_NOT_EDIT + DEFAULTS_HEAD + "\n" + table(("name", "value", "source", "kind", "remark"), rows)


def _value(record: dict[str, Any]) -> str:
    unit = record.get("unit", "1")
    return f"{record['value']:,}" + ("" if unit == "1" else f" {unit}")


def _why(record: dict[str, Any]) -> str:
    return str(record.get("why") or record.get("note") or "")


def sources_page() -> str:
    """Return the page of the sources."""
    return DO_NOT_EDIT + SOURCES_HEAD + "\n" + "\n".join(_sources()) + "\n"


def _sources() -> Iterator[str]:
    from mlsysim.core.registry import sources

    for name, record in sorted(sources().items()):
        title = plain(str(record["title"]))
        url = str(record.get("url") or "")
        if "doi" in record:
            url = f"https://doi.org/{record['doi']}"
        linked = f"[{title}](<{url}>)" if "://" in url else f"{title}, `{url}`" if url else title
        note = f". {plain(str(record['note']))}" if "note" in record else ""
        said = f"{plain(str(record['authors']))} ({record['year']}), {linked}{note}"
        yield f'- <a id="{name}"></a>`{name}`: {said}'
