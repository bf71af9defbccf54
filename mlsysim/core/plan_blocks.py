"""Blocks of a plan that single walls look at. All are optional."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field

from mlsysim.core.plan_types import Block, Cap, Degree, Name, Quantity
from mlsysim.physics.topology import KINDS as TOPOLOGIES
from mlsysim.walls import Limits

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=1e6)]
Topology = Literal[TOPOLOGIES]  # type: ignore[valid-type]


def limit_fields() -> dict[str, Any]:
    """Return the fields of a plan's ``constraints`` block, one for each limit of a wall."""
    found: dict[str, Any] = {}
    for f in fields(Limits):
        meta = f.metadata
        kind: Any = Annotated[float, Field(gt=0, le=1)] if meta["share"] else Cap
        unit = "" if meta["unit"] == "1" else f" [{meta['unit']}]"
        found[f.name] = (kind | None, Field(None, description=f"wall {meta['wall']}: {meta['text']}{unit}"))
    return found


def quantity(unit: str, text: str) -> Any:
    """Declare an optional quantity; a bare number is in ``unit``."""
    return Field(None, description=f"{text} [{unit}]", json_schema_extra={"unit": unit})


class DataBlock(Block):
    """Training data: where it lies and what it takes to prepare it (walls 8 and 9)."""

    storage: Name | None = Field(None, description="storage of the zoo: mlsysim zoo systems")
    storage_capacity: Quantity | None = quantity("TiB", "size of a file system that is sold by size")
    bytes_per_sample: Quantity | None = quantity("byte/sample", "read for a sample")
    bytes_per_token: Quantity | None = quantity("byte/token", "read for a token")
    cpu_per_sample: Quantity | None = quantity("s/sample", "time of one core to prepare a sample")
    cpu_per_token: Quantity | None = quantity("s/token", "time of one core to prepare a token")
    cached: Share = Field(0.0, description="share that is read from memory instead")
    cores_per_accelerator: Factor | None = Field(None, description="processor cores for each accelerator")


class NetworkBlock(Block):
    """The network between servers (wall 10)."""

    topology: Topology | None = Field(None, description="fat_tree if absent")
    oversubscription: Annotated[float, Field(ge=1, le=1000)] | None = None
    pod: Degree | None = Field(None, description="accelerators below which nothing is oversubscribed")


class ReliabilityBlock(Block):
    """Failures and slow ranks (wall 15)."""

    record: Name | None = Field(None, description="a reliability record of the zoo: mlsysim zoo systems")
    mtbf: Quantity | None = quantity("h", "mean time between failures of one accelerator, all causes")
    restart_time: Quantity | None = quantity("s", "to replace what failed and start again")
    detection_time: Quantity | None = quantity("s", "until a failure is noticed")
    rank_variation: Share | None = Field(
        None, description="coefficient of variation of the ranks' step times"
    )


class CheckpointBlock(Block):
    """Checkpoints (walls 15 and 19)."""

    interval: Quantity | None = quantity("s", "computing time between checkpoints; the best one if absent")
    asynchronous: bool = Field(False, description="the run goes on while a snapshot is written")
    storage: Name | None = Field(None, description="storage of the zoo; that of the data if absent")
    storage_capacity: Quantity | None = quantity("TiB", "size of a file system that is sold by size")
    reduction: Annotated[float, Field(ge=1, le=1000)] = Field(
        1.0, description="by how much writing only changes, in fewer bits, shrinks a checkpoint"
    )


class FidelityBlock(Block):
    """Compression of the model (wall 13)."""

    method: Name | None = Field(
        None, description="how it is compressed; the usual way of the format if absent"
    )
    weights: Name | None = Field(None, description="format of the weights; that of the run if absent")
    sparsity: Annotated[str, Field(max_length=20)] = Field("none", description="none, 2:4, 4:8 or e.g. 50%")


class PrivacyBlock(Block):
    """Training with differential privacy (wall 20)."""

    clipping: Literal["per_example", "ghost", "book_keeping"] = "per_example"
    slowdown: Annotated[float, Field(ge=1, le=1e4)] | None = Field(
        None, description="time of a private step over a plain one"
    )
    noise: Annotated[float, Field(gt=0, le=1e4)] | None = Field(
        None, description="standard deviation of the noise over the clipping norm"
    )
    samples: Degree | None = Field(None, description="samples of the data set")
    epochs: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    accountant: Literal["pld", "rdp"] = "pld"


class FairnessBlock(Block):
    """Groups among which error rates are compared (wall 20)."""

    groups: Annotated[int, Field(ge=2, le=10_000)]
    smallest_group: Degree | None = Field(None, description="samples of the smallest group")
    difference: Annotated[float, Field(gt=0, lt=1)] | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None


class DraftBlock(Block):
    """Speculative decoding."""

    model: Name
    tokens: Degree | None = None
    acceptance: Annotated[float, Field(gt=0, le=1)] | None = None


class DisaggregatedBlock(Block):
    """Instances for prefill and for decode."""

    prefills: Degree = 1
    decodes: Degree = 1
    layerwise: bool = False


class ServingBlock(Block):
    """Requests that are answered token by token (walls 4 and 5)."""

    prompt: Factor | None = Field(None, description="tokens of a prompt, on average")
    output: Annotated[float, Field(ge=1, le=1e6)] | None = Field(None, description="tokens of an answer")
    prompt_cv: Annotated[float, Field(ge=0, le=100)] = 0.0
    output_cv: Annotated[float, Field(ge=0, le=100)] | None = None
    shared_prefix: Factor = Field(0.0, description="prompt tokens that all requests have in common")
    longest: Degree | None = Field(None, description="tokens of the longest sequence; the model's context")
    requests: Degree | None = Field(None, description="running at once on a replica; the batch if absent")
    scheduler: Literal["prefill_first", "chunked", "disaggregated"] = "prefill_first"
    token_budget: Degree | None = Field(None, description="tokens of a pass of the chunked scheduler")
    tp: Degree = Field(1, description="accelerators of a replica")
    paged: bool = True
    kv_block: Degree | None = None
    kv_memory_share: Annotated[float, Field(gt=0, le=1)] | None = None
    draft: DraftBlock | None = None
    disaggregated: DisaggregatedBlock = Field(default_factory=lambda: DisaggregatedBlock.model_validate({}))


class QueueBlock(Block):
    """Requests that arrive and wait (wall 7)."""

    rate: Cap = Field(description="requests a second, all replicas together")
    percentile: Annotated[float, Field(gt=0, lt=1)] | None = None
    arrival_cv: Annotated[float, Field(ge=0, le=100)] | None = None
    service_cv: Annotated[float, Field(ge=0, le=100)] | None = None
    fanout: Degree = Field(1, description="parts that all have to answer")


class ReasoningBlock(Block):
    """Answers that are thought about (wall 12)."""

    steps: Degree
    tokens_per_step: Degree
    samples: Degree = 1
    revisions: Degree = 1
    verify: Quantity | None = quantity("s", "to choose among the samples")


class TenancyBlock(Block):
    """A fleet that is shared (wall 16)."""

    utilization: Annotated[float, Field(ge=0, le=1000)]
    places: Degree = Field(1, description="jobs that run at once")
    job_time: Quantity | None = quantity("h", "mean time of a job; that of this one if absent")
    arrival_cv: Annotated[float, Field(ge=0, le=100)] | None = None
    job_cv: Annotated[float, Field(ge=0, le=100)] | None = None


class StreamingBlock(Block):
    """Weights that come in from outside, layer by layer (wall 6)."""

    injection: Cap | None = Field(
        None,
        description="bandwidth into the accelerator [GB/s]; that of its server's network if absent",
        json_schema_extra={"unit": "GB/s"},
    )
