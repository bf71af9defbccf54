"""Recipe: where to run, under price, carbon and water.

One choice, the region; the tables are :func:`mlsysim.physics.operations.bill` over all candidates
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from formulations.algebra import as_expr
from formulations.joint import Cells
from formulations.problem import Problem, Row
from formulations.rows import add_rows
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.machine import site_of
from mlsysim.core.metrics import METRICS
from mlsysim.core.scenario import Bound
from mlsysim.infra import Region
from mlsysim.physics.operations import Bill, Site, bill, taxed
from mlsysim.walls import State


@dataclass(frozen=True)
class Recipe:
    """A problem and how to read its answer.

    Attributes:
        problem: with its rows; its objective is the cost.
        regions: candidates, in order of the cells.
        state: with tables over the candidates.
    """

    problem: Problem
    regions: tuple[Region, ...]
    state: State

    def decode(self, cells: Cells) -> Region:
        """Return the region that a solution stands for."""
        (at,) = cells.values()
        return self.regions[int(at[0])]

    def priced(self, problem: Problem, tax: float, water_price: float) -> Problem:
        """Return the problem of the least cost with carbon tax [USD/kgCO2e] and water price [USD/L]."""
        b = self.state.bill
        return replace(problem, objective=as_expr(taxed(b.tco, b.carbon, tax, b.water, water_price)))

    def least(
        self, problem: Problem, metrics: tuple[str, ...], index: int, at_most: tuple[float | None, ...]
    ) -> Problem:
        """Return the problem of the least of a metric within bounds on all of them.

        Args:
            problem: with the rows to keep.
            metrics: by full name.
            index: of the one to be made least.
            at_most: a bound for each in base units, or None.
        """
        tables = [as_expr(METRICS[name].parts(self.state)[0]) for name in metrics]
        rows = [
            Row("pareto", f"pareto[{i}]", table, as_expr(bound), hard=False)
            for i, (table, bound) in enumerate(zip(tables, at_most, strict=True))
            if bound is not None
        ]
        return replace(problem, objective=tables[index], rows=[*problem.rows, *rows])


def formulate(here: Evaluation, regions: tuple[Region, ...], bounds: tuple[Bound, ...] = ()) -> Recipe:
    """Return the problem of the least cost.

    Args:
        here: the evaluated plan; its step, layout and fleet do not depend on the region.
        regions: candidates.
        bounds: assertions that the answer must keep.
    """
    s = here.scenario
    problem = Problem("placement")
    region = problem.choose("region", region=np.arange(len(regions)))
    sites = [site_of(r, s.settings.pue) for r in regions]
    site = Site(**{f.name: np.array([getattr(x, f.name) for x in sites]) for f in fields(Site)})
    whole = bill(s.fleet, site, s.duration, s.settings.rented)
    tables = Bill(**{f.name: region.table(getattr(whole, f.name)) for f in fields(Bill)})
    state = replace(here.state, bill=tables)
    add_rows(problem, state, bounds)
    problem.minimize(tables.tco)
    return Recipe(problem, regions, state)
