"""What the registry holds, as lists and as single entries with their sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mlsysim.core import text, units
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry
from mlsysim.core.registry import Catalog, sources

KINDS = {
    "hardware": "mlsysim.hardware",
    "models": "mlsysim.models",
    "infra": "mlsysim.infra",
    "systems": "mlsysim.systems",
}

Json = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a listing: title, unit in which it is shown, and its value's dotted name."""

    title: str
    unit: str
    path: str

    def value(self, entry: Entry) -> float | None:
        """Return the column's value of an entry in the column's unit."""
        found = at(entry, self.path)
        return None if found is None else units.from_base(found.base, self.unit)


COLUMNS: dict[str, tuple[Column, ...]] = {
    "hardware": (
        Column("bf16", "TFLOP/s", "peak.bf16"),
        Column("int8", "TFLOP/s", "peak.int8"),
        Column("memory", "GiB", "memory.capacity"),
        Column("bandwidth", "GB/s", "memory.bandwidth"),
        Column("power", "W", "power.tdp"),
        Column("price", "USD", "price.purchase"),
    ),
    "models": (
        Column("parameters", "param", "parameters"),
        Column("layers", "1", "architecture.layers"),
        Column("hidden", "1", "architecture.hidden"),
        Column("experts", "1", "architecture.experts"),
        Column("FLOP/sample", "FLOP", "flops_per_sample"),
    ),
    "infra": (
        Column("carbon", "gCO2e/kWh", "carbon_intensity"),
        Column("price", "USD/kWh", "price"),
        Column("PUE", "1", "pue"),
        Column("WUE", "L/kWh", "wue"),
    ),
    "systems": (
        Column("accelerators", "1", "accelerators"),
        Column("domain", "1", "scale_up_domain"),
        Column("bandwidth", "GB/s", "bandwidth"),
        Column("power", "kW", "power"),
    ),
}


def at(entry: Any, path: str) -> Value | None:
    """Return the value at a dotted name; None where any part of it is absent."""
    for name in path.split("."):
        entry = getattr(entry, name, None)
        if entry is None:
            return None
    return entry if isinstance(entry, Value) else None


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from mlsysim.core.markdown import table

    return table(header, rows)


@dataclass(frozen=True)
class View:
    """Something to show, in each of the three forms."""

    to_dict: Callable[[], Json]
    text: Callable[[], str]
    markdown: Callable[[], str]
    exit_code: int = 0


def catalog(kind: str) -> Catalog[Any]:
    """Return the catalog of a kind.

    Raises:
        UnknownNameError: naming the kinds that there are.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, [*KINDS, "walls", "check"], "mlsysim zoo --help")
    found: Catalog[Any] = import_module(KINDS[kind]).CATALOG
    return found


def view(kind: str, name: str | None = None, wanted: str = "", sort: str = "") -> View:
    """Return a listing of a kind, or one of its entries in full.

    Args:
        kind: ``hardware``, ``models``, ``infra``, ``systems`` or ``walls``.
        name: an entry; all of them if absent.
        wanted: text that name, group or title must contain.
        sort: a column title; a leading ``-`` reverses.
    """
    if kind == "walls":
        return _walls(name)
    source = catalog(kind)
    if name is not None:
        return _entry(kind, source.get(name))
    return _listing(kind, source, wanted.lower(), sort)


def _listing(kind: str, source: Catalog[Any], wanted: str, sort: str) -> View:
    entries = [e for e in source if wanted in f"{e.name} {e.group} {e.title}".lower()]
    columns = COLUMNS[kind]
    if sort:
        reverse, title = sort.startswith("-"), sort.lstrip("-")
        by_title = {c.title.lower(): c for c in columns}
        if title.lower() == "name":
            entries.sort(key=lambda e: e.name.lower(), reverse=reverse)
        elif title.lower() in by_title:
            column = by_title[title.lower()]
            known = [(value, e) for e in entries if (value := column.value(e)) is not None]
            known.sort(key=lambda pair: pair[0], reverse=reverse)
            entries = [e for _, e in known] + [e for e in entries if column.value(e) is None]
        else:
            raise unknown("column", title, ["name", *(c.title for c in columns)])
    shown = [c for c in columns if any(c.value(e) is not None for e in entries)]

    def document() -> Json:
        return {
            "schema_version": "1.0",
            "kind": kind,
            "count": len(entries),
            "entries": [
                {"name": e.name, "group": e.group, "title": e.title} | {c.path: c.value(e) for c in columns}
                for e in entries
            ],
            "units": {c.path: c.unit for c in columns},
        }

    header = ["name", "group", *(_head(c) for c in shown)]
    rows = [[e.name, e.group, *(_cell(c, e) for c in shown)] for e in entries]
    foot = f"{len(entries)} {kind}; one in full: mlsysim zoo {kind} NAME"

    def as_text() -> str:
        return "\n".join([*_fitting(header, rows), "", foot]) if rows else f"nothing matches; {foot}"

    return View(document, as_text, lambda: _markdown(header, rows))


def _fitting(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the table in at most 80 columns, leaving out last columns rather than digits."""
    while True:
        lines = text.table(header, rows, right=tuple(range(2, len(header))))
        if max(map(len, lines)) <= text.WIDTH or len(header) <= 2:
            return lines
        header, rows = header[:-1], [r[:-1] for r in rows]


def _head(c: Column) -> str:
    return c.title if c.unit in ("1", "param", "FLOP") else f"{c.title} {c.unit}"


def _cell(c: Column, e: Entry) -> str:
    value = c.value(e)
    if value is None:
        return "-"
    if c.unit in ("param", "FLOP"):
        for step, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= step:
                return f"{text.number(value / step)} {prefix}"
    return text.number(value)


def _entry(kind: str, e: Entry) -> View:
    values = e.values()

    def document() -> Json:
        cited = {v.source: sources().get(v.source, {}) for v in values.values()}
        return {
            "schema_version": "1.0",
            "kind": kind,
            "name": e.name,
            "group": e.group,
            "title": e.title,
            "fields": _plain_fields(e),
            "values": {
                n: {"value": v.value, "unit": v.unit, "source": v.source, "kind": v.kind, "as_of": v.as_of}
                | ({"inputs": list(v.inputs)} if v.inputs else {})
                | {k: x for k, x in (("why", v.why), ("note", v.note), ("method", v.method)) if x}
                for n, v in values.items()
            },
            "sources": cited,
        }

    def as_text() -> str:
        rows = [
            [
                n,
                _figure(v),
                "" if v.unit == "1" else v.unit,
                v.kind,
                v.source,
            ]
            for n, v in values.items()
        ]
        lines = text.wrap(f"{e.name}: {e.title}  ({kind}/{e.group})")
        plain = ", ".join(f"{k} {x}" for k, x in _plain_fields(e).items())
        lines += [*text.wrap(plain), ""] if plain else [""]
        sheets = [
            text.table(["field", "value", "unit", "kind", "source"], rows, right=(1,), gap=gap)
            for gap in (2, 1)
        ]
        lines += next((s for s in sheets if max(map(len, s)) <= text.WIDTH), sheets[0])
        notes = [f"{n}: {v.why or v.note}" for n, v in values.items() if v.why or v.note]
        if notes:
            lines += ["", "Notes", *(line for n in notes for line in text.wrap(n, "  "))]
        lines += ["", "Sources"]
        for name in dict.fromkeys(v.source for v in values.values()):
            lines += text.wrap(f"{name}: {citation(name)}", "  ")
        return "\n".join(lines)

    return View(
        document,
        as_text,
        lambda: _markdown(
            ("field", "value", "unit", "kind", "source"),
            [(n, f"{v.value:,g}", v.unit, v.kind, v.source) for n, v in values.items()],
        ),
    )


def _figure(v: Value) -> str:
    """Return a value as its source states it: every digit, thousands apart, years as years."""
    if v.unit == "year":
        return f"{v.value:g}"
    return f"{v.value:,.12g}" if abs(v.value) < 1e15 else f"{v.value:g}"


def _plain_fields(e: Any) -> Json:
    """Return the text and the flags of an entry and of the records below it."""
    found: Json = {}
    for name, value in vars(e).items():
        if name in ("name", "group", "title", "reference") or name.startswith("_"):
            continue
        if (isinstance(value, str) and value) or isinstance(value, bool):
            found[name] = value
        elif hasattr(value, "values") and not isinstance(value, Value | dict):
            found |= {f"{name}.{k}": v for k, v in _plain_fields(value).items()}
    return found


def citation(name: str) -> str:
    """Return a source as one line: authors, year, title, address."""
    record = sources().get(name, {})
    parts = [str(record[k]) for k in ("authors", "year", "title") if record.get(k)]
    where = record.get("doi") or record.get("url")
    return ", ".join(parts) + (f". {where}" if where else "")


def _walls(name: str | None) -> View:
    from mlsysim.walls import WALLS

    chosen = [w for w in WALLS if name is None or name.lower() in (str(w.number), w.name.lower())]
    if not chosen:
        raise unknown("wall", str(name), [w.name for w in WALLS], "mlsysim zoo walls")

    def document() -> Json:
        return {
            "schema_version": "1.0",
            "kind": "walls",
            "count": len(chosen),
            "entries": [
                {
                    "number": w.number,
                    "name": w.name,
                    "domain": w.domain,
                    "equation": w.equation,
                    "modelled": w.modelled,
                    "sources": {s: sources().get(s, {}) for s in w.sources},
                }
                for w in chosen
            ],
        }

    def as_text() -> str:
        lines: list[str] = []
        for w in chosen:
            mark = "" if w.modelled else "  (not modelled yet)"
            lines.append(f"{w.number:>2}  {w.name:<15} {w.domain}{mark}")
            lines += text.wrap(w.equation, "    ")
            if name is not None:
                lines += [line for s in w.sources for line in text.wrap(f"{s}: {citation(s)}", "    ")]
        return "\n".join(lines)

    return View(
        document,
        as_text,
        lambda: _markdown(
            ("#", "wall", "domain", "equation"),
            [(str(w.number), w.name, w.domain, w.equation) for w in chosen],
        ),
    )


def check(folder: str | None) -> View:
    """Return the findings of a check of a registry folder; of the shipped one if absent."""
    from mlsysim.core.check import check as run

    if folder is not None and not Path(folder).is_dir():
        raise InputError("no such folder", where=folder, hint="name a folder of registry entries")
    report = run(Path(folder) if folder else None)
    counts = ", ".join(f"{n} {kind}" for kind, n in report.entries_by_kind.items())

    def as_text() -> str:
        rows = [
            [kind, str(n), f"{n / max(report.values, 1):.1%}"] for kind, n in report.values_by_kind.items()
        ]
        lines = [f"{counts}; {report.sources} sources; {report.values} values"]
        lines += ["", *text.table(["kind of value", "values", "share"], rows, right=(1, 2)), ""]
        lines += [line for f in report.findings for line in text.wrap(f"{f.severity}: {f}")]
        lines.append("all in order" if report.ok else f"{len(report.errors)} errors")
        return "\n".join(lines)

    found = [(f.severity, f.file, f.field, f.problem) for f in report.findings]
    return View(
        lambda: {"schema_version": "1.0", "kind": "check", **report.to_dict()},
        as_text,
        lambda: _markdown(("severity", "file", "field", "problem"), found),
        exit_code=0 if report.ok else 1,
    )
