"""What the emitters read: one evaluated training plan as plain numbers.

The only place that looks into an evaluation, so that a decision which a layout does not have yet
is taken at its default here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.scenario import Scenario
from mlsysim.models import Architecture
from mlsysim.physics.transformer import Transformer
from mlsysim.systems import node


@dataclass(frozen=True)
class Handover:
    """A plan in the words of a framework.

    Attributes:
        target: the framework.
        text: the file's content.
        filename: what to call the file.
        notes: what the framework cannot express, or what the reader still has to fill in.
    """

    target: str
    text: str
    filename: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Launch:
    """A training plan as launch settings; whole numbers, whatever the framework.

    ``first_stage_layers`` and ``last_stage_layers`` are 0 where the layers are split evenly;
    ``recompute_layers`` is 0 where all layers are recomputed; ``steps`` and ``save_interval`` are
    None where the plan does not say.
    """

    title: str
    model_name: str
    model: Transformer
    architecture: Architecture
    precision: str
    optimizer: str
    batch: int
    seq_len: int
    accelerators: int
    per_node: int
    steps: int | None
    save_interval: int | None
    dropout: bool
    fused_attention: bool
    gradient_bytes: float
    tp: int
    cp: int
    pp: int
    dp: int
    ep: int
    microbatch: int
    interleave: int
    recompute: str
    recompute_layers: int
    sequence_parallel: bool
    zero_stage: int
    first_stage_layers: int
    last_stage_layers: int
    offload_optimizer: bool
    overlap_gradients: bool
    overlap_tensor: bool
    overlap_experts: bool
    overlap_pipeline: bool

    @property
    def layers(self) -> int:
        """Layers of the model."""
        return int(self.model.layers)

    @property
    def accumulation(self) -> int:
        """Microbatches that a data-parallel rank adds up in a step."""
        return self.batch // (self.dp * self.microbatch)

    @property
    def nodes(self) -> int:
        """Servers that run the job."""
        return self.accelerators // self.per_node

    @property
    def decoder(self) -> bool:
        """Whether the model is a plain causal decoder."""
        return self.model.causal and self.model.attention_blocks == 1.0

    @property
    def stages(self) -> tuple[int, ...]:
        """Layers of each pipeline stage.

        First and last as decided, the others evenly; what is left over goes to the earlier ones.
        """
        if self.pp == 1:
            return (self.layers,)
        ends = self.first_stage_layers, self.last_stage_layers
        middle = self.pp - sum(1 for n in ends if n)
        between = _split(self.layers - sum(ends), middle)
        first, last = ((n,) if n else () for n in ends)
        return first + between + last

    @property
    def chunks(self) -> tuple[int, ...]:
        """Layers of each model chunk in the order of the model: round robin over the stages."""
        parts = [_split(n, self.interleave) for n in self.stages]
        return tuple(part[v] for v in range(self.interleave) for part in parts)

    @property
    def even(self) -> bool:
        """Whether all chunks hold equally many layers."""
        return len(set(self.chunks)) == 1

    @property
    def summary(self) -> str:
        """The layout in one line."""
        experts = f" x ep {self.ep} out of dp" if self.ep > 1 else ""
        return (
            f"tp {self.tp} x cp {self.cp} x pp {self.pp} x dp {self.dp} = {self.accelerators} "
            f"accelerators{experts}; batch {self.batch} = dp {self.dp} x microbatch {self.microbatch} "
            f"x {self.accumulation} accumulated"
        )

    def head(self, target: str) -> list[str]:
        """Return the lines that say what a file is, for a comment."""
        return [
            f"{self.title}: {target}, written by mlsysim",
            f"model {self.model_name}, {self.precision}, sequences of {self.seq_len} tokens",
            self.summary,
        ]


def launch_of(evaluation: Evaluation) -> Launch:
    """Return an evaluated training plan as launch settings.

    Raises:
        InputError: the plan is of inference or of adapters, or its model is not a transformer.
    """
    s, layout = evaluation.scenario, evaluation.layout
    if s.job is None or layout is None:
        raise InputError(
            "only a training plan can be handed over",
            where="workload.phase",
            hint="the launch settings are those of training frameworks; set phase: training",
        )
    model, architecture = s.job.model, s.model.architecture
    if not isinstance(model, Transformer) or architecture is None:
        raise InputError(
            f"{s.model.name} is not a transformer",
            where="workload.name",
            hint="the frameworks train transformers; see: mlsysim zoo models --filter language",
        )
    if s.job.lora is not None:
        raise InputError(
            "low-rank adapters cannot be handed over yet",
            where="workload.lora",
            hint="the settings would train the whole model; --emit plan writes the layout as a plan",
        )
    checkpoint = s.extras.get("checkpoint")
    tokens, time = s.settings.tokens, float(evaluation.state.time)
    return Launch(
        title=one_line(s.name),
        model_name=one_line(s.model.name),
        model=model,
        architecture=architecture,
        precision=s.precision,
        optimizer=s.optimizer,
        batch=s.batch,
        seq_len=s.seq_len,
        accelerators=s.accelerators,
        per_node=_per_node(s),
        steps=ceil(tokens / (s.batch * s.seq_len)) if tokens else None,
        save_interval=max(1, round(float(checkpoint.interval) / time)) if checkpoint and time else None,
        dropout=s.settings.dropout,
        fused_attention=s.settings.fused_attention,
        gradient_bytes=s.state.gradients,
        tp=layout.tp,
        cp=layout.cp,
        pp=layout.pp,
        dp=layout.dp,
        ep=layout.ep,
        microbatch=layout.microbatch_size,
        interleave=layout.interleave,
        recompute=layout.recompute,
        recompute_layers=getattr(layout, "recompute_layers", 0),
        sequence_parallel=layout.sequence_parallel and layout.tp > 1,
        zero_stage=layout.zero_stage,
        first_stage_layers=getattr(layout, "first_stage_layers", 0),
        last_stage_layers=getattr(layout, "last_stage_layers", 0),
        offload_optimizer=getattr(layout, "offload_optimizer", False),
        overlap_gradients=getattr(layout, "overlap_gradients", True),
        overlap_tensor=getattr(layout, "overlap_tensor", False),
        overlap_experts=getattr(layout, "overlap_experts", False),
        overlap_pipeline=getattr(layout, "overlap_pipeline", False),
    )


def _per_node(s: Scenario) -> int:
    """Return how many processes each server starts; the same everywhere, as launchers want it."""
    server = s.settings.node or (node(s.hardware.node) if s.hardware.node else None)
    held = round(server.accelerators.base) if server else 1
    return max(d for d in range(1, min(held, s.accelerators) + 1) if s.accelerators % d == 0)


def _split(whole: int, parts: int) -> tuple[int, ...]:
    return tuple(whole // parts + (i < whole % parts) for i in range(parts))


def one_line(text: str) -> str:
    """Return text as one printable line: it lands in comments, which a line break would end."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
