"""The decisions of a layout in a plan: each fixed, listed, bounded or left open."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from mlsysim.core.plan_types import Block, Degree, Name

T = TypeVar("T")
Layers = Annotated[int, Field(ge=0, le=1_000_000)]
Stage = Annotated[int, Field(ge=0, le=3)]
Mode = Literal["none", "selective", "full"]


class Range(Block):
    """The least and the greatest value that a decision may take."""

    min: Degree | None = None
    max: Degree | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


Several = Annotated[list[T], Field(min_length=1, max_length=100)]
Count = Degree | Several[Degree] | Range
Number = Layers | Several[Layers] | Range
Flag = bool | Several[bool]


class Parallelism(Block):
    """Decisions: a value fixes one, a list or a range bounds it, and what is absent is left open.

    What is open is for the rule (eval) or the solver (optimize) to choose.
    """

    accelerators: Count | None = Field(None, description="how many of the fleet's are used; all if absent")
    precision: Name | Several[Name] | None = Field(
        None, description="formats to choose from; that of the workload if absent"
    )
    tp: Count | None = Field(None, description="tensor-parallel size")
    cp: Count | None = Field(None, description="context-parallel size")
    pp: Count | None = Field(None, description="pipeline stages")
    dp: Count | None = Field(None, description="data-parallel size")
    ep: Count | None = Field(None, description="expert-parallel size, out of the data-parallel ranks")
    microbatch_size: Count | None = Field(None, description="sequences a microbatch")
    interleave: Count | None = Field(None, description="model chunks a stage (virtual pipeline)")
    first_stage_layers: Number | None = Field(
        None, description="layers of the first stage; 0 for a split as even as can be"
    )
    last_stage_layers: Number | None = Field(None, description="layers of the last stage")
    recompute: Mode | Several[Mode] | None = None
    recompute_layers: Number | None = Field(
        None, description="layers of each stage that are recomputed in full; with full, 0 is all of them"
    )
    sequence_parallel: Flag | None = None
    zero_stage: Stage | Several[Stage] | None = None
    overlap_gradients: Flag | None = Field(None, description="gradient traffic hides behind compute")
    overlap_tensor: Flag | None = Field(None, description="tensor-parallel traffic hides behind compute")
    overlap_experts: Flag | None = Field(
        None, description="exchanges between experts hide behind compute of another microbatch"
    )
    overlap_pipeline: Flag | None = Field(None, description="sends between stages hide behind compute")
    offload_optimizer: Flag | None = Field(None, description="the optimizer and its state are on the host")
