"""Hand-over: a training plan as the launch settings of a training framework."""

from __future__ import annotations

from collections.abc import Callable

from mlsysim.core.errors import unknown
from mlsysim.core.evaluation import Evaluation
from mlsysim.handover import deepspeed, megatron, nemo, torchtitan
from mlsysim.handover.launch import Handover, Launch, launch_of

__all__ = ["TARGETS", "Handover", "Launch", "emit", "launch_of"]

EMITTERS: dict[str, Callable[[Launch], Handover]] = {
    "megatron": megatron.emit,
    "nemo": nemo.emit,
    "torchtitan": torchtitan.emit,
    "deepspeed": deepspeed.emit,
}
TARGETS = tuple(EMITTERS)


def emit(evaluation: Evaluation, target: str) -> Handover:
    """Return an evaluated training plan as launch settings of a framework.

    Args:
        evaluation: of a training plan.
        target: one of :data:`TARGETS`.

    Raises:
        InputError: an unknown framework, a plan of inference, or a model that is not a transformer.
    """
    if target not in EMITTERS:
        raise unknown("framework", target, TARGETS).at("emit")
    return EMITTERS[target](launch_of(evaluation))
