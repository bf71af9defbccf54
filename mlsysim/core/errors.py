"""Errors for people: where, what is wrong, what to do.

Every error that a user can cause derives from :class:`MlsysimError` and carries a code, so that
programs can tell them apart without reading the text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MlsysimError(Exception):
    """An error with a place, a problem and a remedy.

    Args:
        problem: what is wrong, in one clause.
        where: the place, e.g. ``plan.yaml:7: hardware.name``.
        hint: what to do about it.
    """

    code = "error"

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        self.problem = problem
        self.where = where
        self.hint = hint
        self.excerpt: tuple[str, ...] = ()  # lines to show as they are, e.g. with a mark under a character
        super().__init__(problem)

    def at(self, where: str) -> MlsysimError:
        """Return this error with a place, keeping one that is already more exact."""
        if not self.where:
            self.where = where
        return self

    def __str__(self) -> str:
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        lines = [head, *(f"  {line}" for line in self.excerpt)]
        return "\n".join([*lines, f"  {self.hint}"] if self.hint else lines)


class InputError(MlsysimError):
    """The plan, the registry entry or the call is wrong."""

    code = "bad_input"


class UnitError(InputError):
    """A unit is unknown, or a quantity has the wrong dimension."""

    code = "bad_unit"


class UnknownNameError(InputError):
    """A name is not in the registry or in a list of allowed names."""

    code = "unknown_name"


class RegistryError(InputError):
    """A registry file is malformed."""

    code = "bad_registry"


class MissingExtraError(MlsysimError):
    """An optional dependency is needed and absent."""

    code = "missing_extra"


class MismatchError(MlsysimError):
    """The solver's answer and its re-evaluation differ: a defect of mlsysim, never of the plan."""

    code = "mismatch"


class SolverLimitError(MlsysimError):
    """The solver stopped at its limit without an answer."""

    code = "solver_limit"


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names most like ``name``, best first, ignoring case and separators."""
    by_key: dict[str, str] = {fold(candidate): candidate for candidate in known}
    key = fold(name)
    close = difflib.get_close_matches(key, by_key, n=count, cutoff=0.5)
    starts = [k for k in by_key if key and (k.startswith(key) or key.startswith(k))]
    return [by_key[k] for k in dict.fromkeys(close + sorted(starts))][:count]


def fold(name: str) -> str:
    """Return ``name`` without case and separators, the form in which names are compared."""
    return "".join(ch for ch in name.lower() if ch not in "-_. ")


def unknown(what: str, name: str, known: Iterable[str], see: str = "") -> UnknownNameError:
    """Return the error for a name that is not there, naming the nearest that are."""
    known = list(known)
    close = nearest(name, known)
    parts = [
        f"Nearest: {', '.join(close)}."
        if close
        else f"Known: {', '.join(known[:12])}" + (", ..." if len(known) > 12 else ".")
    ]
    if see:
        parts.append(f"All: {see}")
    return UnknownNameError(f"no {what} called {name!r}", hint="  ".join(parts))
