"""Serving: static batches of known size, first tokens, passes of decoding, and the best batch that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlsysim.core import registry
from mlsysim.core.resolve import Scenario
from mlsysim.core.service_variants import batches, tabulated
from mlsysim.core.validation import filling as fill
from mlsysim.core.validation import subject
from mlsysim.core.validation.fields import number_format
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import Row
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.core.validation.training import MS, Quantity
from mlsysim.physics import kvcache, serving
from mlsysim.physics.inflight import in_flight_rate
from mlsysim.physics.serving import Instance

# Fields of tokens of answers a second, and whether of each accelerator or of all together.
THROUGHPUTS = {"output_tokens_per_s_per_gpu": True, "output_tokens_per_s_derived": False}
# Tokens of a pass at most (TensorRT-LLM, trtllm-build: max_num_tokens).
PASS_TOKENS = 8192.0


def predict(row: Row, filling: Filling) -> list[Quantity]:
    """Return what a row of serving measured, and what the engine says.

    Raises:
        NotPredictedError: with the reason.
    """
    c = row.config
    best = "batch" not in c
    if best and not set(THROUGHPUTS) & set(row.measured):
        raise NotPredictedError("the size of the batch is not stated")
    if c.get("pp", 1) > 1 or "partitioning" in c:
        raise NotPredictedError("layouts of inference beyond tensor parallelism are not modelled")
    tp = int(c.get("tp") or subject.count_of(row))
    prompt = float(c.get("input_tokens") or c.get("context_tokens") or 0)
    output, batch = float(c.get("output_tokens") or 1), float(c.get("batch", 1))
    if prompt < 1:
        raise NotPredictedError("the length of the prompt is not stated")
    s = _scenario(row, filling, tp, prompt, output, batch)
    shared, share = fill.shared_reads(row, s.model.transformer, filling)
    again = _from_cache(row, share) if share else None
    i = Instance(
        s.model.transformer, s.chip, s.network, float(tp), s.width, shared_reads=shared, rereads=again
    )
    return _best(row, s, i, filling) if best else _quantities(row, i, prompt, output, batch)


def _best(row: Row, s: Scenario, i: Instance, filling: Filling) -> list[Quantity]:
    """Return the throughput of the batch that gives most of those that the cache has room for.

    Raises:
        NotPredictedError: not one request fits.
    """
    tp = int(i.tp)
    rule = "not stated: passes mix prompts and answers, and the best batch that fits is taken"
    sizes = batches(s, tp)
    state = tabulated(s, np.full(len(sizes), float(tp)), sizes, np.full(len(sizes), float(tp)))
    if state.batching is None:
        raise NotPredictedError("the model keeps no cache")
    fits = kvcache.demand_blocks(state.batching) <= kvcache.pool_blocks(state.batching)
    if not fits.any():
        raise NotPredictedError("not one request fits the memory")
    n = state.batching.lengths
    rates = np.where(fits, in_flight_rate(i, sizes, n, PASS_TOKENS), 0.0)
    filling.take("batch", int(sizes[int(rates.argmax())]), rule)
    tokens = float(rates.max() * n.output)
    return [
        Quantity(name, float(row.measured[name]), tokens / (tp if of_each else 1), "token/s")
        for name, of_each in THROUGHPUTS.items()
        if name in row.measured
    ][:1]


def _from_cache(row: Row, share: str) -> float | None:
    """Return what a default gets of the level-2 cache's bandwidth [byte/s], None where it is not known."""
    cache = subject.hardware_of(row).on_chip
    if cache is None or cache.bandwidth is None:
        return None
    return cache.bandwidth.base * registry.default(share).base


def _quantities(row: Row, i: Instance, prompt: float, output: float, batch: float) -> list[Quantity]:
    tp = float(i.tp)
    # what a field of a row means: its unit, and the engine's number in that unit
    known: dict[str, tuple[str, Callable[[], float]]] = {
        "output_tokens_per_s_per_gpu": (
            "token/s",
            lambda: batch * output / static_batch(i, prompt, output, batch) / tp,
        ),
        "ttft_ms": ("ms", lambda: float(serving.prefill(i, prompt, batch).time) / MS),
        "total_latency_s": ("s", lambda: static_batch(i, prompt, output, batch)),
        "latency_s": ("s", lambda: static_batch(i, prompt, output, batch)),
        "decode_latency_ms_per_token": (
            "ms",
            lambda: float(serving.decode(i, batch, prompt).time) / MS,
        ),
    }
    found = [
        Quantity(name, float(value), known[name][1](), known[name][0])
        for name, value in row.measured.items()
        if name in known
    ]
    if not found:
        raise NotPredictedError("nothing is measured that the engine predicts")
    return found


def _scenario(row: Row, filling: Filling, tp: int, prompt: float, output: float, batch: float) -> Scenario:
    weights, cache = (number_format(str(row.config.get(name, ""))) for name in ("precision", "kv_precision"))
    if cache and cache != weights:
        filling.take("kv_precision", weights, "the engine keeps the cache in the format of the weights")
    block = {"tp": tp, "requests": int(batch), "prompt": prompt, "output": output}
    block |= {"prompt_cv": 0.0, "output_cv": 0.0}  # tables of throughput have answers of one length
    return subject.scenario(
        row,
        filling,
        phase="inference",
        batch=int(batch),
        seq_len=int(prompt),
        accelerators=tp,
        blocks={"serving": block},
    )


def static_batch(i: Instance, prompt: float, output: float, batch: float) -> float:
    """Return the time from the first prompt to the last token of a batch that starts and ends at once [s].

    All prompts are read in one pass, which gives the first token; each of the others is a pass over
    a cache that grows by one token, taken at its mean length.
    """
    first = float(serving.prefill(i, prompt, batch).time)
    if output <= 1.0:
        return first
    return first + (output - 1.0) * float(serving.decode(i, batch, prompt + 0.5 * output).time)
