"""``mlsysim.solve``: why a plan is the best, what a supply is worth, and what a target takes.

``mlsysim.solve.explain(plan)``, ``mlsysim.solve.sensitivity(plan)`` and
``mlsysim.solve.synthesis(plan, target="performance.latency <= 10 s")`` take a path, a mapping or a plan.
"""

from __future__ import annotations

from mlsysim.core.solver.designing import synthesis
from mlsysim.core.solver.explain import explain
from mlsysim.core.solver.prices import sensitivity

__all__ = ["explain", "sensitivity", "synthesis"]
