"""What one more unit of each limit that binds is worth, at a schedule.

Regions, options and starts of a schedule stand; the shares of jobs that are split and the slots of those
that pause are a linear program, whose duals are the prices. A dual holds for small changes only and need
not be the only one, so each is confirmed by solving again with a little more and a little less. What a
large change is worth, with every choice open, is for a new plan to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from formulations.engines.base import Options
from formulations.engines.matrix_program import Program, solve_program
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Pricer
from formulations.schedule.whole import Whole
from mlsysim.core.schedule.types import Fleet, Floats, Schedule

INF = float("inf")
STEP = 1e-3
MOST = 12


@dataclass(frozen=True)
class Price:
    """The worth of a limit.

    Attributes:
        tag: ``accelerators``, ``power``, ``cost``, ``carbon``, ``water``, ``region carbon`` or
            ``job carbon``.
        where: of which region or job; of accelerators, the type too.
        worth: by which the objective falls for a unit more (an accelerator or a watt through all the slots
            in which it binds, a dollar, a kilogram, a liter).
        more, less: the same by solving again with a little more, and with a little less; None where that
            does not hold. Where they agree with ``worth`` it is confirmed.
        slots: in which it binds; empty of a cap.
    """

    tag: str
    where: str
    worth: float
    more: float | None
    less: float | None
    slots: tuple[int, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether solving again gave the same, in at least the direction of more."""
        return self.more is not None and abs(self.more - self.worth) <= 1e-4 * max(abs(self.worth), 1e-12)


def prices(fleet: Fleet, schedule: Schedule, options: Options | None = None) -> tuple[Price, ...]:
    """Return the worth of each limit that binds, the dearest first."""
    options = options or Options()
    pricer = Pricer(fleet)
    whole = Whole(pricer, Multipliers.none(fleet), INF, schedule)
    if not whole.count:
        return ()
    program, scale = whole.program()
    # where a job pauses is settled, so nothing is left to be whole
    program = replace(program, whole=np.zeros_like(program.whole))
    found = solve_program(program, options)
    if found.duals is None or found.objective is None:
        return ()
    groups: dict[tuple[str, str], list[int]] = {}
    for i, limit in enumerate(whole.tags):
        if limit[0] and found.duals[i] < -1e-9:
            groups.setdefault(_name(fleet, pricer, limit), []).append(i)
    priced = []
    for (tag, where), rows in groups.items():
        size = np.array([whole.sizes[i] for i in rows])
        worth = float(-(found.duals[rows] / size).sum()) * scale
        slots = tuple(
            sorted(whole.tags[i][1] % pricer.cells.slots for i in rows if whole.tags[i][0] == "cell")
        )
        priced.append((worth, tag, where, rows, size, slots))
    priced.sort(key=lambda x: -abs(x[0]) * float(x[4].max()))
    return tuple(
        Price(
            tag,
            where,
            worth,
            _again(program, rows, size, scale, found.objective, STEP, options),
            _again(program, rows, size, scale, found.objective, -STEP, options),
            slots,
        )
        for worth, tag, where, rows, size, slots in priced[:MOST]
    )


def _again(
    program: Program,
    rows: list[int],
    size: Floats,
    scale: float,
    before: float,
    step: float,
    options: Options,
) -> float | None:
    """Return the worth of a unit by solving again with ``step`` of the least supply more."""
    by = step * float(size.min())
    changed = list(program.rows)
    for i, s in zip(rows, size.tolist(), strict=True):
        columns, factors, low, high = changed[i]
        changed[i] = (columns, factors, low, high + by / s)
    found = solve_program(replace(program, rows=changed), options)
    return None if found.objective is None else (before - found.objective) * scale / by


def _name(fleet: Fleet, pricer: Pricer, tag: tuple[str, int]) -> tuple[str, str]:
    kind, i = tag
    p = fleet.places
    if kind == "cell":
        layer, rest = divmod(i, pricer.cells.regions * pricer.cells.slots)
        region = p.names[rest // pricer.cells.slots]
        if layer == pricer.cells.types:
            return "power", region
        return "accelerators", f"{p.hardware[layer]} in {region}"
    if kind == "total":
        return ("cost", "carbon", "water")[i], "all jobs"
    return (f"{kind} carbon", p.names[i] if kind == "region" else fleet.jobs[i].name)
