"""Single operators: the best matrix product of a chip, and the operators of one layer."""

from __future__ import annotations

import numpy as np

from mlsysim.core.resolve import Scenario
from mlsysim.core.validation import subject
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import Row
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.core.validation.training import Quantity
from mlsysim.hardware import BYTES
from mlsysim.models import CATALOG as MODELS
from mlsysim.physics import collectives, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.transformer import Matmul

# Edges of the products among which the best is looked for.
_EDGES = np.array([1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 20480.0])


def predict(row: Row, filling: Filling) -> list[Quantity]:
    """Return the rate or the times that a row measured, and what the engine says.

    Raises:
        NotPredictedError: with the reason.
    """
    if "max_matmul_tflops" in row.measured:
        return [_best_product(row, filling)]
    s, tp, batch = _scenario(row, filling)
    return _layer(row, s, tp, batch)


def _best_product(row: Row, filling: Filling) -> Quantity:
    s = subject.scenario(row, filling, model=_any_model(), phase="inference", batch=1, accelerators=1)
    rows, inner, columns = (g.ravel() for g in np.meshgrid(_EDGES, _EDGES, _EDGES))
    flops = 2.0 * rows * inner * columns
    rate = flops / roofline.matmul_time(Matmul(rows, inner, columns), s.chip, BYTES[s.precision])
    return Quantity(
        "max_matmul_tflops", float(row.measured["max_matmul_tflops"]), float(rate.max()) / 1e12, "TFLOP/s"
    )


def _any_model() -> object:
    """Return a model, of which a single product takes nothing."""
    return MODELS.get("GPT2")


def _scenario(row: Row, filling: Filling) -> tuple[Scenario, float, float]:
    tp, batch = row.config.get("tp", 1), row.config.get("batch")
    if batch is None:
        raise NotPredictedError("the size of the batch is not stated")
    s = subject.scenario(
        row,
        filling,
        phase="inference",
        batch=int(batch),
        seq_len=int(row.config.get("input_tokens") or row.config.get("context_tokens") or 1),
        accelerators=int(tp),
        blocks={"serving": {"tp": int(tp)}},
    )
    return s, float(tp), float(batch)


def _layer(row: Row, s: Scenario, tp: float, batch: float) -> list[Quantity]:
    """Return the operators of a layer as prefill or decode runs them, one kernel each."""
    m, w = s.model.transformer, s.width
    prompt = float(row.config.get("input_tokens") or 0)
    queries = prompt or 1.0
    span = prompt or float(row.config.get("context_tokens") or 1)
    tokens, heads = batch * queries, batch * m.heads / tp

    def product(rows: float, inner: float, columns: float, count: float = 1.0) -> float:
        return float(roofline.matmul_time(Matmul(rows, inner, columns, count), s.chip, w))

    def moved(size: float) -> float:
        return float(roofline.stream_time(size * w, s.chip)) + s.chip.launch

    norm = moved(2.0 * tokens * m.hidden)
    reduced = float(collectives.hierarchical_all_reduce_time(tokens * m.hidden * w, tp, 1.0, s.network))
    qkv = m.qk_width / tp + 2.0 * m.kv_width * float(tf.kv_share(m, tp))
    times = {
        "Q_K_V_s": product(tokens, m.hidden, qkv),
        "Q_mul_K_s": product(queries, m.head_dim, span, heads),
        "A_mul_V_s": product(queries, span, m.head_dim, heads),
        "Wo_proj_s": product(tokens, m.v_width / tp, m.hidden),
        "W1_proj_s": product(tokens, m.hidden, m.ffn / tp),
        "W2_proj_s": product(tokens, m.ffn / tp, m.hidden),
        "Softmax_s": moved(2.0 * heads * queries * span),
        "LayerNorm_MHA_s": norm,
        "LayerNorm_FFN_s": norm,
        "GeLU_s": moved(2.0 * tokens * m.ffn / tp),
        "AllReduce_MHA_s": reduced,
        "AllReduce_FFN_s": reduced,
    }
    times["layer_total_s"] = sum(times.values())
    return [Quantity(n, float(row.measured[n]), t, "s") for n, t in times.items() if n in row.measured]
