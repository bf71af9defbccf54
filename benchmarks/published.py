"""Layouts that papers report, beside the optimum that we prove: ``python -m benchmarks.published``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlsysim
import mlsysim.optimize
from mlsysim.core.markdown import table

FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Published:
    """A layout of a paper and its distance from the optimum.

    Attributes:
        name: of the run.
        source: id of ``registry/sources.yaml``.
        theirs, ours: time of a step [s]; theirs is infinite where it does not fit.
        layout: of the paper, and ``best`` ours.
        why: what explains a distance of more than a tenth.
    """

    name: str
    source: str
    theirs: float
    ours: float
    layout: str
    best: str
    why: str

    @property
    def distance(self) -> float:
        """How much longer the paper's step takes, as a share of ours."""
        return self.theirs / self.ours - 1.0


def cases() -> list[dict[str, Any]]:
    """Return the published runs."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def judged(case: dict[str, Any]) -> Published:
    """Solve a run with what the paper fixes, and with every decision open."""
    theirs = mlsysim.optimize.parallelism(case["plan"] | {"parallelism": case["layout"]})
    ours = mlsysim.optimize.parallelism(case["plan"])
    if ours.status != "optimal" or ours.objective.value is None:
        raise RuntimeError(f"{case['name']}: {ours.status}")
    taken = "  ".join(f"{k} {v}" for k, v in case["layout"].items())
    return Published(
        case["name"],
        case["source"],
        theirs.objective.value if theirs.objective.value is not None else float("inf"),
        ours.objective.value,
        taken,
        str(ours.evaluation.layout),
        case.get("why", ""),
    )


def markdown() -> str:
    """Return the table."""
    rows = []
    for p in map(judged, cases()):
        far = "does not fit" if p.distance == float("inf") else f"{p.distance:+.1%}"
        rows.append((p.name, f"`{p.source}`", p.layout, far, p.best + (f"; {p.why}" if p.why else "")))
    return table(("run", "source", "the paper fixes", "longer by", "optimum"), rows)


if __name__ == "__main__":
    print(markdown())
