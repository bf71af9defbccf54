"""Models of the node: one accelerator, its kernels, and the requests it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlsysim.core.evaluation import Evaluation
from mlsysim.core.metrics import METRICS
from mlsysim.core.plan_blocks import QueueBlock
from mlsysim.core.scenario import Assumptions
from mlsysim.core.solver.models.base import TRAINING, WORKLOAD, ForwardModel, PlanModel, needed, wall
from mlsysim.physics import kvcache, queueing, streaming

REQUESTS = (
    *("batch_size", "precision", "efficiency", "accelerators", "nodes", "node"),
    *("prompt", "output", "prompt_cv", "output_cv", "shared_prefix", "longest", "requests"),
    *("scheduler", "token_budget", "replica_size", "prefills", "decodes", "layerwise"),
    *("draft_model", "draft_tokens", "draft_acceptance"),
)


class SingleNodeModel(PlanModel):
    """One accelerator: how long a pass takes, and what fits (walls 1 and 2)."""

    walls = (1, 2)
    ways = (("model", "hardware"),)
    options = ("batch_size", "phase", *WORKLOAD, "optimizer", "attention", "dropout")
    gives = (
        *("latency", "operations", "bytes_moved", "memory", "memory_capacity", "mfu"),
        *("samples_per_second", "tokens_per_second"),
    )

    def plan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plan of one accelerator."""
        plan = super().plan(given)
        plan["hardware"]["accelerators"] = 1
        return plan

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read walls 1 and 2."""
        s = e.state
        return {
            "latency": s.time,
            "operations": wall(1).rows(s)[0].demand,
            "bytes_moved": wall(2).rows(s)[-1].demand,
            "memory": s.memory,
            "memory_capacity": s.capacity,
            "mfu": METRICS["performance.mfu"].value(s),
            "samples_per_second": METRICS["performance.samples_per_second"].value(s),
            "tokens_per_second": METRICS["performance.throughput"].value(s) if s.tokens else 0.0,
        }


class EfficiencyModel(PlanModel):
    """The share of the peak that a step reaches, and that its kernels could reach (wall 3)."""

    walls = (3,)
    ways = (("model", "hardware"),)
    options = ("batch_size", "phase", *TRAINING)
    gives = ("mfu", "kernel_share", "model_operations", "kernel_operations")

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 3."""
        row = wall(3).rows(e.state)[0]
        return {
            "mfu": METRICS["performance.mfu"].value(e.state),
            "kernel_share": e.state.share,
            "model_operations": row.demand,
            "kernel_operations": row.supply,
        }


class ServingModel(PlanModel):
    """Requests answered token by token: first token, the others, and the rate (wall 4)."""

    walls = (4,)
    ways = (("model", "hardware"),)
    options = REQUESTS
    gives = ("ttft", "itl", "stall", "request_rate", "service_time", "service_alone", "service_cv", "servers")
    # A queue at any rate, of which only the servers are read: how many, and how long one is taken.
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "queue": {"rate": 1.0, "arrival_cv": 1.0, "percentile": 0.5}
    }

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 4."""
        service, q = needed(e, "serving", 4), needed(e, "queue", 7)
        return {
            "ttft": service.ttft,
            "itl": service.itl,
            "stall": service.stall,
            "request_rate": service.rate,
            "service_time": q.service,
            "service_alone": min(float(q.alone), float(q.service)),
            "service_cv": q.service_cv,
            "servers": q.servers,
        }


class ContinuousBatchingModel(PlanModel):
    """The KV cache of the requests that run at once, and the pool it is cut from (wall 5)."""

    walls = (5,)
    ways = (("model", "hardware"),)
    options = (*REQUESTS, "paged", "kv_block", "kv_memory_share")
    gives = ("kv_blocks", "kv_pool_blocks", "kv_token_bytes", "most_requests")

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 5."""
        b = needed(e, "batching", 5)
        return {
            "kv_blocks": kvcache.demand_blocks(b),
            "kv_pool_blocks": kvcache.pool_blocks(b),
            "kv_token_bytes": b.token_bytes,
            "most_requests": kvcache.most_requests(b),
        }


class WeightStreamingModel(PlanModel):
    """Weights that come in layer by layer while the layer before works (wall 6)."""

    walls = (6,)
    ways = (("model", "hardware"),)
    options = ("batch_size", *WORKLOAD, "node", "injection")
    gives = ("layer_time", "layer_load_time", "layer_weights", "latency", "memory")
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {"streaming": {}}

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 6."""
        stream = needed(e, "streaming", 6)
        return {
            "layer_time": streaming.layer_time(stream),
            "layer_load_time": streaming.load_time(stream),
            "layer_weights": stream.weights,
            "latency": e.state.time,
            "memory": e.state.memory,
        }


class TailLatencyModel(ForwardModel):
    """Requests that arrive by chance and wait for a server (wall 7)."""

    walls = (7,)
    ways = (("arrival_rate", "service_time", "servers"),)
    options = ("service_alone", "service_cv", "arrival_cv", "percentile", "fanout")
    gives = ("tail_latency", "mean_wait", "wait_probability", "busy_servers")

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the queueing physics; a queue that grows without end has infinite times."""

        def number(name: str, default: str) -> float:
            return numbers[name] if name in numbers else take.take(default)

        rate, service, servers = (numbers[n] for n in ("arrival_rate", "service_time", "servers"))
        q = queueing.Station(
            rate,
            servers,
            service,
            number("arrival_cv", "arrival_cv"),
            number("service_cv", "service_cv"),
            number("percentile", "tail_percentile"),
            numbers.get("fanout", float(QueueBlock.model_validate({"rate": rate}).fanout)),
            numbers.get("service_alone", service),
        )
        return {
            "tail_latency": queueing.response_quantile(q),
            "mean_wait": queueing.mean_wait(q),
            "wait_probability": queueing.chance_to_wait(q),
            "busy_servers": queueing.in_system(rate, queueing.service_under_load(q)),
        }
