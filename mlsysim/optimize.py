"""``mlsysim.optimize``: the best plan, with its proof.

``mlsysim.optimize.parallelism(plan)`` and ``mlsysim.optimize.placement(plan, carbon_tax=150)`` take a
path, a mapping or a plan, and return an :class:`Optimization`; of a plan with several jobs, placement
returns a :class:`Placement`.
"""

from __future__ import annotations

from mlsysim.core.solver.optimization import Optimization
from mlsysim.core.solver.optimizers import Placement, parallelism, placement
from mlsysim.core.solver.pareto import Pareto, pareto
from mlsysim.core.solver.robust import robust

__all__ = ["Optimization", "Pareto", "Placement", "parallelism", "pareto", "placement", "robust"]
