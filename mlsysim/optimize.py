"""``mlsysim.optimize``: the best plan, with its proof.

``mlsysim.optimize.parallelism(plan)``, ``mlsysim.optimize.batching(plan, qps=40, sla_ms=5000)`` and
``mlsysim.optimize.placement(plan, carbon_tax=150)`` take a path, a mapping or a plan, and return an
:class:`Optimization`; of a plan with several jobs, placement returns a :class:`Placement`.
``mlsysim.optimize.serving(plan)`` returns a :class:`ServingMix`.
"""

from __future__ import annotations

from mlsysim.core.solver.batching import batching
from mlsysim.core.solver.optimization import Optimization
from mlsysim.core.solver.optimizers import Placement, parallelism, placement
from mlsysim.core.solver.pareto import Pareto, pareto
from mlsysim.core.solver.robust import robust
from mlsysim.core.solver.serving_mix import ServingMix, serving

__all__ = [
    "Optimization",
    "Pareto",
    "Placement",
    "ServingMix",
    "batching",
    "parallelism",
    "pareto",
    "placement",
    "robust",
    "serving",
]
