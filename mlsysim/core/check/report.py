"""What a check of a registry folder found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mlsysim.core.provenance import KINDS

Severity = Literal["error", "warning"]
_LONGEST = 400


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a file.

    Attributes:
        file: path below the folder, with ``/``; the folder itself is ``.``.
        field: dotted name in the file; empty where the whole file is meant.
        severity: an ``error`` makes the folder unusable or its numbers wrong.
        problem: what is wrong, in a sentence for people.
    """

    file: str
    field: str
    severity: Severity
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        return f"{place}: {self.problem}"


class Problem(NamedTuple):
    """What a rule says of one field; the caller knows the file."""

    field: str
    text: str
    severity: Severity = "error"


@dataclass
class Report:
    """The result of :func:`mlsysim.core.check.check`.

    Attributes:
        findings: all findings, by file and field.
        values_by_kind: sourced values by their kind of source; every kind has a row.
        entries_by_kind: entries read, by ``hardware``, ``models``, ``infra`` and ``systems``.
        sources: records in the folder's ``sources.yaml``.
    """

    findings: list[Finding] = field(default_factory=list)
    values_by_kind: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    entries_by_kind: dict[str, int] = field(default_factory=dict)
    sources: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that are errors."""
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that are warnings."""
        return [f for f in self.findings if f.severity == "warning"]

    @property
    def values(self) -> int:
        """How many sourced values were read."""
        return sum(self.values_by_kind.values())

    @property
    def estimate_share(self) -> float:
        """Share of the values that are estimates, 0 to 1."""
        return self.values_by_kind["estimate"] / self.values if self.values else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON."""
        return {
            "ok": self.ok,
            "entries": dict(self.entries_by_kind),
            "sources": self.sources,
            "values": self.values,
            "values_by_kind": dict(self.values_by_kind),
            "estimate_share": self.estimate_share,
            "findings": [
                {"file": f.file, "field": f.field, "severity": f.severity, "problem": f.problem}
                for f in self.findings
            ],
        }


class Notes:
    """Collects findings, made safe to print."""

    def __init__(self) -> None:
        self._found: set[Finding] = set()
        self._wrong: set[str] = set()

    def take(self, file: str, problems: Iterable[Problem]) -> None:
        """Add what a rule says of a file."""
        for problem in problems:
            self._add(file, problem.field, problem.severity, problem.text)

    def error(self, file: str, field: str, problem: str) -> None:
        """Add an error."""
        self._add(file, field, "error", problem)

    def warn(self, file: str, field: str, problem: str) -> None:
        """Add a warning."""
        self._add(file, field, "warning", problem)

    def _add(self, file: str, field: str, severity: Severity, problem: str) -> None:
        finding = Finding(printable(file), printable(field), severity, printable(problem))
        self._found.add(finding)
        if severity == "error":
            self._wrong.add(finding.file)

    def has_error(self, file: str) -> bool:
        """Return whether a file has an error so far."""
        return printable(file) in self._wrong

    def findings(self) -> list[Finding]:
        """Return all findings, sorted by file, field, severity."""
        return sorted(self._found)


def printable(text: str) -> str:
    """Return ``text`` on one line, shortened, with whatever a terminal would act on escaped."""
    safe = "".join(
        ch if ch.isprintable() else ch.encode("unicode_escape", "surrogatepass").decode()
        for ch in text[:_LONGEST]
    )
    return safe + ("..." if len(text) > _LONGEST else "")


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names as ``a, b, c``, the first few where there are many."""
    all_names = list(names)
    return ", ".join(all_names[:most]) + (", ..." if len(all_names) > most else "")
