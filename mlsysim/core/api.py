"""What Python users call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.layout import Layout
from mlsysim.core.resolve import Scenario, Settings, resolve
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.hardware import Hardware
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.models import CATALOG as MODELS
from mlsysim.models import Model

if TYPE_CHECKING:
    from mlsysim.core.plan import Plan

PlanLike: TypeAlias = "str | Path | dict[str, Any] | Plan"


@contextmanager
def placing(plan: PlanLike) -> Iterator[None]:
    """Give errors that name a key of a plan file the file and the line."""
    try:
        yield
    except InputError as error:
        if isinstance(plan, str | Path) and error.where and not error.where.startswith(str(plan)):
            from mlsysim.core import yamlfile

            document = yamlfile.load(yamlfile.read_text(Path(plan)), str(plan))
            error.where = document.where(tuple(error.where.split(".")))
        raise


def scenario(plan: PlanLike) -> Scenario:
    """Return a plan as a scenario: names looked up, defaults filled in, units stripped.

    Args:
        plan: a path, a mapping, or a :class:`mlsysim.Plan`.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    from mlsysim.core.plan import load
    from mlsysim.core.resolve import settings_of

    with placing(plan):
        return resolve(settings_of(*load(plan)))


def evaluate_plan(plan: PlanLike) -> Evaluation:
    """Return the evaluation of a plan: a path, a mapping, or a :class:`mlsysim.Plan`.

    Raises:
        InputError: with the place in the plan, the problem and the remedy.
    """
    with placing(plan):
        return evaluate(scenario(plan))


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
        settings = Settings(
            model=MODELS.get(model_obj) if isinstance(model_obj, str) else model_obj,
            hardware=HARDWARE.get(hardware_obj) if isinstance(hardware_obj, str) else hardware_obj,
            name=scenario_name,
            phase=phase,
            batch=_whole("batch_size", batch_size),
            seq_len=None if seq_len is None else _whole("seq_len", seq_len),
            precision=precision,
            efficiency=_efficiency(efficiency),
            accelerators=_whole("accelerators", accelerators),
            region=INFRA.get(region) if isinstance(region, str) else region,
        )
        return evaluate(resolve(settings), layout)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000_000:
        raise InputError(
            f"{value!r} is not allowed here", where=name, hint="give a whole number from 1 to 1,000,000,000"
        )
    return value


def _efficiency(value: float | str | None) -> float | None:
    if value is None or value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InputError(
            f"{value!r} is not allowed here",
            where="efficiency",
            hint="give 'auto' or a share of the peak above 0 and at most 1",
        )
    return float(value)
