"""``serve`` and ``optimize batching`` as users run them."""

from __future__ import annotations

import json

import pytest
from running import EXAMPLES, bad_tables, call, call_json, too_wide

CHAT = str(EXAMPLES / "chat_service.yaml")
BATCH = str(EXAMPLES / "chat_batching.yaml")
FEW = ("--tp", "1", "--scheduler", "chunked")


@pytest.mark.parametrize(
    "arguments",
    [
        ("Llama3_8B", "H100"),
        ("Llama3_8B", "H100", "--qps", "10", "--prompt", "500", "--output", "100"),
        ("Llama3_70B", "H100", "--tp", "4", "--replicas", "2", "--precision", "fp8", "--draft", "Llama3_8B"),
        (CHAT,),
    ],
)
def test_serve_in_every_form(arguments: tuple[str, ...]):
    text = call("serve", *arguments)
    assert text.err == ""
    assert not too_wide(text.out)
    for word in ("time to first token", "time between tokens", "throughput", "KV cache", "gCO2e", "$"):
        assert word in text.out
    code, document = call_json("serve", *arguments)
    assert code == text.code
    metrics = document["performance"]["metrics"]
    assert {"ttft", "itl", "token_capacity"} <= set(metrics)
    assert ("response_p99" in metrics) == ("--qps" in arguments or CHAT in arguments)
    markdown = call("serve", *arguments, "-o", "markdown")
    assert not bad_tables(markdown.out)


def test_output_is_a_form_or_a_number_of_tokens():
    few = call_json("serve", "Llama3_8B", "H100", "--output", "100")[1]
    many = call_json("serve", "Llama3_8B", "H100", "--output-tokens", "900")[1]
    assert few["plan"]["serving"]["output"] == 100
    assert many["plan"]["serving"]["output"] == 900
    both = call("serve", "Llama3_8B", "H100", "-o", "json", "--output", "50")
    assert json.loads(both.out)["plan"]["serving"]["output"] == 50
    wrong = call("serve", "Llama3_8B", "H100", "--output", "jason")
    assert wrong.code == 1
    assert wrong.err.startswith("--output: 'jason'")


def test_serve_of_a_plan_is_eval_of_it():
    (code, served), (same, evaluated) = call_json("serve", CHAT), call_json("eval", CHAT)
    assert (code, served) == (same, evaluated)
    assert code == 3


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("Llama3_8B", "H1000"), "HARDWARE"),
        (("Llama9", "H100"), "MODEL"),
        (("Llama3_8B", "H100", "--precision", "fp3"), "--precision"),
        (("Llama3_8B", "H100", "--scheduler", "fifo"), "--scheduler"),
        (("Llama3_8B", "H100", "--qps", "-1"), "--qps"),
        (("Llama3_8B", "H100", "--draft", "Llama9"), "--draft"),
        (("Llama3_8B",), "serve"),
        ((CHAT, "--qps", "3"), "serve"),
        (("BERT_Large", "H100"), "serving"),
    ],
)
def test_errors_name_the_argument(arguments: tuple[str, ...], where: str):
    result = call("serve", *arguments)
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith(f"{where}: "), result.err


def test_nothing_fits_and_targets_are_missed():
    assert call("serve", "Llama3_70B", "H100", "--precision", "bf16").code == 2
    assert call("serve", "Llama3_8B", "H100", "--qps", "1000").code == 2
    assert call("serve", "Llama3_8B", "H100", "--qps", "10", "--sla-ms", "500").code == 3


def test_batching_finds_what_holds():
    text = call("optimize", "batching", BATCH, *FEW)
    assert text.code == 0
    assert "optimal, proven" in text.out
    assert "safe" in text.out
    assert not too_wide(text.out)
    code, document = call_json("optimize", "batching", BATCH, *FEW, "--top", "3", "--verify")
    assert code == 0
    solution = document["solution"]
    assert solution["problem"] == "batching"
    assert solution["status"] == "optimal"
    plan = solution["plan"]
    assert (plan["tp"], plan["scheduler"]) == (1, "chunked")
    assert plan["largest_safe_requests"] >= plan["requests"]
    assert len(solution["alternatives"]) == 2
    assert "exhaustive" in solution["engine"]["verified_by"]
    assert solution["objective"]["gap"] == 0
    assert not bad_tables(call("optimize", "batching", BATCH, *FEW, "-o", "markdown").out)


def test_batching_says_what_stands_in_the_way():
    missed = call("optimize", "batching", CHAT)  # its tp of 4 is fixed
    assert missed.code == 3
    assert "Tail latency" in missed.out
    assert "12 s there" in missed.out
    code, document = call_json("optimize", "batching", CHAT)
    assert code == 3
    assert {c["wall"] for c in document["solution"]["conflict"]} == {4, 7}
    crowded = call("optimize", "batching", CHAT, "--qps", "800")
    assert crowded.code == 2
    assert "carries at most" in crowded.out
    code, document = call_json("optimize", "batching", CHAT, "--qps", "800")
    assert code == 2
    assert [c["wall"] for c in document["solution"]["conflict"]] == [7]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm", "plan"])
def test_batching_hands_over(engine: str):
    result = call("optimize", "batching", BATCH, *FEW, "--emit", engine)
    assert result.code == 0
    assert result.out.startswith("version:" if engine == "plan" else "#!/usr/bin/env bash")
    assert "12.0" not in result.out.split("\n")[0]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ((CHAT, "--emit", "vlm"), "--emit"),
        ((CHAT, "--objective", "speed"), "--objective"),
        ((CHAT, "--scheduler", "fifo"), "--scheduler"),
        ((CHAT, "--qps", "0"), "--qps"),
        ((CHAT, "--sla-ms", "-5"), "--sla-ms"),
        ((CHAT, "--tp", "3"), "--tp"),
        ((str(EXAMPLES / "chatbot.yaml"),), "queue"),
        ((str(EXAMPLES / "llama3_70b.yaml"), "--qps", "1"), "workload.phase"),
    ],
)
def test_errors_of_batching_name_the_argument(arguments: tuple[str, ...], where: str):
    result = call("optimize", "batching", *arguments)
    assert result.code == 1
    assert result.out == ""
    assert where in result.err.split(": ")[0] or where in result.err.split(": ")[1], result.err
