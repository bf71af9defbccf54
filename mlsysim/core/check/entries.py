"""Reading an entry so that every mistake in it is found, not only the first."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from mlsysim.core.check.report import Notes
from mlsysim.core.errors import RegistryError
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, read

MOST_FIELDS = 500
Keys = tuple[Any, ...]  # the keys that lead to a field
_MISSING = re.compile(r"'(.*)' is missing")
_AS_OF = re.compile(r"(19|20)\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
# What a value says of itself when nobody looked it up.
_RECALLED = re.compile(r"\b(recalled|from memory)\b", re.IGNORECASE)
_TEXTS = ("source", "kind", "unit", "why", "note", "method")


@dataclass(frozen=True)
class Read:
    """An entry that was read, and where from."""

    file: str
    kind: str
    entry: Entry


@dataclass(frozen=True)
class Sources:
    """The citation records that values may name.

    Attributes:
        known: ids of all records.
        own: ids of records that are no outside source but this registry's own judgement.
    """

    known: Container[str]
    own: Container[str]


def read_entry(
    cls: type[Entry], raw: Any, file: str, gone: set[Keys], notes: Notes, **fixed: str
) -> Entry | None:
    """Return the entry in ``raw``, logging every field that is wrong; None if it cannot be built.

    A field that is wrong is logged and left out, and the rest is read again.

    Args:
        cls: the record type.
        raw: the parsed file; wrong fields are taken out of it.
        file: for messages.
        gone: fields that were taken out before, whose absence is not to be logged again.
        notes: where to log.
        fixed: fields set by the caller, such as ``name`` and ``group``.
    """
    gone = set(gone)
    for _ in range(MOST_FIELDS):
        try:
            return read(cls, raw, file, **fixed)
        except RegistryError as error:
            path = _path(raw, error.where.removeprefix(file).removeprefix(": "))
            missing = _MISSING.fullmatch(error.problem)
            if missing is None or (*path, missing[1]) not in gone:
                field = path or ((missing[1],) if missing else ())
                notes.error(
                    file,
                    ".".join(map(str, field)),
                    error.problem + (f" ({error.hint})" if error.hint else ""),
                )
            if not path:
                return None
            remove(raw, path)
            gone.add(path)
    notes.error(file, "", f"more than {MOST_FIELDS} fields are wrong")
    return None


def _path(raw: Any, dotted: str) -> Keys:
    """Return the keys that ``dotted`` names in ``raw``; keys may hold dots themselves."""
    path: Keys = ()
    while dotted and isinstance(raw, dict):
        key = next((k for k in raw if dotted == str(k) or dotted.startswith(f"{k}.")), None)
        if key is None:
            break
        path = (*path, key)
        raw, dotted = raw[key], dotted[len(str(key)) + 1 :]
    return path


def remove(raw: Any, path: Keys) -> None:
    """Take the field at ``path`` out of nested mappings."""
    for key in path[:-1]:
        raw = raw[key]
    del raw[path[-1]]


def value_mappings(raw: Any, path: Keys = ()) -> Iterator[tuple[Keys, dict[Any, Any]]]:
    """Yield every mapping in ``raw`` that is written as a sourced value, with its path."""
    if isinstance(raw, dict):
        if "value" in raw and not isinstance(raw["value"], dict | list):
            yield path, raw
            return
        for key, item in raw.items():
            yield from value_mappings(item, (*path, key))
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from value_mappings(item, (*path, index))


def check_texts(raw: Any, file: str, notes: Notes) -> None:
    """Log texts that hold control characters, with which a file could steer a terminal."""
    stack: list[tuple[str, Any]] = [("", raw)]
    while stack:
        field, item = stack.pop()
        if isinstance(item, str) and not item.replace("\n", "").isprintable():
            notes.error(file, field, "this text holds control characters")
        elif isinstance(item, dict):
            stack.extend((f"{field}.{key}" if field else str(key), child) for key, child in item.items())
        elif isinstance(item, list):
            stack.extend((field, child) for child in item)


def check_values(raw: Any, file: str, sources: Sources, used: set[str], notes: Notes) -> set[Keys]:
    """Check how each value of a file states its origin, and add its source to ``used``.

    A value that the record types could not take apart (a number beyond any float, a list of inputs
    that is none) is logged and taken out of ``raw``. The paths of these are returned.
    """
    gone: set[Keys] = set()
    for path, item in list(value_mappings(raw)):
        field = ".".join(map(str, path))
        problems = list(_malformed(item))
        for problem in problems or _origin(item, sources):
            notes.error(file, field, problem)
        if problems and path and not any(isinstance(key, int) for key in path):
            remove(raw, path)
            gone.add(path)
        used.add(str(item.get("source")))
    return gone


def _malformed(item: dict[Any, Any]) -> Iterator[str]:
    number = item["value"]
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) > 10**40:
        yield "the value is out of any physical range"
    if isinstance(number, float) and not math.isfinite(number):
        yield f"value {number!r} is not a finite number"
    inputs = item.get("inputs", [])
    if not isinstance(inputs, list) or not all(isinstance(i, str | int | float) for i in inputs):
        yield "inputs is a list of texts: what the value was computed from"
    for key in _TEXTS:
        if isinstance(item.get(key), dict | list | bool):
            yield f"{key} is not text"


def _origin(item: dict[Any, Any], sources: Sources) -> Iterator[str]:
    source, kind = str(item.get("source") or ""), item.get("kind")
    if source:
        if source not in sources.known:
            yield f"source {source!r} is not in sources.yaml"
        elif source in sources.own and kind not in ("estimate", "derived"):
            yield f"a {kind} value needs an outside source; {source!r} is the registry's own judgement"
    as_of = item.get("as_of")
    if as_of is not None and not _AS_OF.fullmatch(str(as_of)):
        yield f"as_of {str(as_of)[:40]!r} is no year or date (2024, 2024-03, 2024-03-31)"
    if kind not in ("estimate", None) and _RECALLED.search(str(item.get("note") or "")):
        yield f"a recalled number is an estimate, not a {kind} value: look it up or say why"


def parse_value(raw: Any, like: str, file: str, field: str, notes: Notes) -> Value | None:
    """Return the value in ``raw`` in the dimension of ``like``, or None after logging why not.

    An empty ``like`` accepts the value's own unit, whatever its dimension.
    """
    own = raw.get("unit") if isinstance(raw, dict) else None
    try:
        return Value.parse(raw, like or str(own), f"{file}: {field}")
    except RegistryError as error:
        notes.error(file, field, error.problem)
        return None
