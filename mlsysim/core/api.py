"""What Python users call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.layout import Layout
from mlsysim.core.legal import check_layout
from mlsysim.core.records import Entry
from mlsysim.core.resolve import Scenario, Settings, resolve
from mlsysim.hardware import Hardware
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra import Region
from mlsysim.infra.own import resolve_region
from mlsysim.models import Model
from mlsysim.models.own import resolve_model

if TYPE_CHECKING:
    from mlsysim.core.plan import Plan
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.yamlfile import Document

T = TypeVar("T")
E = TypeVar("E", bound=Entry)
PlanLike: TypeAlias = "str | Path | dict[str, Any] | Document | Plan"

# The plan file that was read last, for the places of errors found after reading it.
_document: ContextVar[Document | None] = ContextVar("document", default=None)


@contextmanager
def placing(plan: PlanLike) -> Iterator[None]:
    """Give errors that name a key of a plan file the file and the line."""
    try:
        yield
    except InputError as error:
        from mlsysim.core.yamlfile import Document

        document = _document.get()
        keys = tuple(int(k) if k.isdecimal() else k for k in error.where.split("."))
        name = plan.name if isinstance(plan, Document) else str(plan)
        if document and document.name and document.name == name and keys[0] in _plan_keys():
            error.where = document.where(keys)
        raise


def _plan_keys() -> set[str]:
    from mlsysim.core.plan import Plan

    return set(Plan.model_fields)


def scenario(plan: PlanLike) -> Scenario:
    """Return a plan as a scenario: names looked up, defaults filled in, units stripped.

    Args:
        plan: a path, a mapping, or a :class:`mlsysim.Plan`.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    from mlsysim.core.plan import load
    from mlsysim.core.resolve import settings_of
    from mlsysim.core.supplies import check

    with placing(plan):
        parsed, document = load(plan)
        _document.set(document)
        one_service(parsed, document)
        found = resolve(settings_of(parsed, document))
        check(found, lambda name: document.where(("what_if", name)))
        return found


def one_service(plan: Plan, document: Document) -> None:
    """Refuse a plan with a mix of requests, of which its workload and accelerators alone say nothing.

    Raises:
        InputError: it has one.
    """
    if plan.mix is not None:
        raise InputError(
            "which accelerators answer a mix of requests is still to be decided: nothing to evaluate yet",
            where=document.where(("mix",)) or "mix",
            hint="mlsysim optimize serving decides it and says what each pool does; without the mix, "
            "the plan is one service",
        )


def evaluate_plan(plan: PlanLike) -> Evaluation:
    """Return the evaluation of a plan: a path, a mapping, or a :class:`mlsysim.Plan`.

    A plan with several jobs is evaluated by :func:`evaluate_fleet`.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    with placing(plan):
        return evaluate(scenario(plan))


def evaluate_fleet(plan: object) -> Placement:
    """Return the evaluation of a plan with several jobs: each where it is now, as soon as it fits.

    A job that the plan places nowhere runs in the cheapest region that has room.

    Args:
        plan: a path, a mapping, or a :class:`mlsysim.core.fleet_plan.FleetPlan`.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    from mlsysim.core.fleet_plan import load
    from mlsysim.core.schedule.placement import evaluated
    from mlsysim.core.schedule.resolve import resolve_fleet

    return evaluated(resolve_fleet(*load(plan)))


def evaluate_any(plan: object) -> Evaluation | Placement:
    """Return the evaluation of a plan, of one job or of several.

    Args:
        plan: a path, a mapping, a document or a plan of either kind.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    from mlsysim.core.fleet_plan import is_fleet, opened

    plan = opened(plan)
    return evaluate_fleet(plan) if is_fleet(plan) else evaluate_plan(plan)  # type: ignore[arg-type]


class SystemEvaluator:
    """Evaluates a model on an accelerator without a plan file."""

    @staticmethod
    def evaluate(
        scenario_name: str = "",
        model_obj: Model | str = "",
        hardware_obj: Hardware | str = "",
        batch_size: int = 1,
        precision: str | None = None,
        efficiency: float | str | None = None,
        *,
        seq_len: int | None = None,
        phase: str = "inference",
        accelerators: int = 1,
        region: Region | str | None = None,
        layout: Layout | None = None,
    ) -> Evaluation:
        """Return the evaluation of one inference step on one accelerator (or a training step).

        Args:
            scenario_name: title of the scorecard.
            model_obj: a model of the zoo, or its name.
            hardware_obj: an accelerator of the zoo, or its name.
            batch_size: sequences or samples.
            precision: number format; the accelerator's usual one if absent.
            efficiency: share of the peak that matrix work reaches, or ``auto``.
            seq_len: context of each sequence [token].
            phase: ``inference`` or ``training``.
            accelerators: how many.
            region: where, for cost and carbon.
            layout: of a training step; by rule if absent.

        Raises:
            InputError: a name, number or combination is wrong.
        """
        if phase not in ("training", "inference"):
            raise InputError(f"{phase!r} is not allowed here", where="phase", hint="training or inference")
        hardware = _entry("hardware", hardware_obj, resolve_hardware, Hardware)
        if precision is not None:
            _named("precision", precision, hardware.rate)
        settings = Settings(
            model=_entry("model", model_obj, resolve_model, Model),
            hardware=hardware,
            name=scenario_name,
            phase=phase,
            batch=_whole("batch_size", batch_size),
            seq_len=None if seq_len is None else _whole("seq_len", seq_len, 100_000_000),
            precision=precision,
            efficiency=_efficiency(efficiency),
            accelerators=_whole("accelerators", accelerators, 10_000_000),
            region=None if region is None else _entry("region", region, resolve_region, Region),
        )
        found = resolve(settings)
        if layout is not None:
            check_layout(found, layout)
        return evaluate(found, layout)


def _named(where: str, name: object, call: Callable[[str], T]) -> T:
    """Look a name up, saying which argument it is if that fails."""
    if not isinstance(name, str):
        raise InputError(f"{name!r} is not allowed here", where=where, hint="give a name of the zoo")
    try:
        return call(name)
    except InputError as error:
        error.at(where)
        raise


def _entry(where: str, given: object, look_up: Callable[[str], E], kind: type[E]) -> E:
    return given if isinstance(given, kind) else _named(where, given, look_up)


def _whole(name: str, value: object, most: int = 1_000_000_000) -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if not 1 <= number <= most:
        raise InputError(
            f"{value!r} is not allowed here", where=name, hint=f"give a whole number from 1 to {most:,}"
        )
    return number


def _efficiency(value: object) -> float | None:
    if value is None or value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(
            f"{value!r} is not allowed here",
            where="efficiency",
            hint="give 'auto' or a share of the peak above 0 and at most 1",
        )
    return float(value)
