"""Several plan files at once, as a pull request or a commit has them: a verdict each, and why."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import text
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.said import plain

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.yamlfile import Document

VERDICTS = {0: "holds", 1: "bad input", 2: "infeasible", 3: "violates a limit"}
MARKS = {0: "✅", 1: "⛔", 2: "❌", 3: "⚠️"}
WORST = (1, 2, 3, 0)  # which code stands for several
COMMENT = 65_000  # characters; a comment on GitHub may have 65,536


@dataclass(frozen=True)
class Reason:
    """Why a plan does not hold, and on which line of it, where one says so."""

    text: str
    line: int | None = None


@dataclass(frozen=True)
class File:
    """A plan file with what it comes to.

    Attributes:
        name: its path, as given.
        result: of a plan that could be evaluated.
        error: of one that could not.
        reasons: why it does not hold.
    """

    name: str
    result: Evaluation | Placement | None
    error: MlsysimError | None
    reasons: tuple[Reason, ...]

    @property
    def code(self) -> int:
        """The exit code that ``eval`` has for it."""
        return 1 if self.result is None else int(self.result.exit_code)

    @property
    def verdict(self) -> str:
        """The exit code in words."""
        return VERDICTS[self.code]

    def to_dict(self) -> dict[str, Any]:
        """Return it as an entry of the result's ``plans``."""
        from mlsysim.core.said import error_document

        document = error_document(self.error) if self.error else None
        return {
            "file": self.name,
            "exit_code": self.code,
            "reasons": [{"text": r.text, "line": r.line} for r in self.reasons],
            "result": document if self.result is None else self.result.to_dict(),
        }


def expanded(patterns: Sequence[str]) -> list[str]:
    """Return the files that names and patterns (``plans/**/*.yaml``) mean, each once, in order.

    Raises:
        InputError: a pattern matches nothing.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if not glob.has_magic(pattern) or Path(pattern).exists():
            found[pattern] = None
            continue
        # a pattern may be absolute, which Path.glob refuses
        matches = sorted(m for m in glob.glob(pattern, recursive=True) if Path(m).is_file())  # noqa: PTH207
        if not matches:
            raise InputError(
                f"no file matches {pattern!r}",
                where="plans",
                hint="patterns start in the folder in which mlsysim runs",
            )
        found |= dict.fromkeys(matches)
    return list(found)


def judged(name: str) -> File:
    """Evaluate a plan file; what is wrong with it is kept, not raised."""
    from mlsysim.core.api import evaluate_any
    from mlsysim.core.fleet_plan import opened

    try:
        document: Any = opened(name)
        result = evaluate_any(document)
    except MlsysimError as error:
        return File(name, None, error, (_of_error(name, error),))
    return File(name, result, None, tuple(_reasons(result, document)))


def code_of(files: Sequence[File]) -> int:
    """Return the exit code that stands for several: bad input before physics before limits."""
    codes = {f.code for f in files}
    return next(code for code in WORST if code in codes)


def _of_error(name: str, error: MlsysimError) -> Reason:
    """Return the reason of a plan that cannot be evaluated; its place may begin with ``name:line``."""
    place = error.where.removeprefix(name)
    line, _, key = place.removeprefix(":").partition(":")
    at = int(line) if place.startswith(":") and line.isdecimal() else None
    key = (key if at else place).strip(": ")
    said = ": ".join(part for part in (key, error.problem) if part)
    return Reason(f"{said} ({error.hint})" if error.hint else said, at)


def _reasons(result: Evaluation | Placement, document: Document) -> Iterator[Reason]:
    """Yield what a plan does not keep."""
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.schedule.scorecard import limits

    if not isinstance(result, Evaluation):
        for line in filter(None, limits(result)):
            yield Reason(line.removeprefix("FAIL").strip())
        return
    for i, check in enumerate(result.checks):
        if not check.ok:
            c = check.to_dict()
            asked = (f"at {w} {text.amount(c[k], c['unit'])}" for k, w in (("min", "least"), ("max", "most")))
            wish = " and ".join(a for a, k in zip(asked, ("min", "max"), strict=True) if c[k] is not None)
            value = text.amount(c["value"], c["unit"])
            key = ("constraints", "assert", i)
            yield Reason(f"{c['metric']} is {value}, {wish} asked", document.lines.get(key))
    for w in result.walls:
        if w.status == "fail":
            needs, there = text.amount(w.demand, w.unit), text.amount(w.supply, w.unit)
            yield Reason(f"wall {w.wall.number}, {w.wall.name}: {needs} of {there} ({w.note})")


def as_text(files: Sequence[File]) -> str:
    """Return one line a plan, and what it does not keep below."""
    lines: list[str] = []
    for f in files:
        lines.append(f"{plain(f.name)}: {f.verdict}")
        for r in f.reasons:
            place = f"line {r.line}: " if r.line else ""
            lines += text.wrap(plain(f"{place}{r.text}"), "  ")
    return "\n".join(lines)


def to_dict(files: Sequence[File]) -> dict[str, Any]:
    """Return the JSON document of ``mlsysim ci``."""
    return {"schema_version": "1.0", "exit_code": code_of(files), "plans": [f.to_dict() for f in files]}


def as_markdown(files: Sequence[File], most: int = COMMENT) -> str:
    """Return a comment for a pull request: a table of verdicts, then each scorecard, folded.

    Args:
        files: the plans.
        most: characters; scorecards that no longer fit are left out, and this is said.
    """
    from mlsysim.core.markdown import plain as escaped
    from mlsysim.core.markdown import table

    rows = [(_code(f.name), f"{MARKS[f.code]} {f.verdict}", escaped(_summary(f))) for f in files]
    parts = [
        f"### mlsysim: {_counted(files)}",
        table(("plan", "verdict", "what it comes to"), rows),
    ]
    size, left = sum(map(len, parts)) + 200, 0
    for f in files:
        part = _folded(f)
        size += len(part) + 2
        if size > most:
            left += 1
            size -= len(part) + 2
        else:
            parts.append(part)
    if left:
        parts.append(f"{left} scorecards are left out: a comment has {most:,} characters at most.")
    return "\n\n".join(parts)[:most]


def _counted(files: Sequence[File]) -> str:
    held = sum(f.code == 0 for f in files)
    return f"{held} of {len(files)} plan{'' if len(files) == 1 else 's'} hold{'s' if held == 1 else ''}"


def _summary(f: File) -> str:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.scorecard import lenses

    if f.code and f.reasons:
        return f.reasons[0].text + (f" (and {len(f.reasons) - 1} more)" if len(f.reasons) > 1 else "")
    if isinstance(f.result, Evaluation):
        shown = lenses(f.result)
        return f"{shown['performance'].summary}; {shown['macro'].summary}"
    return ""


def _folded(f: File) -> str:
    """Return a plan's scorecard, to be opened; open at once where it does not hold."""
    from mlsysim.core.markdown import plain as escaped
    from mlsysim.report import markdown

    reasons = "\n".join(f"- {escaped(r.text)}" for r in f.reasons)
    body = reasons if f.result is None else markdown(f.result, 4)
    opened = " open" if f.code else ""
    return f"<details{opened}><summary>{escaped(f.name)}: {f.verdict}</summary>\n\n{body}\n\n</details>"


def _code(name: str) -> str:
    return "`" + plain(name).replace("`", "'") + "`"
