"""Serving a language model: time to first token, time between tokens, and the rate of requests.

Prefill reads a prompt in one pass and is compute-bound, decode adds a token a pass and is
bandwidth-bound (Pope 2023). How both share accelerators is the scheduler's choice:

- :func:`prefill_first`: a new prompt interrupts the running answers (Yu 2022, Kwon 2023);
- :func:`chunked`: prompts are cut up and ride along with decode passes (Agrawal 2024);
- :func:`disaggregated`: separate accelerators, and the KV cache moves over (Zhong 2024, Patel 2024).

All describe a replica that always has work: ``batch`` answers run, and the next starts as one
ends. Waiting for a place is the subject of :mod:`mlsysim.physics.queueing`. Lengths enter by
their means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import inference, kvcache, roofline, streaming
from mlsysim.physics import transformer as tf
from mlsysim.physics.inference import Load, Pass
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Instance:
    """One copy of a model.

    Attributes:
        model: the transformer.
        chip: the accelerator at the precision of the run.
        network: of the accelerators.
        tp: accelerators that share each layer's matrices.
        width: bytes of a weight and of a cached element.
        injection: bandwidth at which weights stream in, layer by layer [byte/s]; None where they
            lie in the memory.
        shared_reads, rereads: see :func:`mlsysim.physics.inference.forward`.
    """

    model: tf.Transformer
    chip: roofline.Chip
    network: net.Network
    tp: Array
    width: float
    injection: Array | None = None
    shared_reads: bool = True
    rereads: float | None = None


@dataclass(frozen=True)
class Draft:
    """Speculative decoding: a small model guesses, the large one verifies (Leviathan 2023).

    Attributes:
        instance: the small model.
        tokens: guessed before each verification, ``gamma``.
        acceptance: probability that a guess stands, ``alpha``.
    """

    instance: Instance
    tokens: Array
    acceptance: Array


@dataclass(frozen=True)
class Service:
    """What the requests of a replica see [s, 1/s].

    Attributes:
        ttft: time to first token, once the request is admitted.
        itl: mean time between the tokens of an answer.
        stall: longest gap between two of them.
        rate: requests that the replica completes a second.
        prefill_compute, prefill_stream: time of a prefill's matrix work and of its memory traffic.
        decode_compute, decode_stream: the same of a decode pass.
        transfer: of a request's KV cache to the accelerators that decode.
        output: tokens of an answer.
        places: requests that the replica works on at once.
        instances: copies of the model that make up the replica.
        readers: prompts that it reads at once.
    """

    ttft: Array
    itl: Array
    stall: Array
    rate: Array
    prefill_compute: Array = 0.0
    prefill_stream: Array = 0.0
    decode_compute: Array = 0.0
    decode_stream: Array = 0.0
    transfer: Array = 0.0
    output: Array = 1.0
    places: Array = 1.0
    instances: Array = 1.0
    readers: Array = 1.0


# -- passes -------------------------------------------------------------------------------------


def run(i: Instance, load: Load) -> Pass:
    """Return a pass of an instance."""
    passed = inference.forward(
        i.model,
        i.chip,
        load,
        width=i.width,
        tp=i.tp,
        network=i.network,
        shared_reads=i.shared_reads,
        rereads=i.rereads,
    )
    if i.injection is None:
        return passed
    stream = streaming.of_pass(i.model, i.width, i.injection, passed.matmul)
    return replace(passed, time=streaming.pass_time(stream))


def prefill(i: Instance, prompt: Array, batch: Array = 1.0) -> Pass:
    """Return the pass that reads whole prompts."""
    return run(i, inference.prefill_load(i.model, batch, prompt))


def decode(i: Instance, batch: Array, context: Array, queries: Array = 1.0) -> Pass:
    """Return the pass that adds ``queries`` tokens to each running answer."""
    return run(i, inference.decode_load(i.model, batch, context, queries))


def chunk_load(i: Instance, chunk: Array, prompt: Array) -> Load:
    """Return the load of the average chunk of a prompt.

    Before it lies half of the rest, which it reads from the cache (Agrawal 2024, section 4).
    """
    return inference.prefill_load(i.model, 1.0, chunk, 0.5 * (prompt - chunk))


# -- speculative decoding -----------------------------------------------------------------------


def expected_tokens(acceptance: Array, drafted: Array) -> Array:
    """Return the tokens that one verification yields, ``(1 - a^(g+1)) / (1 - a)``.

    Leviathan 2023, equation 1; ``g + 1`` where every guess stands.
    """
    a = np.asarray(acceptance, dtype=float)
    miss = np.where(a < 1.0, 1.0 - a, 1.0)
    with np.errstate(divide="ignore"):
        return np.where(a < 1.0, -np.expm1((drafted + 1.0) * np.log(a)) / miss, drafted + 1.0)


def speculative_speedup(acceptance: Array, drafted: Array, cost: Array) -> Array:
    """Return how much faster tokens come where a verification takes as long as one token.

    ``(1 - a^(g+1)) / ((1 - a) (g c + 1))`` with the draft's time a token over the model's, ``c``
    (Leviathan 2023, theorem 3.8).
    """
    return expected_tokens(acceptance, drafted) / (drafted * cost + 1.0)


def speculative_operations(acceptance: Array, drafted: Array, cost: Array) -> Array:
    """Return how many times the operations a token takes, guesses that fall included.

    ``(g c + g + 1) / ((1 - a^(g+1)) / (1 - a))`` with the draft's operations a token over the
    model's, ``c`` (Leviathan 2023, theorem 3.11).
    """
    return (drafted * cost + drafted + 1.0) / expected_tokens(acceptance, drafted)


def _round(i: Instance, batch: Array, context: Array, draft: Draft | None) -> tuple[Array, Load, Array]:
    """Return one round of decode: time spent guessing, load of the pass, tokens that an answer gains."""
    if draft is None:
        return 0.0, inference.decode_load(i.model, batch, context), 1.0
    guesses = draft.tokens * decode(draft.instance, batch, context).time
    verified = inference.decode_load(i.model, batch, context, draft.tokens + 1.0)
    return guesses, verified, expected_tokens(draft.acceptance, draft.tokens)


# -- schedulers ---------------------------------------------------------------------------------


def prefill_first(i: Instance, batch: Array, n: Lengths, draft: Draft | None = None) -> Service:
    """Return the service of a replica where a new prompt is read at once, whole.

    An answer of ``o`` tokens takes ``o - 1`` tokens of decode, and during them each of the other
    ``b - 1`` places takes one new prompt: ``itl = t + (b - 1) T / (o - 1)``. The longest gap has
    one of them in it, or more where there are more prompts than passes.
    """
    guesses, load, gained = _round(i, batch, kvcache.held_tokens(n), draft)
    first, step = prefill(i, n.prompt), run(i, load)
    once = guesses + step.time
    more = np.maximum(n.output - 1.0, 0.0)
    some = np.where(more > 0.0, more, np.inf)
    met = np.where(batch > 1.0, np.maximum(np.ceil((batch - 1.0) * gained / some), 1.0), 0.0)
    return Service(
        ttft=first.time,
        itl=once / gained + (batch - 1.0) * first.time / some,
        stall=once + met * first.time,
        rate=batch / (batch * first.time + more * once / gained),
        prefill_compute=first.matmul,
        prefill_stream=first.stream,
        decode_compute=step.matmul,
        decode_stream=step.stream,
        output=n.output,
        places=batch,
    )


def chunked(i: Instance, batch: Array, n: Lengths, budget: Array, draft: Draft | None = None) -> Service:
    """Return the service of a replica where prompts ride along with decode passes.

    A pass works on ``budget`` tokens: those of the running answers, and a chunk of one prompt in
    what is left (Agrawal 2024, section 4), so a prompt takes ``k = ceil(p / chunk)`` passes and
    none takes longer than a full one. A place is taken for ``k`` passes of prefill and ``o - 1``
    of decode, so the ``b`` places complete a request every ``(o - 1 + k) / b`` passes, ``k`` of
    them full; or every ``k`` passes where prefill cannot keep up.
    """
    guesses, load, gained = _round(i, batch, kvcache.held_tokens(n), draft)
    queries = 1.0 if draft is None else draft.tokens + 1.0
    riders = inference.decode_load(i.model, batch - 1.0, kvcache.held_tokens(n), queries)
    chunk = np.clip(budget - riders.tokens, 1.0, n.prompt)
    mixed, plain = run(i, riders + chunk_load(i, chunk, n.prompt)), run(i, load)
    whole = prefill(i, n.prompt)
    chunks = n.prompt / chunk
    needed = np.maximum(n.output - 1.0, 0.0) / (gained * batch)
    passes = np.maximum(needed + chunks / batch, chunks)
    full, bare = guesses + mixed.time, guesses + plain.time
    others = chunks * (batch - 1.0) / batch  # passes with another's chunk, for each request
    share = np.where(needed > others, others / np.where(needed > others, needed, 1.0), np.sign(others))
    return Service(
        ttft=np.ceil(chunks) * full,
        itl=(share * full + (1.0 - share) * bare) / gained,
        stall=np.where(batch > 1.0, np.maximum(full, bare), bare),
        rate=1.0 / (chunks * full + (passes - chunks) * bare),
        prefill_compute=whole.matmul,
        prefill_stream=whole.stream,
        decode_compute=plain.matmul,
        decode_stream=plain.stream,
        output=n.output,
        places=batch,
    )


def transfer_bytes(m: tf.Transformer, width: float, prompt: Array) -> Array:
    """Return the KV cache of a prompt, over all accelerators that hold it [byte]."""
    return prompt * tf.kv_bytes_per_token(m, width)


def transfer_time(i: Instance, to: Instance, prompt: Array, link: net.Tier) -> Array:
    """Return the time to move the KV cache of a prompt from one instance to another [s].

    Every accelerator of the smaller instance has a link of its own (Zhong 2024, section 3.3).
    """
    size = transfer_bytes(i.model, i.width, prompt)
    return net.send_time(size / np.minimum(i.tp, to.tp), link)


def disaggregated(
    i: Instance,
    to: Instance,
    batch: Array,
    n: Lengths,
    link: net.Tier,
    *,
    prefills: Array = 1.0,
    decodes: Array = 1.0,
    layerwise: bool = False,
    draft: Draft | None = None,
) -> Service:
    """Return the service of instances for prefill together with instances for decode.

    The first token comes from the prefill; the cache moves between it and the second. Layer by
    layer the move hides behind the prefill, all but the last layer's share (Patel 2024). The rate
    is that of the stage that is full first.

    Args:
        i: an instance for prefill, one prompt at a time.
        to: an instance for decode.
        batch: answers that run on it.
        n: lengths of the requests.
        link: between one accelerator of each.
        prefills: how many instances for prefill.
        decodes: how many for decode.
        layerwise: the cache moves while the prompt is still being read.
        draft: of the decode instance.
    """
    guesses, load, gained = _round(to, batch, kvcache.held_tokens(n), draft)
    first, step = prefill(i, n.prompt), run(to, load)
    moved = transfer_time(i, to, n.prompt, link)
    seen = np.maximum(moved - first.time, moved / i.model.layers) if layerwise else moved
    once = guesses + step.time
    more = np.maximum(n.output - 1.0, 0.0)
    # a place to decode is taken while the cache arrives
    busy = np.where(more > 0.0, seen + more * once / gained, 0.0)
    decoded = np.where(busy > 0.0, batch / np.where(busy > 0.0, busy, 1.0), np.inf)
    return Service(
        ttft=first.time,
        itl=once / gained + seen / np.where(more > 0.0, more, np.inf),
        stall=once + seen,
        rate=np.minimum(prefills / np.maximum(first.time, moved), decodes * decoded),
        prefill_compute=first.matmul,
        prefill_stream=first.stream,
        decode_compute=step.matmul,
        decode_stream=step.stream,
        transfer=moved,
        output=n.output,
        places=decodes * batch,
        instances=prefills + decodes,
        readers=prefills,
    )


def response_time(s: Service, output: Array) -> Array:
    """Return the mean time from admission to the last token: a place is taken this long [s]."""
    return s.ttft + np.maximum(output - 1.0, 0.0) * s.itl
