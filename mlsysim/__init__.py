"""mlsysim: will it fit, how fast, what does it cost and emit, and what is the best way to run it.

Public names are loaded when they are first used; importing the package imports no solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "1.0.0.dev0"

if TYPE_CHECKING:
    from mlsysim import optimize, solve, viz
    from mlsysim.core.api import SystemEvaluator, evaluate_fleet, evaluate_plan, scenario
    from mlsysim.core.errors import MlsysimError
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.layout import Layout
    from mlsysim.core.plan import Plan
    from mlsysim.core.serve import serve
    from mlsysim.core.solver.pipeline import Pipeline
    from mlsysim.core.zoo_names import HardwareZoo, InfraZoo, ModelsZoo, SystemsZoo
    from mlsysim.infra import Region
    from mlsysim.models import Model
    from mlsysim.space.design import DesignSpace
    from mlsysim.systems import Fabric, Node

    Models: ModelsZoo
    Hardware: HardwareZoo
    Infra: InfraZoo
    Systems: SystemsZoo

_HOMES = {
    "DesignSpace": "mlsysim.space.design",
    "SystemEvaluator": "mlsysim.core.api",
    "serve": "mlsysim.core.serve",
    "scenario": "mlsysim.core.api",
    "evaluate_plan": "mlsysim.core.api",
    "evaluate_fleet": "mlsysim.core.api",
    "MlsysimError": "mlsysim.core.errors",
    "Evaluation": "mlsysim.core.evaluation",
    "Layout": "mlsysim.core.layout",
    "Pipeline": "mlsysim.core.solver.pipeline",
    "Plan": "mlsysim.core.plan",
    "Model": "mlsysim.models",
    "Region": "mlsysim.infra",
    "Node": "mlsysim.systems",
    "Fabric": "mlsysim.systems",
}
_ZOO = {
    "Models": "mlsysim.models",
    "Hardware": "mlsysim.hardware",
    "Infra": "mlsysim.infra",
    "Systems": "mlsysim.systems",
}

_PACKAGES = frozenset(
    {
        "core",
        "hardware",
        "infra",
        "models",
        "optimize",
        "physics",
        "solve",
        "space",
        "systems",
        "viz",
        "walls",
    }
)

__all__ = [
    "DesignSpace",
    "Evaluation",
    "Fabric",
    "Hardware",
    "Infra",
    "Layout",
    "MlsysimError",
    "Model",
    "Models",
    "Node",
    "Pipeline",
    "Plan",
    "Region",
    "SystemEvaluator",
    "Systems",
    "evaluate_fleet",
    "evaluate_plan",
    "optimize",
    "scenario",
    "serve",
    "solve",
    "viz",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _ZOO:
        from mlsysim.core.registry import Namespace

        value: Any = Namespace(import_module(_ZOO[name]).CATALOG)
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _PACKAGES:
        return import_module(f"mlsysim.{name}")
    else:
        raise AttributeError(f"module 'mlsysim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
