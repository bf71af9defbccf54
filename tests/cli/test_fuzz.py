"""Plans mutated at random: whatever they hold, the command line answers in its own terms."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from running import Result, call, call_json

BASE: dict[str, Any] = {
    "version": "1.0",
    "name": "fuzz",
    "workload": {
        "name": "Llama3_8B",
        "batch_size": 64,
        "seq_len": 2048,
        "precision": "bf16",
        "efficiency": 0.5,
        "optimizer": "adam",
        "attention": "fused",
        "dropout": False,
    },
    "hardware": {"name": "H100", "nodes": 2},
    "ops": {"region": "Quebec", "duration_days": 1.0, "ownership": "own", "pue": 1.1},
    "parallelism": {"tp": 2, "pp": 2, "microbatch_size": 1, "zero_stage": 1, "recompute": "full"},
    "constraints": {
        "budget": "5 MUSD",
        "carbon": 10.0,
        "communication": 0.5,
        "assert": [{"metric": "performance.latency", "max": "60 s"}],
    },
}
KEYS = sorted(
    {key for block in (BASE, *(b for b in BASE.values() if isinstance(b, dict))) for key in block}
    | {
        "accelerators",
        "node",
        "phase",
        "cp",
        "dp",
        "ep",
        "interleave",
        "sequence_parallel",
        "water",
        "metric",
    }
)
WORDS = [
    *(
        "",
        "auto",
        "inference",
        "training",
        "rent",
        "sgd",
        "none",
        "selective",
        "unfused",
        "fp8",
        "int8",
        "fp4",
    ),
    *("H200", "T4", "TPUv5p", "ESP32_S3", "DGX_H100", "DGX_A100", "ResNet50", "DLRM", "Mixtral_8x7B"),
    *("Norway", "50 s", "-1 s", "5 USD", "1 B", "1e30", "nan", "performance.mfu", "macro.tco_usd"),
]


def values(words: list[str], keys: list[str], longest: int) -> st.SearchStrategy[Any]:
    """Return what may stand anywhere: a scalar, or a small tree of them."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-2, 600)
        | st.integers()
        | st.floats()
        | st.sampled_from(words)
        | st.text(max_size=longest)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=3),
        max_leaves=5,
    )


VALUES = values(WORDS, KEYS, 12)


def places(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the keys to every value of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = []
    for key, value in items:
        found += [(*above, key), *places(value, (*above, key))]
    return found


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a plan with one to three things changed."""
    plan = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 3))):
        if not (known := places(plan)):
            break
        *above, key = draw(st.sampled_from(known))
        block: Any = plan
        for k in above:
            block = block[k]
        action = draw(st.sampled_from(["drop", "replace", "replace", "replace", "add", "rename"]))
        if action == "drop" or (action == "rename" and isinstance(block, list)):
            del block[key]
        elif action == "replace":
            block[key] = draw(VALUES)
        elif isinstance(block, dict):
            value = block.pop(key) if action == "rename" else draw(VALUES)
            block[draw(st.sampled_from(KEYS) | st.text(max_size=8))] = value
    return plan


def write(plan: Any, folder: Path) -> str:
    """Write a plan, with numbers that JSON does not know as YAML has them."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan, allow_nan=True).replace("NaN", ".nan").replace("Infinity", ".inf"))
    return str(path)


def evaluated(plan: Any, folder: Path) -> Result:
    """Evaluate a plan in both forms, hold the answers against the contract, and return the text."""
    path = write(plan, folder)
    code, document = call_json("eval", path)
    judge(document, code, path)
    text = call("eval", path)
    assert text.code == code
    assert bool(text.out) != bool(text.err)
    return text


def judge(document: Any, code: int, path: str) -> None:
    """Hold an answer against the contract of the exit codes."""
    assert code in (0, 1, 2, 3)
    if code == 1:
        assert document["status"] == "error"
        assert document["error"]["problem"]
        assert document["error"]["where"].startswith(path)
    else:
        assert {"pass": 0, "fail": 2, "sla_violation": 3}[document["status"]] == code


SLOW_FIXTURE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(SLOW_FIXTURE, max_examples=250)
@given(plan=plans())
@example(plan=BASE)
@example(plan=BASE | {"workload": {"name": "Llama3_8B", "batch_size": 64, "²": None}})
def test_eval_answers_every_plan(plan, tmp_path):
    evaluated(plan, tmp_path)


@settings(SLOW_FIXTURE, max_examples=40)
@given(plan=plans(), problem=st.sampled_from(["parallelism", "placement"]))
def test_optimize_answers_every_plan(plan, problem, tmp_path):
    path = write(plan, tmp_path)
    code, document = call_json("optimize", problem, path)
    judge(document, code, path)


@settings(SLOW_FIXTURE, max_examples=300)
@given(text=st.text(max_size=200) | st.text(alphabet="{}[]&*!|>:-? \n\tab1.\"'#%<", max_size=60))
def test_eval_answers_every_text(text, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    result = call("eval", str(path))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(str(path))
