"""Rows of measurements: read from the registry or from a user's file, and refused where they are wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mlsysim.core import registry, yamlfile
from mlsysim.core.errors import InputError, RegistryError, nearest
from mlsysim.core.validation.fields import KINDS, SECTIONS
from mlsysim.core.yamlfile import Key

FOLDER = "measurements"
MAX_NODES = 1_000_000  # of a file of rows; a plan or an entry is far smaller
MAX_BYTES = 32 << 20
SHARED = ("set", "kind", "source", "cited", "where", "notes")  # at the top of a file, for all its rows
_TABLES = {"models": "model", "machines": "hardware"}
_FILE = (*SHARED, "texts", *_TABLES, "rows")
_ROW = ("id", *SHARED, *SECTIONS, "verified")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._()/+:@-]{0,199}")


@dataclass(frozen=True)
class Row:
    """A measurement, as its source states it.

    Attributes:
        id: unique name.
        set: rows of a set and kind are judged together.
        kind: one of :data:`mlsysim.core.validation.fields.KINDS`.
        source: id in ``sources.yaml``, or any text in a file of the user's own.
        cited: table or section of the source.
        model, hardware, config, measured: see :mod:`mlsysim.core.validation.fields`.
        notes: what a reader of the number needs to know.
        where: what was read.
        verified: whether the values were read there, not recalled.
    """

    id: str
    set: str
    kind: str
    source: str
    cited: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    where: str = ""
    verified: bool = True

    @property
    def chip(self) -> str:
        """The accelerator in the source's words."""
        return str(self.hardware["chip"])


class Problem(NamedTuple):
    """What is wrong at a place of a file of rows; a field that is not known is ``strange``."""

    keys: Key
    text: str
    hint: str = ""
    strange: bool = False


def is_rows(raw: Any) -> bool:
    """Return whether a file of ``registry/measurements`` holds rows."""
    return isinstance(raw, dict) and "rows" in raw


def expanded(raw: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in full: what the file says for all rows, and what it refers to by name."""
    full = {key: raw[key] for key in SHARED if key in raw} | row
    texts = raw.get("texts") or {}
    for key in ("cited", "where", "notes"):
        if isinstance(full.get(key), str):
            full[key] = texts.get(full[key], full[key])
    for table, section in _TABLES.items():
        name = _referred(full.get(section))
        if name:
            item = full[section]
            rest = {k: v for k, v in item.items() if k != "like"} if isinstance(item, dict) else {}
            full[section] = (raw.get(table) or {}).get(name, {}) | rest
    return full


def _referred(item: Any) -> str:
    """Return the name by which a row refers to a model or machine of its file; empty if it stands in full."""
    if isinstance(item, dict):
        item = item.get("like")
    return item if isinstance(item, str) else ""


def problems(raw: Any) -> Iterator[Problem]:
    """Yield everything that is wrong with the content of a file of rows."""
    if not isinstance(raw, dict) or not isinstance(raw.get("rows"), list):
        yield Problem((), "a file of measurements has a list of rows", "start with  rows:")
        return
    for key in raw:
        if key not in _FILE:
            close = nearest(str(key), _FILE)
            yield Problem((key,), f"unknown key {str(key)[:60]!r}", f"Nearest: {', '.join(close)}.")
    for name in ("texts", *_TABLES):
        table = raw.get(name, {})
        inner = str if name == "texts" else dict
        if not isinstance(table, dict) or not all(isinstance(item, inner) for item in table.values()):
            yield Problem((name,), "should be a mapping of names", "")
            return
    if not raw["rows"]:
        yield Problem(("rows",), "there are no rows", "a row has id, set, kind, source and measured")
    seen: dict[str, int] = {}
    for index, row in enumerate(raw["rows"]):
        if not isinstance(row, dict):
            yield Problem(("rows", index), "a row is a mapping", "start with  - id: NAME")
            continue
        name = str(row.get("id"))
        if name in seen:
            yield Problem(("rows", index, "id"), f"{name[:80]!r} is the id of row {seen[name] + 1} already")
        seen.setdefault(name, index)
        yield from _of_row(raw, row, ("rows", index))


def _of_row(raw: dict[str, Any], row: dict[str, Any], at: Key) -> Iterator[Problem]:
    for key in row:
        if key not in _ROW:
            close = nearest(str(key), _ROW)
            yield Problem((*at, key), f"unknown key {str(key)[:60]!r}", f"Nearest: {', '.join(close)}.")
    for table, section in _TABLES.items():
        name = _referred(row.get(section))
        if name and name not in (raw.get(table) or {}):
            yield Problem((*at, section), f"{name[:60]!r} is not in {table}", f"add it under {table}")
            return
    full = expanded(raw, row)
    if not isinstance(full.get("id"), str) or not _ID.fullmatch(full["id"]):
        yield Problem((*at, "id"), "an id is letters, digits and . _ - / ( ), beginning with the first two")
    for key in ("set", "source"):
        if not isinstance(full.get(key), str) or not full[key].strip() or not full[key].isprintable():
            yield Problem(
                (*at, key), f"{key!r} should be a text of one line", "say it in the row, or above for all"
            )
    for key in ("cited", "where", "notes"):
        if not isinstance(full.get(key, ""), str):
            yield Problem((*at, key), "should be a text")
    if full.get("kind") not in KINDS:
        yield Problem((*at, "kind"), f"{str(full.get('kind'))[:40]!r} is no kind of measurement", _KINDS)
    if not isinstance(full.get("verified", True), bool):
        yield Problem((*at, "verified"), "should be true or false")
    for section in SECTIONS:
        yield from _of_section(full.get(section, {}), section, (*at, section))


_SAY = "say it in the row, or above for all"
_KINDS = f"kinds: {', '.join(KINDS)}"


def _of_section(items: Any, section: str, at: Key) -> Iterator[Problem]:
    known = SECTIONS[section]
    if not isinstance(items, dict):
        yield Problem(at, "should be a mapping")
        return
    for key, value in items.items():
        if key not in known:
            close = nearest(str(key), known)
            hint = f"Nearest: {', '.join(close)}." if close else ""
            yield Problem((*at, key), f"{str(key)[:60]!r} is not a field of {section}", hint, strange=True)
        elif problem := known[key].problem(value):
            yield Problem((*at, key), f"{str(value)[:60]!r} {problem}")
    if section == "hardware" and "chip" not in items:
        yield Problem(at, "'chip' is missing", "name an accelerator: mlsysim zoo hardware")
    if section == "measured" and not items:
        yield Problem(at, "nothing is measured", "e.g. measured: {iteration_time_s: 1.42}")


def rows_of(raw: dict[str, Any]) -> list[Row]:
    """Return the rows of a file's content that has no problems."""
    return [Row(**expanded(raw, row)) for row in raw["rows"]]


def strange_fields(raw: dict[str, Any]) -> list[str]:
    """Return the fields of a file's rows that nothing reads, each once."""
    found = (f"{p.keys[-2]}.{p.keys[-1]}" for p in problems(raw) if p.strange)
    return list(dict.fromkeys(found))


def read_file(path: str | Path) -> tuple[list[Row], list[str]]:
    """Read a user's file of rows.

    Returns:
        The rows, and the fields in them that nothing reads: a new source may state more than is known
        here.

    Raises:
        InputError: with the place, the problem and the remedy.
    """
    text = yamlfile.read_text(Path(path), MAX_BYTES)
    document = yamlfile.load(text, str(path), MAX_NODES)
    raw = {"rows": document.data} if isinstance(document.data, list) else document.data
    for problem in problems(raw):
        if not problem.strange:
            keys = problem.keys[1:] if isinstance(document.data, list) else problem.keys
            raise InputError(problem.text, where=document.where(keys) or str(path), hint=problem.hint)
    return rows_of(raw), strange_fields(raw)


def read_registry() -> list[Row]:
    """Return the rows of ``registry/measurements``.

    Raises:
        RegistryError: a file is malformed; ``mlsysim zoo check`` finds all that is.
    """
    found: list[Row] = []
    for path in sorted((registry.root() / FOLDER).glob("*.yaml")):
        name = f"{FOLDER}/{path.name}"
        raw = yamlfile.load_plain(yamlfile.read_text(path), name)
        if not is_rows(raw):
            continue
        for problem in problems(raw):
            place = ".".join(map(str, problem.keys))
            raise RegistryError(problem.text, where=f"{name}: {place}", hint="mlsysim zoo check finds all")
        found += rows_of(raw)
    return found
