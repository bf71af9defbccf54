"""Steps of training: the layout that a row states, and the time that the engine gives it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mlsysim.core.errors import MlsysimError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.layout import Layout, columns_of, layer_of
from mlsysim.core.legal import divisors
from mlsysim.core.resolve import Scenario
from mlsysim.core.validation import filling as fill
from mlsysim.core.validation import software, subject
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import Row
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.physics import transformer as tf
from mlsysim.physics.pipeline import layers_per_stage

MS = 1e-3


@dataclass(frozen=True)
class Quantity:
    """One thing that a row measured, and what the engine says.

    Attributes:
        name: of the quantity.
        measured, predicted: in ``unit``.
        tokens, flops: of each accelerator in the measured time: what makes a step's time a speed.
    """

    name: str
    measured: float
    predicted: float
    unit: str
    tokens: float = 1.0
    flops: float = 1.0


def job_of(row: Row, filling: Filling, **settings: Any) -> Scenario:
    """Return the training job of a row; ``settings`` replace what the row says."""
    length = fill.seq_len(row, filling)
    if length is None:
        raise NotPredictedError("the length of a sequence is not stated")
    batch = settings.pop("batch", None) or row.config.get("global_batch")
    if batch is None:
        raise NotPredictedError("the sequences of a step are not stated")
    packed = fill.packed(row, int(length), filling)
    return subject.scenario(
        row,
        filling,
        phase="training",
        batch=int(batch) * packed,
        seq_len=int(length) // packed,
        accelerators=settings.pop("accelerators", None) or subject.count_of(row),
        fused_attention=software.fused_attention(row, filling),
        attention_share=software.attention_share(row, filling),
        dropout=settings.pop("dropout", None) or software.dropout(row, filling),
        stack=software.stack(row, filling),
        lora=software.lora(row, filling),
        captured=row.config.get("graph") == "step",
        **settings,
    )


def layout_of(row: Row, s: Scenario, filling: Filling) -> Layout | None:
    """Return the layout of a row, what it leaves open filled in; None where it states no degrees.

    Raises:
        NotPredictedError: its degrees and batch do not go together.
    """
    degrees = fill.degrees(row, filling)
    if not degrees:
        return None
    tp, pp, cp = (degrees.get(name, 1) for name in ("tp", "pp", "cp"))
    dp = degrees.get("dp") or s.accelerators // (tp * pp * cp)
    if tp * pp * cp * dp != s.accelerators:
        raise NotPredictedError("tp x cp x pp x dp is not the number of accelerators")
    if s.batch % dp:
        raise NotPredictedError("the batch does not divide over the data-parallel ranks")
    sharded = fill.sequence_parallel(row, tp, filling)
    recompute = fill.recompute(row, filling)
    chunks = fill.interleave(row, pp, filling)
    packed = max(int(row.model.get("seq_len", s.seq_len)) // s.seq_len, 1)
    bare = Layout(
        tp=tp,
        cp=cp,
        pp=pp,
        dp=dp,
        ep=fill.experts_over(row, filling),
        microbatch_size=int(row.config.get("microbatch", 1)) * packed,
        interleave=chunks,
        recompute=recompute or "none",
        sequence_parallel=sharded,
        overlap_gradients=fill.overlap_gradients(row, filling),
        overlap_tensor=fill.overlap_tensor(row, tp, sharded, filling),
        overlap_experts="experts" in str(row.config.get("overlap", "")),
        overlap_pipeline=fill.overlap_pipeline(row, pp, chunks, filling),
        zero_stage=fill.zero_stage(row, filling),
        first_stage_layers=int(row.config.get("first_layers", 0)),
        last_stage_layers=int(row.config.get("last_layers", 0)),
    )
    if bare.recompute not in tf.RECOMPUTE:
        raise NotPredictedError(f"recomputation {bare.recompute!r} is not modelled")
    if "microbatch" not in row.config:
        bare = _microbatch(s, bare, filling)
    if s.batch % (dp * bare.microbatch_size):
        raise NotPredictedError("the batch does not divide into microbatches")
    return _recompute(s, bare, software.scanned(row), filling) if recompute is None else bare


def _microbatch(s: Scenario, layout: Layout, filling: Filling) -> Layout:
    """Return a layout with the microbatch that such a run would take."""
    sizes = divisors(s.batch // layout.dp) if layout.pp == 1 else [1]
    fitting = [n for n in sizes if _fits(s, replace(layout, microbatch_size=n))] or [1]
    rule = "not stated: as many as fit, one where there are pipeline stages"
    return replace(layout, microbatch_size=filling.take("microbatch", max(fitting), rule))


def _recompute(s: Scenario, layout: Layout, scanned: bool, filling: Filling) -> Layout:
    """Return a layout with the least recomputation that fits; of a scan over layers, in all or in none."""
    assert s.job is not None
    modes = ("none",) if s.job.fused_attention else ("none", "selective")
    tried = (replace(layout, recompute=mode) for mode in modes)
    found = next((each for each in tried if _fits(s, each)), None)
    rule = "not stated: the least that fits the memory, layer by layer"
    if scanned:
        rule = "not stated, layers in a scan of JAX: all are recomputed where not all fit"
        found = found or replace(layout, recompute="full")
    found = found or _fewest_layers(s, layout)
    again = f" {found.recompute_layers}" if found.recompute_layers else ""
    filling.take("recompute", found.recompute + again, rule)
    return found


def _fewest_layers(s: Scenario, layout: Layout) -> Layout:
    """Return a layout with as few layers of a stage recomputed as fit; all where none fits."""
    assert s.job is not None
    most = int(layers_per_stage(s.job.weights.layers, layout.pp))
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _fits(s, replace(layout, recompute="full", recompute_layers=middle)):
            high = middle
        else:
            low = middle + 1
    return replace(layout, recompute="full", recompute_layers=0 if low == most else low)


def _fits(s: Scenario, layout: Layout) -> bool:
    return evaluate(s, layout).metric("feasibility.memory_share") <= 1.0


def run(row: Row, filling: Filling) -> Evaluation:
    """Return the evaluation of a row's step, as ``eval`` gives it for a plan.

    Raises:
        NotPredictedError: with the reason.
    """
    s = job_of(row, filling)
    layout = layout_of(row, s, filling)
    try:
        if layout is None:
            filling.take("layout", "open", "no degrees are stated: those that eval takes by its rule")
        return evaluate(s, layout)
    except MlsysimError as error:
        raise NotPredictedError(error.problem) from error


def step(row: Row, filling: Filling) -> list[Quantity]:
    """Return a row's step time, measured and predicted [s]."""
    evaluation = run(row, filling)
    measured = step_seconds(row, evaluation.scenario)
    predicted = evaluation.metric("performance.latency") * MS * software.slowness(row, filling)
    state, n = evaluation.state, float(evaluation.scenario.accelerators)
    return [Quantity("step", measured, predicted, "s", float(state.tokens) / n, float(state.model_flops) / n)]


# -- measured --------------------------------------------------------------------------------------


def step_seconds(row: Row, s: Scenario) -> float:
    """Return the measured time of a step [s].

    As published; else from tokens a second; else from the operations that the source counts.

    Raises:
        NotPredictedError: nothing gives it.
    """
    m, n = row.measured, s.accelerators
    tokens = float(s.batch) * s.seq_len
    for name in ("iteration_time_s", "iteration_time_s_derived"):
        if name in m:
            return float(m[name])
    if "tokens_per_s" in m:
        return tokens / float(m["tokens_per_s"])
    for name in ("tokens_per_s_per_gpu", "tokens_per_s_per_gpu_derived"):
        if name in m:
            return tokens / (float(m[name]) * n)
    if "tflops_per_gpu" in m:
        return counted_flops(row, s) / (float(m["tflops_per_gpu"]) * 1e12 * n)
    if "mfu" in m:
        return counted_flops(row, s) / (float(m["mfu"]) * _peak(row, s) * n)
    raise NotPredictedError("no time, rate or utilization of a step is stated")


def _peak(row: Row, s: Scenario) -> float:
    """Return the peak rate that a source divides by [FLOP/s]."""
    h = row.hardware
    stated = h.get("peak_tflops_used") or h.get("peak_tflops_fp8" if s.precision == "fp8" else "")
    stated = stated or h.get("peak_tflops_bf16")
    return float(stated) * 1e12 if stated else s.chip.peak


def counted_flops(row: Row, s: Scenario) -> float:
    """Return the operations of a step as a source counts them [FLOP].

    Three passes' worth of the forward pass; four where full recomputation is counted, of which the
    output projection is no part (Narayanan 2021, appendix). Attention over the whole square, or over
    its causal half.

    Raises:
        NotPredictedError: the source does not say how it counts.
    """
    convention = str(row.measured.get("flops_convention", ""))
    m, tokens = s.model.transformer, float(s.batch) * s.seq_len
    span = 0.5 * s.seq_len if "causal" in convention else 1.0 * s.seq_len
    forward = float(tf.forward_flops(m, tokens, span))
    if fill.counts_recomputation(row):
        return 4.0 * forward - 2.0 * tokens * m.hidden * m.vocab
    if convention.startswith("model_flops"):
        return 3.0 * forward
    raise NotPredictedError("how the source counts operations is not stated")


# -- one layer, memory -----------------------------------------------------------------------------


def layer(row: Row, filling: Filling) -> list[Quantity]:
    """Return the time of one layer for one microbatch, forward, backward and together [ms]."""
    batch = int(row.config.get("microbatch", 1)) * int(row.config.get("dp", 1))
    s = job_of(row, filling, batch=batch)
    layout = layout_of(row, s, filling)
    if layout is None or s.job is None:
        raise NotPredictedError("the layout is not stated")
    part = layer_of(s.job, columns_of(layout, s.model_layers))
    once = (part.matmul + part.elementwise + part.exposed).reshape(-1)[0]
    again = (part.again_matmul + part.again_elementwise + part.again_exposed).reshape(-1)[0]
    again = again if layout.recompute == "full" else 0.0
    whole, backward = float(once + again), float(part.backward.reshape(-1)[0] + again)
    parts = {
        "layer_forward_ms": whole - backward,
        "layer_backward_ms": backward,
        "layer_total_ms": whole,
    }
    return [
        Quantity(name, float(row.measured[name]), seconds / MS, "ms")
        for name, seconds in parts.items()
        if name in row.measured
    ]


# Settings of each column of a table of activation memory: recomputation and sequence parallelism.
_MODES = {
    "none": ("none", False),
    "seqpar": ("none", True),
    "selective": ("selective", False),
    "seq_sel": ("selective", True),
    "full": ("full", False),
}


def memory(row: Row, filling: Filling) -> list[Quantity]:
    """Return training state and activations of a rank [GiB], or activations over those of ``none`` [%]."""
    tp, pp = int(row.config.get("tp", 1)), int(row.config.get("pp", 1))
    micro = int(row.config.get("microbatch", 1))
    filling.take("dropout", True, "activations of Megatron with its dropout masks")
    # enough microbatches that every stage holds as many as its schedule ever does
    s = job_of(row, filling, batch=8 * micro * pp, accelerators=tp * pp, dropout=True)
    base = Layout(tp=tp, pp=pp, microbatch_size=micro, interleave=int(row.config.get("vpp", 1)))
    found = []
    if any(name.endswith("_gib") or "_gib_" in name for name in row.measured) and "pp" not in row.config:
        raise NotPredictedError("the pipeline stages are not stated")
    for name, value in row.measured.items():
        mode = name.removeprefix("act_mem_pct_").removeprefix("activation_gib_")
        if name == "params_optimizer_gib":
            state = evaluate(s, base).metric("feasibility.state")
            found.append(Quantity(name, float(value), state, "GiB"))
        elif name.startswith("activation_gib_") and mode in _MODES:
            held = evaluate(s, _in_mode(base, mode)).metric("feasibility.activations")
            found.append(Quantity(name, float(value), held, "GiB"))
        elif name.startswith("act_mem_pct_") and mode in _MODES and mode != "none":
            share = 100.0 * _kept(s, _in_mode(base, mode)) / _kept(s, base)
            found.append(Quantity(name, float(value), share, "%"))
    return found


def _in_mode(layout: Layout, mode: str) -> Layout:
    recompute, shared = _MODES[mode]
    return replace(layout, recompute=recompute, sequence_parallel=shared)


def _kept(s: Scenario, layout: Layout) -> float:
    """Return what a layer keeps; the layer that is being recomputed is no part of the published shares."""
    assert s.job is not None
    part = layer_of(s.job, columns_of(layout, s.model_layers))
    return float((part.kept_again if layout.recompute == "full" else part.kept).reshape(-1)[0])
