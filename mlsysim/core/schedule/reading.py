"""Looking names and numbers of a plan up, each error with its place in the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from mlsysim.core import sealed, units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.scenario import Assumptions
from mlsysim.core.yamlfile import Document, Key

T = TypeVar("T")


@dataclass
class Reader:
    """A plan's document, and what is assumed where it is silent.

    Attributes:
        document: with the line of every key.
        take: collects the assumptions.
        notes: remarks for people.
    """

    document: Document
    take: Assumptions = field(default_factory=Assumptions)
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where relative paths of the plan start."""
        return Path(self.document.name).parent if self.document.name else Path()

    def at(self, key: Key, call: Callable[..., T], *args: Any) -> T:
        """Call something, naming a key's place in what it raises."""
        try:
            return call(*args)
        except MlsysimError as error:
            place = self.document.where(key)
            if isinstance(error, InputError) and error.where in _PARTS:
                error.where = ""
            raise error.at(place) from error

    def wrong(self, key: Key, problem: str, hint: str = "") -> InputError:
        """Return the error for a key of the plan."""
        return InputError(problem, where=self.document.where(key), hint=hint)

    def number(self, key: Key, block: Any, like: str = "") -> float | None:
        """Return a quantity of a block in base units; None where there is none."""
        given = getattr(block, str(key[-1]))
        if given is None:
            return None
        extra: Any = type(block).model_fields[str(key[-1])].json_schema_extra or {}
        return self.at(key, units.parse, given, like or str(extra["unit"]))

    def file(self, key: Key, name: str) -> Path:
        """Return the path of a file that the plan names.

        Raises:
            InputError: no such file.
        """
        self.at(key, sealed.check, name, "write the numbers into the plan")
        path = self.folder / name
        try:
            there = path.is_file()
        except (OSError, ValueError):  # a name too long for a file, or a null byte
            there = False
        if not there:
            raise self.wrong(
                key, f"no such file: {name[:200]!r}", "relative paths start in the folder of the plan"
            )
        return path

    def zone(self, key: Key, name: str | None) -> ZoneInfo | None:
        """Return a time zone by its IANA name."""
        from mlsysim.infra.profiles import named_zone

        return None if name is None else self.at(key, named_zone, name)


# places that mean the argument of a function, and say less than the key in the plan
_PARTS = ("region", "timezone", "hours", "start", "ops.ownership", "ops.region", "hardware")
