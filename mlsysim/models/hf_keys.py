"""Typed access to the keys of a Hugging Face ``config.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from mlsysim.core.errors import InputError

MAX_VALUE = 1e8  # above any width, vocabulary or context length in use (10,485,760 tokens: Llama 4)


@dataclass(frozen=True)
class Number:
    """A size as read, and where in the config it stands.

    Attributes:
        value: the size.
        keys: the config keys that it comes from.
        derived: it is arithmetic on these keys, not one of them.
        note: a caution for the reader.
    """

    value: float
    keys: tuple[str, ...]
    derived: bool = False
    note: str = ""


@dataclass
class Draft:
    """An architecture while it is read from a config.

    Attributes:
        numbers: sizes by the name of their field in ``mlsysim.models.Architecture``.
        traits: flags and texts by the name of their field there.
        notes: what the parameter count leaves out.
    """

    numbers: dict[str, Number] = field(default_factory=dict)
    traits: dict[str, bool | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def value(self, name: str) -> float:
        """Return a size that is already there."""
        return self.numbers[name].value

    def derive(self, name: str, value: float, *keys: str, note: str = "") -> None:
        """Set a size that is computed from others."""
        self.numbers[name] = Number(value, keys, True, note)


class Keys:
    """The keys of one config.

    Args:
        data: the JSON object.
        where: the file or hub name, for messages.
        prefix: dotted name of the object within the file, with its final dot.
    """

    def __init__(self, data: dict[str, Any], where: str, prefix: str = "") -> None:
        self._data = data
        self.where = where
        self.prefix = prefix

    def spot(self, name: str) -> str:
        """Return the place of a key, for messages."""
        return f"{self.where}: {self.prefix}{name}"

    def has(self, name: str) -> bool:
        """Whether the key is there, be it null."""
        return name in self._data

    def says(self, name: str, word: str) -> bool:
        """Whether the key holds exactly this text."""
        return self._data.get(name) == word

    def part(self, name: str) -> Keys:
        """Return the keys of an object within this one; none where it is absent.

        Raises:
            InputError: it is something else than an object.
        """
        value = self._data.get(name)
        if value is not None and not isinstance(value, dict):
            raise InputError(f"an object is expected here, not {show(value)}", where=self.spot(name))
        return Keys(value or {}, self.where, f"{self.prefix}{name}.")

    def maybe(self, *names: str, least: int = 0) -> Number | None:
        """Return the first of these sizes that is there and not null.

        Raises:
            InputError: it is no whole number from ``least`` to :data:`MAX_VALUE`.
        """
        for name in names:
            value = self._data.get(name)
            if value is not None:
                return Number(self._whole(name, value, least), (self.prefix + name,))
        return None

    def need(self, *names: str, least: int = 1) -> Number:
        """Return the first of these sizes that is there.

        Raises:
            InputError: none is, or it is no whole number in range.
        """
        found = self.maybe(*names, least=least)
        if found is None:
            also = f" (nor {', '.join(names[1:])})" if names[1:] else ""
            raise InputError(
                f"{names[0]!r} is missing{also}",
                where=self.where + self._inside(),
                hint="a config that relies on a default of its Transformers class must state the value here",
            )
        return found

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false; ``default`` where the key is absent or null.

        Raises:
            InputError: neither.
        """
        value = self._data.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"{show(value)} is not true or false", where=self.spot(name))
        return value

    def text(self, name: str) -> str:
        """Return a text; empty where the key is absent or null.

        Raises:
            InputError: something else than text.
        """
        value = self._data.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InputError(f"{show(value)} is not text", where=self.spot(name))
        return value

    def positions(self, name: str, below: float) -> list[int]:
        """Return a list of layer numbers without repetition; empty where absent or null.

        Raises:
            InputError: not a list of whole numbers below ``below``.
        """
        value = self._data.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(type(v) is int and 0 <= v < below for v in value):
            raise InputError(
                f"a list of layer numbers from 0 to {below - 1:g} is expected", where=self.spot(name)
            )
        return sorted(set(value))

    def _inside(self) -> str:
        return f": {self.prefix[:-1]}" if self.prefix else ""

    def _whole(self, name: str, value: object, least: int) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{show(value)} is not a number", where=self.spot(name))
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            raise InputError(f"{value!r} is not a whole number", where=self.spot(name))
        if not least <= value <= MAX_VALUE:
            raise InputError(
                f"{show(value)} is out of range",
                where=self.spot(name),
                hint=f"a whole number from {least} to {MAX_VALUE:,.0f} is expected",
            )
        return float(value)


def show(value: object) -> str:
    """Return a value of a config for a message, short whatever its size."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1e15:
        return "a number beyond 1e15"
    shown = repr(value if not isinstance(value, str) else value[:80])
    return shown if len(shown) <= 90 else shown[:90] + "..."
