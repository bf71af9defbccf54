"""The ``mix`` block of a plan: which requests come, and which accelerators may answer them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlsysim.core.plan_types import Block, Cap, Degree, Name

Role = Literal["mixed", "prefill", "decode"]
Several = Annotated[list[Degree], Field(min_length=1, max_length=20)]
Tokens = Annotated[float, Field(ge=0, le=1e7)]


def time(text: str, unit: str = "ms") -> Cap | None:
    """Declare an optional time above zero."""
    found: Cap | None = Field(None, description=f"{text} [{unit}]")
    return found


class RequestClass(Block):
    """Requests of about one size, and what they are promised."""

    name: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    prompt: Tokens = Field(description="tokens of a prompt, on average")
    output: Annotated[float, Field(ge=1, le=1e6)] = Field(description="tokens of an answer, on average")
    output_cv: Annotated[float, Field(ge=0, le=100)] = 0.0
    rate: Annotated[float, Field(gt=0, le=1e9)] = Field(description="requests a second")
    ttft: Cap | None = time(
        "longest time to the first token, wait included; that of the constraints if absent"
    )
    itl: Cap | None = time("longest time between tokens; that of the constraints if absent")
    latency: Cap | None = time("longest time to the last token; the constraints' tail if absent")


class CandidateBlock(Block):
    """An accelerator to choose from."""

    name: Name = Field(description="an accelerator of the zoo: mlsysim zoo hardware")
    price: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        None, description="rent of one [USD/h]; what ops.ownership says if absent"
    )
    available: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        None, description="how many there are; no end if absent"
    )


class MixBlock(Block):
    """Requests by class, and the accelerators that may answer them: ``optimize serving``."""

    classes: Annotated[list[RequestClass], Field(max_length=20_000)] = Field(default_factory=list)
    trace: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="CSV of requests in the layout of the Azure LLM traces or of BurstGPT"
    )
    buckets: Annotated[int, Field(ge=1, le=100)] = Field(
        10, description="by which prompts of a trace are cut, and outputs likewise"
    )
    scale: Annotated[float, Field(gt=0, le=1e9)] = Field(1.0, description="factor on all rates")
    hours: (
        Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(min_length=1, max_length=168)] | None
    ) = Field(None, description="factor on all rates, hour by hour; one steady hour if absent")
    accelerators: Annotated[list[CandidateBlock], Field(max_length=100)] = Field(
        default_factory=list, description="to choose from; that of the plan if empty"
    )
    tp: Several = Field(default_factory=lambda: [1, 2, 4, 8], description="accelerators of an instance")
    precision: Annotated[list[Name], Field(min_length=1, max_length=8)] | None = Field(
        None, description="formats to choose from; that of the workload if absent"
    )
    roles: Annotated[list[Role], Field(min_length=1, max_length=3)] = Field(
        default_factory=lambda: list[Role](["mixed"]),
        description="prefill and decode split a request over two pools",
    )
    scheduler: Literal["prefill_first", "chunked"] = "chunked"
    token_budget: Degree | None = Field(None, description="tokens of a pass of the chunked scheduler")
    percentile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="of the requests that keep their time to first token"
    )
    arrival_cv: Annotated[float, Field(ge=0, le=100)] | None = None
    wait_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="of the time to first token that may be spent waiting"
    )
    spare: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="instances of each pool that may be down while targets hold"
    )
    start_up: Cap | None = Field(None, description="time that an instance is paid before it answers [min]")

    @model_validator(mode="after")
    def _some_requests(self) -> MixBlock:
        if bool(self.classes) == (self.trace is not None):
            raise ValueError("give classes or a trace of requests, one of them")
        if ("prefill" in self.roles) != ("decode" in self.roles):
            raise ValueError("roles: prefill and decode only go together")
        return self
