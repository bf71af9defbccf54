"""What single walls look at where requests are answered.

Service, KV blocks, queues, reasoning, streamed weights: each as the field of
:class:`mlsysim.walls.State` that its wall reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlsysim.core.errors import InputError
from mlsysim.core.scenario import Assumptions, Scenario
from mlsysim.models import Model
from mlsysim.physics import inference, kvcache, queueing, reasoning, serving, streaming
from mlsysim.physics import transformer as tf
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.types import Array, number
from mlsysim.systems import Node, fabric


@dataclass(frozen=True)
class _Context:
    """A scenario, its servers, and where assumptions go."""

    s: Scenario
    server: Node | None
    take: Assumptions

    def block(self, name: str) -> dict[str, Any]:
        return self.s.settings.blocks.get(name, {})

    def number(self, block: dict[str, Any], key: str, default: str, unit: str = "1") -> float:
        """Return a number of a block, or the registry's default."""
        given = block.get(key)
        return float(given) if given is not None else self.take.take(default, unit)


def extras(s: Scenario, server: Node | None, take: Assumptions) -> dict[str, Any]:
    """Return the optional fields of an inference run's state.

    Raises:
        InputError: the blocks do not go with the model or the fleet.
    """
    c = _Context(s, server, take)
    found: dict[str, Any] = {}
    m = s.model.transformer if s.model.is_transformer else None
    injection = _injection(c, m)
    if m is not None and m.causal:
        found |= _answers(c, m, injection)
    elif c.block("serving") or c.block("reasoning"):
        raise InputError(
            f"{s.model.name} does not answer token by token", where="serving", hint="leave the block out"
        )
    elif c.block("queue"):
        found["queue"] = _whole_requests(c)
    if c.block("tenancy"):
        job = found.get("serving")
        time = None if job is None else number(serving.response_time(job, _lengths(c).output))
        found["tenancy"] = tenancy(c.block("tenancy"), c.take, time)
    if m is not None and injection is not None:
        from mlsysim.core.states import whole_pass

        found["streaming"] = streaming.of_pass(m, s.width, injection, number(whole_pass(s).matmul))
    return found


def _answers(c: _Context, m: tf.Transformer, injection: float | None) -> dict[str, Any]:
    """Return what the walls of token-by-token service look at."""
    from mlsysim.core.states import replica

    block, s = c.block("serving"), c.s
    n = _lengths(c)
    requests = replica(s)[1]
    tp = float(block.get("tp", 1))
    i = serving.Instance(m, s.chip, s.network, tp, s.width, injection)
    service = _service(c, i, requests, n)
    found: dict[str, Any] = {"serving": service, "batching": _batching(c, m, i, requests, n)}
    replicas = s.accelerators / float(i.tp)
    if replicas != int(replicas):
        raise InputError(
            f"{s.accelerators} accelerators do not divide into replicas of {i.tp:g}", where="serving.tp"
        )
    if c.block("queue"):
        found["queue"] = _queue(c, service, n, replicas * requests)
    if r := c.block("reasoning"):
        busy = _service(c, i, requests * r["samples"], n)
        found["reasoning"] = reasoning.Chain(
            busy.ttft,
            busy.itl,
            float(r["steps"]),
            float(r["tokens_per_step"]),
            float(r["samples"]),
            float(r["revisions"]),
            float(r["verify"] or 0.0),
        )
    return found


def _lengths(c: _Context) -> Lengths:
    block, a = c.block("serving"), c.s.model.architecture
    context = a.context.base if a is not None and a.context is not None else None
    longest = block.get("longest") or context
    prompt = c.number(block, "prompt", "prompt_tokens", "token")
    output = c.number(block, "output", "output_tokens", "token")
    if longest is None:
        longest = prompt + output
    return Lengths(
        prompt,
        output,
        float(block.get("prompt_cv", 0.0)),
        c.number(block, "output_cv", "output_cv"),
        float(longest),
        float(block.get("shared_prefix", 0.0)),
    )


def _service(c: _Context, i: serving.Instance, requests: Array, n: Lengths) -> serving.Service:
    block = c.block("serving")
    draft = _draft(c, i, block.get("draft"))
    kind = block.get("scheduler", "prefill_first")
    if kind == "chunked":
        budget = c.number(block, "token_budget", "token_budget", "token")
        return serving.chunked(i, requests, n, budget, draft)
    if kind == "disaggregated":
        split = block["disaggregated"]
        network = c.s.network
        link = network.up if 2.0 * float(i.tp) <= network.domain else network.out
        return serving.disaggregated(
            i,
            i,
            requests,
            n,
            link,
            prefills=float(split.prefills),
            decodes=float(split.decodes),
            layerwise=split.layerwise,
            draft=draft,
        )
    return serving.prefill_first(i, requests, n, draft)


def _draft(c: _Context, i: serving.Instance, given: Any) -> serving.Draft | None:
    if given is None:
        return None
    from mlsysim.models.own import resolve_model

    model: Model = resolve_model(given.model)
    if not model.is_transformer:
        raise InputError(f"{model.name} is no transformer", where="serving.draft.model")
    small = serving.Instance(model.transformer, i.chip, i.network, i.tp, i.width)
    tokens = float(given.tokens) if given.tokens else c.take.take("draft_tokens", "token")
    acceptance = given.acceptance if given.acceptance is not None else c.take.take("draft_acceptance")
    return serving.Draft(small, tokens, acceptance)


def _batching(
    c: _Context, m: tf.Transformer, i: serving.Instance, requests: Array, n: Lengths
) -> kvcache.Batching | None:
    block, s = c.block("serving"), c.s
    per_token = kvcache.token_bytes(m, s.width, i.tp)
    if not float(per_token):
        return None
    step = inference.decode_step(m, s.chip, batch=requests, context=n.prompt, width=s.width, tp=i.tp)
    streams = "streaming" in s.settings.blocks  # then two layers' weights are there, not all
    pool = kvcache.pool_bytes(
        s.capacity,
        c.number(block, "kv_memory_share", "kv_memory_share"),
        2.0 * tf.layer_params(m) * s.width if streams else number(step.weights),
        number(step.activations),
        s.reserve,
    )
    return kvcache.Batching(
        requests,
        n,
        c.number(block, "kv_block", "kv_block", "token"),
        float(per_token),
        number(pool),
        bool(block.get("paged", True)),
    )


def _queue(c: _Context, service: serving.Service, n: Lengths, places: Array) -> queueing.Station:
    q = c.block("queue")
    time = number(serving.response_time(service, n.output))
    spread = q.get("service_cv")
    if spread is None:
        spread = float(n.output_cv) * (time - number(service.ttft)) / time
    return _station(c, q, places, time, spread)


def _whole_requests(c: _Context) -> queueing.Station:
    """Return the queue before replicas that answer a batch at a time."""
    from mlsysim.core.states import whole_pass

    q = c.block("queue")
    spread = q["service_cv"] if q["service_cv"] is not None else c.take.take("service_cv")
    return _station(c, q, float(c.s.accelerators), number(whole_pass(c.s).time), spread)


def _station(c: _Context, q: dict[str, Any], places: Array, time: Array, spread: Array) -> queueing.Station:
    return queueing.Station(
        number(q["rate"]),
        places,
        time,
        c.number(q, "arrival_cv", "arrival_cv"),
        spread,
        c.number(q, "percentile", "tail_percentile"),
        float(q["fanout"]),
    )


def tenancy(block: dict[str, Any], take: Assumptions, job_time: Array | None) -> queueing.Station:
    """Return the queue of jobs before a shared fleet.

    Args:
        block: the plan's ``tenancy``.
        take: where assumptions go.
        job_time: of this job, where the plan gives none [s].
    """
    time = block["job_time"] if block["job_time"] is not None else job_time
    if time is None:
        raise InputError("how long a job takes is not known", where="tenancy.job_time", hint="say it")
    places = float(block["places"])
    arrival = block["arrival_cv"] if block["arrival_cv"] is not None else take.take("arrival_cv")
    job = block["job_cv"] if block["job_cv"] is not None else take.take("job_cv")
    return queueing.Station(
        float(queueing.rate_at(block["utilization"], places, time)), places, float(time), arrival, job
    )


def _injection(c: _Context, m: tf.Transformer | None) -> float | None:
    """Return the bandwidth at which weights come in layer by layer, where the plan says that they do."""
    block = c.s.settings.blocks.get("streaming")
    if block is None:
        return None
    if m is None:
        raise InputError("only layers of a transformer are streamed in", where="streaming")
    injection = block["injection"]
    if injection is None:
        if c.server is None or not c.server.scale_out or c.server.scale_out_links is None:
            raise InputError(
                "the bandwidth into the accelerator is not known", where="streaming.injection", hint="say it"
            )
        injection = fabric(c.server.scale_out).bandwidth.base * c.server.scale_out_links.base
        c.take.choose("injection bandwidth", injection, f"network of {c.server.name}", "byte/s")
    return float(injection)
