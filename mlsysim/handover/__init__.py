"""Hand-over: a training plan as the launch settings of a training framework."""

from __future__ import annotations

from collections.abc import Callable

from mlsysim.core.errors import unknown
from mlsysim.core.evaluation import Evaluation
from mlsysim.handover import deepspeed, megatron, nemo, torchtitan
from mlsysim.handover.launch import Handover, Launch, launch_of

__all__ = ["TARGETS", "Handover", "Launch", "check_target", "emit", "hand_over", "launch_of"]

EMITTERS: dict[str, Callable[[Launch], Handover]] = {
    "megatron": megatron.emit,
    "nemo": nemo.emit,
    "torchtitan": torchtitan.emit,
    "deepspeed": deepspeed.emit,
}
TARGETS = tuple(EMITTERS)
PLAN = "plan"


def check_target(target: str) -> None:
    """Refuse a target that does not exist, before any work is done for it.

    Raises:
        UnknownNameError: naming those that there are.
    """
    if target not in EMITTERS and target != PLAN:
        raise unknown("target", target, (PLAN, *TARGETS)).at("emit")


def hand_over(evaluation: Evaluation, target: str) -> Handover:
    """Return an evaluated training plan as a plan file, or as launch settings of a framework."""
    if target != PLAN:
        return emit(evaluation, target)
    import yaml

    return Handover(PLAN, yaml.safe_dump(evaluation.plan(), sort_keys=False), "plan.yaml", ())


def emit(evaluation: Evaluation, target: str) -> Handover:
    """Return an evaluated training plan as launch settings of a framework.

    Args:
        evaluation: of a training plan.
        target: one of :data:`TARGETS`.

    Raises:
        InputError: an unknown framework, a plan of inference, or a model that is not a transformer.
    """
    check_target(target)
    return EMITTERS[target](launch_of(evaluation))
