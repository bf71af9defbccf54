"""Recipe: where to run, under price, carbon and water.

One choice, the region; the tables are :func:`mlsysim.physics.operations.bill` over all candidates
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from formulations.joint import Cells
from formulations.problem import Problem
from formulations.rows import add_rows
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.machine import site_of
from mlsysim.core.scenario import Bound
from mlsysim.infra import Region
from mlsysim.physics.operations import Bill, Site, bill, taxed


@dataclass(frozen=True)
class Recipe:
    """A problem and how to read its answer."""

    problem: Problem
    regions: tuple[Region, ...]

    def decode(self, cells: Cells) -> Region:
        """Return the region that a solution stands for."""
        (at,) = cells.values()
        return self.regions[int(at[0])]


def formulate(
    here: Evaluation, regions: tuple[Region, ...], tax: float, bounds: tuple[Bound, ...] = ()
) -> Recipe:
    """Return the problem of the least cost plus carbon tax.

    Args:
        here: the evaluated plan; its step, layout and fleet do not depend on the region.
        regions: candidates.
        tax: carbon tax [USD/kgCO2e].
        bounds: assertions that the answer must keep.
    """
    s = here.scenario
    problem = Problem("placement")
    region = problem.choose("region", region=np.arange(len(regions)))
    sites = [site_of(r, s.settings.pue) for r in regions]
    site = Site(**{f.name: np.array([getattr(x, f.name) for x in sites]) for f in fields(Site)})
    whole = bill(s.fleet, site, s.duration, s.settings.rented)
    tables = Bill(**{f.name: region.table(getattr(whole, f.name)) for f in fields(Bill)})
    add_rows(problem, replace(here.state, bill=tables), bounds)
    problem.minimize(taxed(tables.tco, tables.carbon, tax))
    return Recipe(problem, regions)
