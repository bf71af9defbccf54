"""``mlsysim.optimize``: the best plan, with its proof.

``mlsysim.optimize.parallelism(plan)`` and ``mlsysim.optimize.placement(plan, carbon_tax=150)`` take a
path, a mapping or a plan, and return an :class:`Optimization`.
"""

from __future__ import annotations

from mlsysim.core.solver.optimization import Optimization
from mlsysim.core.solver.optimizers import parallelism, placement
from mlsysim.core.solver.pareto import Pareto, pareto
from mlsysim.core.solver.robust import robust

__all__ = ["Optimization", "Pareto", "parallelism", "pareto", "placement", "robust"]
