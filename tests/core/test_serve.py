"""``serve``: a service in a few words is the plan that it stands for, and its numbers are those of eval."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mlsysim
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.metrics import METRICS
from mlsysim.core.serve import checked, serve, service_plan
from mlsysim.physics import inference, kvcache, queueing, serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat_service.yaml"
SERVED = [name for name, m in METRICS.items() if m.needs]


def service(**how: Any) -> Evaluation:
    return serve("Llama3_8B", "H100", **{"batch": 32, "prompt": 500, "output": 200, **how})


@pytest.mark.parametrize(
    "how",
    [
        {"qps": 5},
        {"qps": 20, "tp": 2, "replicas": 3, "precision": "fp8", "scheduler": "chunked", "token_budget": 512},
        {"qps": 2, "draft": "Llama3_2_1B"},
        {"scheduler": "disaggregated", "replicas": 2, "qps": 4, "rented": True, "region": "Quebec"},
    ],
)
def test_serve_gives_the_same_numbers_as_eval_of_the_same_plan(how: dict[str, Any], tmp_path: Path):
    if how.get("draft"):
        how = how | {"draft": "Llama3_8B"}
    served = service(**how)
    path = tmp_path / "plan.yaml"
    path.write_text(
        yaml.safe_dump(service_plan("Llama3_8B", "H100", batch=32, prompt=500, output=200, **how))
    )
    assert mlsysim.evaluate_plan(path).to_dict() == served.to_dict()
    # and the plan that the result prints is the same service again
    again = mlsysim.evaluate_plan(served.plan())
    for name, m in METRICS.items():
        assert m.applies(served.state) == m.applies(again.state)
        if m.applies(served.state):
            assert again.metric(name) == pytest.approx(served.metric(name), rel=1e-12), name


def test_the_numbers_are_those_of_the_physics():
    e = service(qps=10, replicas=2)
    s, q = e.state.serving, e.state.queue
    assert e.metric("performance.ttft") == pytest.approx(float(s.ttft) * 1e3)
    assert e.metric("performance.request_capacity") == pytest.approx(2 * float(s.rate))
    assert e.metric("performance.token_capacity") == pytest.approx(2 * 200 * float(s.rate))
    p99 = float(queueing.response_quantile(replace(q, percentile=0.99)))
    assert e.metric("performance.response_p99") == pytest.approx(p99 * 1e3)
    assert e.metric("performance.utilization") == pytest.approx(10 / (2 * float(s.rate)), rel=1e-6)
    usd = e.metric("macro.tco_usd") / (e.state.duration * 10 * 200) * 1e6
    assert e.metric("macro.usd_per_million_served") == pytest.approx(usd)
    assert e.metric("macro.gco2e_per_million_served") == pytest.approx(
        e.metric("macro.carbon_tco2e") * 1e6 / (e.state.duration * 10 * 200) * 1e6
    )
    assert e.metric("feasibility.kv_requests") == float(kvcache.most_requests(e.state.batching))


def test_without_a_load_money_is_at_capacity_and_there_are_no_percentiles():
    e = service()
    shown = e.to_dict()
    assert "response_p99" not in shown["performance"]["metrics"]
    at_capacity = (
        e.metric("macro.tco_usd") / (e.state.duration * e.metric("performance.token_capacity")) * 1e6
    )
    assert e.metric("macro.usd_per_million_served") == pytest.approx(at_capacity)


def test_a_queue_without_end_has_no_percentiles():
    e = service(qps=1e4)
    assert e.exit_code == 2
    assert math.isinf(e.metric("performance.response_p99"))
    assert math.isinf(e.metric("performance.ttft_p50"))


def test_without_a_batch_it_is_what_the_pool_holds():
    small = serve("Llama3_8B", "H100", prompt=100, output=100)
    assert small.scenario.settings.blocks["serving"]["requests"] == 256
    long = serve("Llama3_8B", "H100", prompt=30_000, output=500)
    requests = long.scenario.settings.blocks["serving"]["requests"]
    assert requests == int(long.metric("feasibility.kv_requests"))
    assert long.feasible


def test_a_draft_model_takes_memory():
    """Its weights and its cache: a service that fits without it need not with it."""
    alone, guessed = service(), service(draft="Llama3_8B")
    assert guessed.state.memory - alone.state.memory > 15e9
    assert guessed.metric("feasibility.kv_tokens") < 0.4 * alone.metric("feasibility.kv_tokens")
    m = alone.scenario.model.transformer
    pool = alone.state.batching.pool - guessed.state.batching.pool
    assert pool == pytest.approx(inference.held_weights(m, 1.0) * 2.0)
    assert guessed.state.batching.token_bytes == pytest.approx(2 * alone.state.batching.token_bytes)


def test_what_a_running_request_holds_is_the_context():
    e = service(prompt=1000, output=300)
    held = kvcache.held_tokens(e.state.batching.lengths)
    assert e.scenario.seq_len == round(held)
    plain = mlsysim.evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "phase": "inference", "seq_len": 777},
            "hardware": {"name": "H100"},
            "serving": {"prompt": 1000, "output": 300},
        }
    )
    assert plain.scenario.seq_len == 777


def test_a_place_is_taken_no_shorter_than_littles_law_says():
    """Where prefill cannot keep up, places wait for it, and the queue must not count on them."""
    s = service(prompt=4000, output=2, batch=64, scheduler="chunked", qps=1).state
    assert float(serving.response_time(s.serving, s.serving.output)) < 64 / float(s.serving.rate)
    assert float(s.queue.service) == pytest.approx(64 / float(s.serving.rate))
    assert float(s.queue.servers / s.queue.service) == pytest.approx(float(s.serving.rate))


def test_the_first_token_waits_for_prompts_that_are_being_read():
    """With places to spare the only wait is that of an M/D/1 queue of prompts on each replica."""
    e = service(qps=20, replicas=2, batch=200, prompt=2000)
    first = float(e.state.serving.ttft)
    prompts = queueing.Station(10.0, 1.0, first, service_cv=0.0)
    assert float(queueing.chance_to_wait(e.state.queue)) < 1e-6
    for p in (0.5, 0.95, 0.99):
        expected = first + float(queueing.wait_quantile(prompts, p))
        assert e.metric(f"performance.ttft_p{p * 100:.0f}") == pytest.approx(expected * 1e3)
    assert e.metric("performance.ttft_p99") > 1.5 * e.metric("performance.ttft")


def test_separate_instances_make_up_a_replica():
    e = service(scheduler="disaggregated", tp=2, replicas=3, qps=1)
    assert e.scenario.accelerators == 12
    assert e.metric("performance.request_capacity") == pytest.approx(3 * float(e.state.serving.rate))
    assert e.state.queue.servers == 3 * 32


@settings(max_examples=15, deadline=None)
@given(
    low=st.floats(0.05, 40), more=st.floats(0.01, 10), scheduler=st.sampled_from(["prefill_first", "chunked"])
)
def test_more_load_never_answers_sooner(low: float, more: float, scheduler: str):
    calm, busy = (service(qps=q, scheduler=scheduler) for q in (low, low + more))
    for name in ("response_p50", "response_p95", "response_p99", "ttft_p99", "utilization"):
        name = f"performance.{name}"
        assert calm.metric(name) <= busy.metric(name) * (1 + 1e-9), name


@settings(max_examples=10, deadline=None)
@given(qps=st.floats(1, 60), replicas=st.integers(1, 3))
def test_more_replicas_never_answer_later(qps: float, replicas: int):
    few, many = (service(qps=qps, replicas=n) for n in (replicas, replicas + 1))
    for name in ("performance.response_p99", "performance.ttft_p99"):
        assert many.metric(name) <= few.metric(name) * (1 + 1e-9), name


def test_a_target_for_the_first_token_counts_the_wait():
    rate = service().metric("performance.request_capacity")
    e = service(qps=0.95 * rate, ttft_ms=50.0)
    (row,) = [r for r in e.walls if r.wall.number == 7]
    assert e.metric("performance.ttft") < 50 < e.metric("performance.ttft_p99")
    assert (row.status, row.supply) == ("fail", 50.0)
    assert e.exit_code == 3
    assert "wait included" in row.note


@pytest.mark.parametrize(
    ("metric", "blocks", "needs"),
    [
        ("performance.response_p99", {}, "queue"),
        ("performance.ttft_p99", {"queue": {"rate": 1}}, "inference"),
        ("feasibility.kv_tokens", {}, "KV cache"),
    ],
)
def test_an_assertion_about_what_is_not_there_is_refused(metric: str, blocks: dict[str, Any], needs: str):
    plan = {
        "version": "1.0",
        "workload": {"name": "BERT_Large", "phase": "inference"},
        "hardware": {"name": "H100"},
        "constraints": {"assert": [{"metric": metric, "max": 1e6}]},
        **blocks,
    }
    with pytest.raises(InputError) as caught:
        mlsysim.evaluate_plan(plan)
    assert needs in caught.value.hint


def test_assertions_about_a_service_hold_it_to_them():
    plan = yaml.safe_load(EXAMPLE.read_text())
    plan["constraints"] = {"assert": [{"metric": "response_p95", "max": "1 s"}]}
    e = mlsysim.evaluate_plan(plan)
    assert e.exit_code == 3
    assert not e.checks[0].ok


@pytest.mark.parametrize("model", ["BERT_Large", "ResNet50"])
def test_models_that_do_not_answer_are_refused(model: str):
    with pytest.raises(InputError):
        serve(model, "H100", batch=1)


def test_a_plan_of_training_is_no_service():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 8},
        "hardware": {"name": "H100", "nodes": 1},
    }
    e = mlsysim.evaluate_plan(plan)
    with pytest.raises(InputError, match="training"):
        checked(e)
