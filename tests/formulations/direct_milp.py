"""A fleet as one mixed-integer program with a variable for every job, region, option and slot.

Written straight from :mod:`mlsysim.core.schedule.types`, for tests only: large, slow and simple. Nothing
here is shared with the formulations, nor with what adds schedules up; the solver is scipy's own HiGHS.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from mlsysim.core.schedule.types import Fleet, Job, Option, Run, Schedule

ROW = dict[int, float]


@dataclass(frozen=True)
class Judged:
    """Attributes: least objective that was found (None if none), proven bound, its schedule."""

    objective: float | None
    bound: float
    schedule: Schedule | None
    infeasible: bool


def judge(fleet: Fleet, gap: float = 1e-9, time_limit: float = 60.0) -> Judged:
    """Return the best schedule of a fleet to a relative gap."""
    model = _Model(fleet)
    if model.impossible:
        return Judged(None, np.inf, None, True)
    found = milp(
        model.cost(),
        constraints=model.constraints(),
        integrality=np.array(model.whole),
        bounds=Bounds(0, np.array(model.most)),
        options={"mip_rel_gap": gap, "time_limit": time_limit},
    )
    if found.status == 2:
        return Judged(None, np.inf, None, True)
    assert found.status in (0, 1), found.message
    bound = -np.inf if found.mip_dual_bound is None else float(found.mip_dual_bound)
    if found.status == 0 and not any(model.whole):  # a linear program: no search, no bound but itself
        bound = float(found.fun)
    if found.x is None:
        return Judged(None, bound, None, False)
    return Judged(float(found.fun), bound, model.read(found.x), False)


class _Model:
    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.slots = fleet, fleet.places.slots
        self.whole: list[int] = []
        self.most: list[float] = []
        self.rows: list[tuple[ROW, float, float]] = []
        self.impossible = False
        # name -> (job, region) -> variable -> amount
        self.taken: dict[str, dict[tuple[int, int], ROW]] = {
            name: defaultdict(lambda: defaultdict(float)) for name in ("cost", "carbon", "water")
        }
        # (region, option, slot) -> variables that say that the job runs there, by job
        self.on: list[dict[tuple[int, int, int], list[int]]] = []
        for j, job in enumerate(fleet.jobs):
            self.on.append(defaultdict(list))
            {"rigid": self.rigid, "pause": self.pause, "move": self.move, "split": self.split}[job.kind](
                j, job
            )
        self.limits()

    def new(self, whole: bool = True, most: float = 1.0) -> int:
        self.whole.append(int(whole))
        self.most.append(most)
        return len(self.whole) - 1

    def row(self, terms: ROW, least: float, most: float) -> None:
        self.rows.append((terms, least, most))
        if not terms and not least <= 0 <= most:
            self.impossible = True

    def take(self, name: str, j: int, r: int, variable: int, amount: float) -> None:
        self.taken[name][j, r][variable] += amount

    def runs(self, j: int, r: int, k: int, t: int, variable: int, part: float) -> None:
        """Say that a variable lets a job run in a slot, and that this is a part of its work."""
        p, job = self.fleet.places, self.fleet.jobs[j]
        o = job.options[k]
        busy = 1.0 if job.kind == "split" else o.busy
        self.on[j][r, k, t].append(variable)
        self.take("cost", j, r, variable, o.power * busy * p.cost[r, t] + part * o.cost[r])
        self.take("carbon", j, r, variable, o.power * busy * p.carbon[r, t] + part * o.carbon)
        self.take("water", j, r, variable, o.power * busy * p.water[r, t])

    def may(self, job: Job) -> list[tuple[int, int, Option, int]]:
        """Return region, option and slot of every cell in which a job may run."""
        end = min(job.deadline, self.slots)
        return [
            (r, k, o, t)
            for r in range(len(self.fleet.places.names))
            for k, o in enumerate(job.options)
            for t in range(int(job.ready[r]), end)
        ]

    def rigid(self, j: int, job: Job) -> None:
        starts: ROW = {}
        for r, k, o, s in self.may(job):
            if s + o.slots <= min(job.deadline, self.slots):
                x = self.new()
                starts[x] = 1.0
                for t in range(s, s + o.slots):
                    self.runs(j, r, k, t, x, 1 / o.slots)
                self.take("cost", j, r, x, float(job.fetch[r]))
        self.row(starts, 1, 1)

    def pause(self, j: int, job: Job) -> None:
        there: dict[tuple[int, int], int] = {}
        for r in range(len(self.fleet.places.names)):
            for k in range(len(job.options)):
                there[r, k] = u = self.new()
                self.take("cost", j, r, u, float(job.fetch[r]))
        work: dict[tuple[int, int], ROW] = {
            cell: {u: -float(job.options[cell[1]].slots)} for cell, u in there.items()
        }
        for r, k, o, t in self.may(job):
            y = self.new()
            self.runs(j, r, k, t, y, 1 / o.slots)
            work[r, k][y] = 1.0
            self.row({y: 1.0, there[r, k]: -1.0}, -np.inf, 0)
        for terms in work.values():
            self.row(terms, 0, 0)
        self.row(dict.fromkeys(there.values(), 1.0), 1, 1)

    def split(self, j: int, job: Job) -> None:
        work: ROW = {}
        once: dict[int, ROW] = defaultdict(dict)
        for r, k, o, t in self.may(job):
            w = self.new(whole=False)
            part = 1 / (o.slots * o.busy)
            self.runs(j, r, k, t, w, part)
            self.take("cost", j, r, w, part * float(job.fetch[r]))
            work[w] = part
            once[t][w] = 1.0
        self.row(work, 1, 1)
        for terms in once.values():
            self.row(terms, -np.inf, 1)

    def move(self, j: int, job: Job) -> None:
        """Follow the data: it arrives once, stays, and leaves from where the job just ran.

        ``z[r, t]``: the data is in r in slot t. ``go[a, b, t]``: it leaves a as slot t begins and is in
        b from ``moving_slots`` later.
        """
        regions, slots = range(len(self.fleet.places.names)), range(self.slots)
        assert job.moving is not None
        option = [self.new() for _ in job.options]
        self.row(dict.fromkeys(option, 1.0), 1, 1)
        z = {(r, t): self.new() for r in regions for t in slots}
        first = {(r, t): self.new() for r in regions for t in slots}
        self.row(dict.fromkeys(first.values(), 1.0), 1, 1)
        running: dict[tuple[int, int], ROW] = defaultdict(dict)
        work: list[ROW] = [{o: -float(job.options[k].slots)} for k, o in enumerate(option)]
        for r, k, o, t in self.may(job):
            y = self.new()
            self.runs(j, r, k, t, y, 1 / o.slots)
            running[r, t][y] = 1.0
            work[k][y] = 1.0
            self.row({y: 1.0, option[k]: -1.0}, -np.inf, 0)
        for terms in work:
            self.row(terms, 0, 0)
        flow: dict[tuple[int, int], ROW] = {}
        for r, t in z:
            self.row({**running[r, t], z[r, t]: -1.0}, -np.inf, 0)
            flow[r, t] = {z[r, t]: 1.0, first[r, t]: -1.0}
            if t:
                flow[r, t][z[r, t - 1]] = -1.0
            self.take("cost", j, r, first[r, t], float(job.fetch[r]))
        for a in regions:
            for b in regions:
                for t in range(1, self.slots - job.moving_slots):
                    if a == b:
                        continue
                    go = self.new()
                    flow[a, t][go] = 1.0
                    flow[b, t + job.moving_slots][go] = -1.0
                    self.take("cost", j, b, go, float(job.moving[a, b]))
                    # it only leaves where it ran: a stop on the way would cost another sum
                    self.row({go: 1.0, **dict.fromkeys(running[a, t - 1], -1.0)}, -np.inf, 0)
        for terms in flow.values():
            self.row(terms, 0, 0)

    def limits(self) -> None:
        p, jobs, caps = self.fleet.places, self.fleet.jobs, self.fleet.caps
        held: dict[tuple[int, int, int], ROW] = defaultdict(lambda: defaultdict(float))
        power: dict[tuple[int, int], ROW] = defaultdict(lambda: defaultdict(float))
        for job, on in zip(jobs, self.on, strict=True):
            for (r, k, t), variables in on.items():
                o = job.options[k]
                for v in variables:
                    held[o.hardware, r, t][v] += o.count
                    power[r, t][v] += o.power * p.pue[r]
        for cell, terms in held.items():
            self.row(terms, -np.inf, float(p.accelerators[cell]))
        for at, terms in power.items():
            self.row(terms, -np.inf, float(p.power[at]))
        for r in range(len(p.names)):
            self.row(self.sum("carbon", region=r), -np.inf, float(p.carbon_cap[r]))
        for j, job in enumerate(jobs):
            self.row(self.sum("carbon", job=j), -np.inf, job.carbon_cap)
        for name in ("cost", "carbon", "water"):
            self.row(self.sum(name), -np.inf, getattr(caps, name))

    def sum(self, name: str, job: int | None = None, region: int | None = None) -> ROW:
        total: ROW = defaultdict(float)
        for (j, r), terms in self.taken[name].items():
            if job in (None, j) and region in (None, r):
                for v, amount in terms.items():
                    total[v] += amount
        return total

    def cost(self) -> np.ndarray:
        c = np.zeros(len(self.whole))
        w = self.fleet.weights
        for name, weight in (("cost", w.cost), ("carbon", w.carbon), ("water", w.water)):
            for v, amount in self.sum(name).items():
                c[v] += weight * amount
        return c

    def constraints(self) -> LinearConstraint:
        kept = [row for row in self.rows if np.isfinite(row[1]) or np.isfinite(row[2])]
        at = [(i, v, a) for i, (terms, _, _) in enumerate(kept) for v, a in terms.items()]
        i, v, a = (np.array(x) for x in zip(*at, strict=True))
        matrix = csr_array((a.astype(float), (i, v)), shape=(len(kept), len(self.whole)))
        return LinearConstraint(matrix, [row[1] for row in kept], [row[2] for row in kept])

    def read(self, x: np.ndarray) -> Schedule:
        return Schedule(tuple(self.runs_of(j, job, x) for j, job in enumerate(self.fleet.jobs)))

    def runs_of(self, j: int, job: Job, x: np.ndarray) -> tuple[Run, ...]:
        share = {cell: float(sum(x[v] for v in variables)) for cell, variables in self.on[j].items()}
        if job.kind == "split":
            return tuple(
                Run(r, k, np.array([t]), np.array([s])) for (r, k, t), s in share.items() if s > 1e-9
            )
        cells = sorted((t, r, k) for (r, k, t), s in share.items() if s > 0.5)
        runs: list[Run] = []
        for t, r, k in cells:
            if runs and runs[-1].region == r:
                last = runs.pop()
                runs.append(Run(r, k, np.append(last.slots, t), np.ones(len(last.slots) + 1)))
            else:
                runs.append(Run(r, k, np.array([t]), np.ones(1)))
        return tuple(runs)
