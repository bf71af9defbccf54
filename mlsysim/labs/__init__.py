"""Labs: Marimo notebooks that ask for a prediction before they show the answer.

``mlsysim lab`` lists them. This module is only the list, so that showing it loads nothing; each lab is a
file beside it, which runs in the browser (``mlsysim lab NAME``), in an editor (``--edit``) and as a script
(``python -m mlsysim.labs.NAME``). :mod:`mlsysim.labs.teach` has what they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LABS", "Lab", "find"]


@dataclass(frozen=True)
class Lab:
    """A lab.

    Attributes:
        name: of its file, and of ``mlsysim lab NAME``.
        title: what it is about.
        learns: what a student can do afterwards.
        minutes: what it takes with the exercise, about.
        walls: numbers of the walls that it is about.
    """

    name: str
    title: str
    learns: str
    minutes: int
    walls: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The notebook."""
        return Path(__file__).parent / f"{self.name}.py"

    def to_dict(self) -> dict[str, object]:
        """Return the lab as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "learns": self.learns,
            "minutes": self.minutes,
            "walls": list(self.walls),
        }


LABS = (
    Lab(
        "roofline",
        "The roofline and the first walls",
        "say whether arithmetic or memory bandwidth limits a workload, and what a larger batch buys",
        25,
        (1, 2, 3),
    ),
    Lab(
        "memory",
        "Will it fit?",
        "say what fills an accelerator in training, and what each way to make room costs in time",
        30,
        (2,),
    ),
    Lab(
        "parallelism",
        "Find the best parallelism and beat the solver",
        "lay a training job out over 512 accelerators, and read a proof that nothing is faster",
        40,
        (2, 10, 14),
    ),
    Lab(
        "serving",
        "Serving under load",
        "say how latency, its tail and the price of a token change with the load, and size a service",
        35,
        (4, 5, 7, 17),
    ),
    Lab(
        "carbon",
        "Where and when to train",
        "find the carbon tax at which another place or hour is the cheapest, exactly",
        30,
        (17, 18),
    ),
    Lab(
        "design",
        "Design your own accelerator",
        "turn a target into the least hardware that meets it, and know which supply is worth its money",
        40,
        (1, 2, 14, 21, 22),
    ),
)


def find(name: str) -> Lab:
    """Return a lab by its name or its number.

    Raises:
        UnknownNameError: naming the nearest labs.
    """
    from mlsysim.core.errors import fold, unknown

    for number, lab in enumerate(LABS, 1):
        if fold(name) in (fold(lab.name), str(number)):
            return lab
    raise unknown("lab", name, [lab.name for lab in LABS], "mlsysim lab")
