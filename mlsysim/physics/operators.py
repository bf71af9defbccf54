"""The operators of a step or a pass, one by one: what a roofline has its points from.

Their times are made by the functions that make those of the whole (:mod:`mlsysim.physics.layer`,
:mod:`mlsysim.physics.inference`), and add up to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlsysim.physics import inference, lora, roofline, work
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.layer import LayerPart
from mlsysim.physics.opaque import Operations
from mlsysim.physics.training import PipelinePart
from mlsysim.physics.types import Array, number


@dataclass(frozen=True)
class Operator:
    """An operator of all layers on one accelerator, over a step (the average accelerator) or a pass.

    Attributes:
        name: for people.
        flops: operations, recomputed ones included [FLOP]; 0 of what only moves data.
        moved: read from and written to memory [byte].
        time: [s].
        wide: whether it runs in 16 bits whatever the precision of the run.
    """

    name: str
    flops: Array
    moved: Array
    time: Array
    wide: bool = False

    @property
    def intensity(self) -> Array:
        """Operations for each byte moved [FLOP/byte]."""
        return self.flops / self.moved

    @property
    def rate(self) -> Array:
        """Operations a second [FLOP/s]."""
        return self.flops / self.time


def of_step(
    job: Job,
    layer: LayerPart,
    pipe: PipelinePart,
    *,
    tp: Array,
    cp: Array,
    ep: Array,
    microbatch: Array,
    selective: Array,
    sequence_parallel: Array,
) -> list[Operator]:
    """Return the operators of a training step; their times add up to matrix and memory-bound work.

    What is waited for a host that issues operators one by one is no operator, and not among them.

    Args:
        job: the job.
        layer: of the same decisions; see :func:`mlsysim.physics.layer.layer_part`.
        pipe: the pipeline.
        tp: tensor-parallel ranks.
        cp: context-parallel ranks.
        ep: expert-parallel ranks.
        microbatch: sequences.
        selective: whether attention scores are recomputed.
        sequence_parallel: whether the rest of the layer is divided by ``tp`` too.
    """
    passes, again = layer.rounds * job.weights.layers, layer.rounds * pipe.again_total
    if isinstance(job.model, Operations):
        return [_whole(job, job.model, layer, microbatch, passes, again)]
    m, width = job.model, job.width
    tokens = microbatch * job.seq_len / cp

    gradients = 1.0 if job.lora is not None else 2.0  # of the inputs, and of weights that are trained

    def operator(
        name: str,
        flops: Array,
        moved: tuple[Array, Array],
        forward: Array,
        backward: Array,
        back: float,
        again: Array = again,
    ) -> Operator:
        """Join the passes; ``back`` is the operations of the backward pass over those of the forward one."""
        times = (forward + backward) * passes + forward * again
        count = (1.0 + back) * passes + again
        return Operator(name, flops * count, moved[0] * (passes + again) + moved[1] * passes, times)

    found = []
    for p in tf.layer_matmuls(m, tokens, tp, ep):
        forward, backward = work.products(job, [p], frozen=job.lora is not None)
        # recomputation that stops early leaves it out: see work.stopped
        repeats = 0.0 * again if job.stack.early_stop and p.name == "MLP down" else again
        moved = _product_bytes(job, p, frozen=job.lora is not None)
        found.append(operator(p.name, _flops(p), moved, sum(forward), sum(backward), gradients, repeats))
    once, back = (sum(x) for x in work.attention(job, m, tokens, tp, cp))
    repeated = np.where(np.asarray(selective) & (not job.fused_attention), once, 0.0)
    span = tf.attended(m, job.seq_len) if job.fused_attention else job.seq_len
    core = tf.attention_flops(m, tokens, span) / tp
    touched = tf.attention_bytes(m, tokens, tp, width)
    touched_back = 2.0 * touched
    if not job.fused_attention:  # the scores are written, and read as probabilities; backward twice that
        scores = 2.0 * width * tf.score_elements(m, tokens, job.seq_len, tp)
        touched = touched + scores + work.score_bytes(job, m, tokens, tp, False)
        touched_back = touched_back + 2.0 * scores + work.score_bytes(job, m, tokens, tp, True)
    found.append(operator("attention", core, (touched, touched_back), once, back + repeated, 2.0))
    stream, back_stream = work.elementwise(job, m, tokens, tp, ep, sequence_parallel)
    bandwidth = job.chip.bandwidth * job.chip.bandwidth_share * job.chip.kernel_share
    moved = (stream * bandwidth, back_stream * bandwidth)
    found.append(operator("norms, residuals, activations", 0.0, moved, stream, back_stream, 2.0))
    added, added_back = work.biased(job, m, tokens, ep, np.where(sequence_parallel, tp, 1.0))
    if np.any(added):
        moved = (added * bandwidth, added_back * bandwidth)
        found.append(operator("biases of experts", 0.0, moved, added, added_back, 2.0))
    if job.lora is not None:
        pairs = lora.matmuls(m, job.lora, tokens, tp)
        read = [_product_bytes(job, p) for p in pairs]
        sizes = (sum(x for x, _ in read), sum(x for _, x in read))
        forward, backward = work.adapters(job, m, tokens, tp)
        found.append(operator("adapters", sum(_flops(p) for p in pairs), sizes, forward, backward, 2.0))
    head = tf.Matmul(tokens, m.hidden, m.vocab / tp)
    rounds = layer.rounds
    found.append(
        Operator(
            "vocabulary",
            (1.0 + gradients) * _flops(head) * rounds,
            sum(_product_bytes(job, head, frozen=job.lora is not None)) * rounds,
            (layer.head + layer.head_stream) * rounds,
            wide=not job.stack.narrow_head,
        )
    )
    return [_plain(x) for x in found]


def _product_bytes(job: Job, p: tf.Matmul, *, frozen: bool = False) -> tuple[Array, Array]:
    """Return what a product moves forward, and backward with the sum of the gradients of weights [byte]."""
    forward = roofline.matmul_bytes(p, job.width)
    if frozen:
        return forward, forward
    weights = p._replace(rows=p.inner, inner=p.rows)
    return forward, forward + roofline.matmul_bytes(weights, job.width, summed=work.SUM)


def _whole(
    job: Job, m: Operations, layer: LayerPart, microbatch: Array, passes: Array, again: Array
) -> Operator:
    """Return a model that is known by its totals as one operator."""
    moved = m.params_read * job.width + microbatch * (m.moved + m.activations * job.width)
    times = (layer.matmul + layer.elementwise) * passes
    times = times + (layer.again_matmul + layer.again_elementwise) * again
    count = 3.0 * passes + again
    return _plain(Operator("model", microbatch * m.flops * count, moved * count, times))


def of_pass(
    m: tf.Transformer,
    chip: roofline.Chip,
    load: inference.Load,
    *,
    width: float,
    tp: Array = 1.0,
    shared_reads: bool = True,
    rereads: float | None = None,
) -> list[Operator]:
    """Return the operators of an inference pass; with collectives their times add up to it.

    A pass whose kernels the host launches one by one may take longer. Arguments are those of
    :func:`mlsysim.physics.inference.forward`.
    """
    products = inference.products_of(m, load, tp)
    head = inference.head_of(m, load, tp)
    wide = max(width, inference.ACTIVATION)
    flops, cached, times, scores = inference.attention_of(
        m, chip, load, width=width, tp=tp, shared_reads=shared_reads
    )
    moved, kernels = inference.between(m, products, load, width=width, tp=tp)
    fresh = m.layers * tf.attention_bytes(m, load.tokens, tp, wide)
    found = [
        Operator(p.name, _flops(p), roofline.matmul_bytes(p, width), roofline.matmul_time(p, chip, width))
        for p in products
    ]
    found += [
        Operator(
            "attention",
            flops,
            cached * (times if rereads is None else 1.0) + fresh,
            np.maximum(scores, roofline.cache_time(cached, chip, times, rereads)),
            wide=True,
        ),
        Operator(
            "norms, residuals, activations",
            0.0,
            moved,
            roofline.stream_time(moved, chip) + chip.launch * kernels,
        ),
        Operator(
            head.name,
            _flops(head),
            roofline.matmul_bytes(head, wide),
            roofline.matmul_time(head, roofline.wide(chip), wide),
            wide=True,
        ),
    ]
    return [_plain(x) for x in found]


def of_samples(m: Operations, chip: roofline.Chip, *, batch: Array, width: float) -> list[Operator]:
    """Return a pass of a model that is known by its totals, as one operator.

    See :func:`mlsysim.physics.opaque.single_pass`.
    """
    from mlsysim.physics.opaque import single_pass

    done = single_pass(m, chip, batch=batch, width=width)
    moved = done.stream * chip.bandwidth * chip.bandwidth_share
    return [_plain(Operator("model", done.flops, moved, done.time))]


def together(found: Iterable[Operator]) -> float:
    """Return the time of operators in all [s]."""
    return float(sum(x.time for x in found))


def _flops(p: tf.Matmul) -> Array:
    return 2.0 * p.rows * p.inner * p.columns * p.count


def _plain(x: Operator) -> Operator:
    """Return an operator in plain numbers, where it is one and not a row of them."""
    flops, moved, time = (number(np.squeeze(v)) for v in (x.flops, x.moved, x.time))
    return Operator(x.name, flops, moved, time, x.wide)
