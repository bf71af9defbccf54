"""Registry entries as typed, frozen records.

An entry type is a dataclass whose fields are declared with :func:`number`, :func:`text`,
:func:`flag` or :func:`part`; :func:`read` fills it from a YAML mapping and refuses what does not
belong, naming file and field. Parsing is pure: it looks nothing up.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, TypeVar

from mlsysim.core import units
from mlsysim.core.errors import InputError, RegistryError, nearest, unknown
from mlsysim.core.provenance import Value

T = TypeVar("T", bound="Record")
R = TypeVar("R", bound="Record")


def number(unit: str, *, required: bool = False) -> Any:
    """Declare a field that holds a :class:`Value` with the dimension of ``unit``."""
    return field(default=None, metadata={"number": unit, "required": required})


def text(*, required: bool = False, choices: tuple[str, ...] = ()) -> Any:
    """Declare a field that holds plain text."""
    return field(default="", metadata={"text": choices, "required": required})


def flag(default: bool = False) -> Any:
    """Declare a field that holds true or false."""
    return field(default=default, metadata={"flag": True})


def mapping(*, required: bool = False) -> Any:
    """Declare a field that holds plain data under keys, kept as it stands in the file."""
    return field(default=None, metadata={"mapping": True, "required": required})


def part(cls: type, *, required: bool = False) -> Any:
    """Declare a field that holds another record."""
    return field(default=None, metadata={"part": cls, "required": required})


@dataclass(frozen=True, repr=False)
class Record:
    """A group of sourced values."""

    def values(self, prefix: str = "") -> dict[str, Value]:
        """Return every sourced value below this record by its dotted name."""
        found: dict[str, Value] = {}
        for f in fields(self):
            item = getattr(self, f.name)
            if isinstance(item, Value):
                found[prefix + f.name] = item
            elif isinstance(item, Record):
                found |= item.values(f"{prefix}{f.name}.")
        return found

    def with_(self: R, **changes: Any) -> R:
        """Return a variant with some values changed.

        A number, or text such as ``"96 GiB"``, replaces a value (a bare number is in the unit that
        the value has, or in that of the field); a mapping changes the values of a part:
        ``H100.with_(memory={"capacity": "96 GiB"})``. The variant's values say that they are yours.

        Raises:
            InputError: no such field, or a number of another dimension.
        """
        known = {f.name: f for f in fields(self)}
        built: dict[str, Any] = {}
        for name, change in changes.items():
            if name not in known:
                raise unknown("field", name, known)
            built[name] = self._changed(known[name], change)
        if isinstance(self, Entry) and "name" not in changes:
            built["name"] = built["reference"] = f"{self.name}_variant"
        return replace(self, **built)

    def _changed(self, f: Any, change: object) -> Any:
        held, meta = getattr(self, f.name), f.metadata
        if "part" in meta:
            if not isinstance(change, dict):
                raise InputError(f"{f.name} has several values: give a mapping", where=f.name)
            return (held or meta["part"]()).with_(**change)
        if "number" not in meta or isinstance(change, Value):
            return change
        unit = held.unit if isinstance(held, Value) else meta["number"]
        number = units.parse(change, unit)
        return Value(
            number,
            units.from_base(number, unit),
            unit,
            "user",
            "estimate",
            "",
            why=f"set by the user, {held!r} before" if held is not None else "set by the user",
        )

    def __repr__(self) -> str:
        inner = ", ".join(
            f"{name}={value.value:g} {value.unit}".replace(" 1", "") for name, value in self.values().items()
        )
        return f"{type(self).__name__}({inner})"


@dataclass(frozen=True, repr=False)
class Entry(Record):
    """A named entry of the registry.

    Attributes:
        name: its identifier, unique in its kind.
        group: its folder within the kind, e.g. ``cloud``.
        title: the name that people write.
        reference: what a plan writes to mean it: the name, a path, or ``hf://org/name``.
    """

    name: str = ""
    group: str = ""
    reference: str = ""
    title: str = text(required=True)

    def __post_init__(self) -> None:
        if not self.reference:
            object.__setattr__(self, "reference", self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.title}>"

    def _repr_html_(self) -> str:
        """Return the entry as a notebook shows it: every value with its source."""
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{v.value:,.12g}</td>"
            f"<td>{'' if v.unit == '1' else escape(v.unit)}</td><td>{v.kind}</td>"
            f"<td>{escape(v.source)}</td></tr>"
            for name, v in self.values().items()
        )
        head = "".join(f"<th>{h}</th>" for h in ("field", "value", "unit", "kind", "source"))
        return f"<b>{escape(self.name)}</b>: {escape(self.title)}<table><tr>{head}</tr>{rows}</table>"


_PLANS: dict[type, dict[str, Any]] = {}


def _plan(cls: type[Record]) -> dict[str, Any]:
    if cls not in _PLANS:
        _PLANS[cls] = {f.name: f for f in fields(cls) if f.metadata}
    return _PLANS[cls]


def read(cls: type[T], raw: object, where: str, **fixed: Any) -> T:
    """Build a record of type ``cls`` from a parsed YAML mapping.

    Args:
        cls: the record type.
        raw: the mapping.
        where: the file (and field above), for messages.
        fixed: fields set by the caller, such as ``name`` and ``group``.

    Raises:
        RegistryError: an unknown, missing or malformed field.
    """
    if not isinstance(raw, dict):
        raise RegistryError("a mapping is expected here", where=where)
    plan = _plan(cls)
    built: dict[str, Any] = dict(fixed)
    for key, item in raw.items():
        spot = f"{where}: {key}" if where.endswith((".yaml", ".yml")) else f"{where}.{key}"
        if key not in plan:
            close = nearest(str(key), plan)
            raise RegistryError(
                f"unknown field {str(key)!r}",
                where=spot,
                hint=f"Nearest: {', '.join(close)}." if close else "",
            )
        built[key] = _field(plan[key], item, spot)
    for name, f in plan.items():
        if f.metadata.get("required") and built.get(name) in (None, ""):
            raise RegistryError(f"{name!r} is missing", where=where)
        if name not in built and f.default is MISSING:
            raise RegistryError(f"{name!r} is missing", where=where)
    return cls(**built)


def _field(f: Any, item: object, where: str) -> Any:
    meta = f.metadata
    if "number" in meta:
        return Value.parse(item, meta["number"], where)
    if "part" in meta:
        return read(meta["part"], item, where)
    if "mapping" in meta:
        if not isinstance(item, dict):
            raise RegistryError(f"{item!r} is not a mapping", where=where)
        return item
    if "flag" in meta:
        if not isinstance(item, bool):
            raise RegistryError(f"{item!r} is not true or false", where=where)
        return item
    if not isinstance(item, str):
        raise RegistryError(f"{item!r} is not text", where=where, hint="put it in quotes")
    if meta["text"] and item not in meta["text"]:
        raise RegistryError(f"{item!r} is not one of {', '.join(meta['text'])}", where=where)
    return item
