"""The instances: one JSON file each, in ``benchmarks/instances``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlsysim.core.errors import unknown

FOLDER = Path(__file__).parent / "instances"
SCHEMA = Path(__file__).parent / "schema.json"
SIZES = ("small", "medium", "large")
SETS = ("smoke", "small", "all")
# How an optimum was established, from the weakest to the strongest.
ROUTES = ("highs", "two engines", "exhaustive")


@dataclass(frozen=True)
class Instance:
    """A plan to optimize, and what is known about the answer.

    Attributes:
        name: that of its file.
        plan: in the plan format.
        problem: which optimizer.
        options: of the solver, where not the usual ones.
        tags: size class, kind of model, whether anything holds, and what it is there for.
        expected: status, objective, how they were established, size of the model; None before that.
    """

    name: str
    description: str
    plan: dict[str, Any]
    problem: str = "parallelism"
    options: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    expected: dict[str, Any] | None = None

    @property
    def size(self) -> str:
        """The size class."""
        return next((t for t in self.tags if t in SIZES), "large")

    @property
    def rank(self) -> int:
        """How well the answer is established; -1 if it is not."""
        return -1 if self.expected is None else ROUTES.index(self.expected["established"])

    def to_dict(self) -> dict[str, Any]:
        """Return the instance as its file has it."""
        options = {"options": self.options} if self.options else {}
        return {
            "name": self.name,
            "description": self.description,
            "problem": self.problem,
            **options,
            "plan": self.plan,
            "tags": list(self.tags),
            "expected": self.expected,
        }


def load(path: Path) -> Instance:
    """Return the instance of a file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Instance(
        data["name"],
        data["description"],
        data["plan"],
        data["problem"],
        data.get("options", {}),
        tuple(data["tags"]),
        data["expected"],
    )


def save(instance: Instance, folder: Path = FOLDER) -> Path:
    """Write the file of an instance and return its path."""
    path = folder / f"{instance.name}.json"
    path.write_text(json.dumps(instance.to_dict(), indent=2) + "\n", encoding="utf-8")
    return path


def instances(folder: Path = FOLDER) -> list[Instance]:
    """Return all instances, small ones first."""
    found = [load(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda i: (SIZES.index(i.size), i.name))


def chosen(names: list[str], set_: str = "all", folder: Path = FOLDER) -> list[Instance]:
    """Return the instances of these names, or those of a set where none are given.

    Raises:
        UnknownNameError: no such instance; the message names the nearest.
    """
    every = {i.name: i for i in instances(folder)}
    for name in names:
        if name not in every:
            raise unknown("instance", name, list(every))
    if names:
        return [every[name] for name in dict.fromkeys(names)]
    return [i for i in every.values() if set_ == "all" or set_ in i.tags]
