"""Every option that an emitter writes exists in its project, with a value that it takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as each
from hypothesis import settings
from hypothesis import strategies as st
from reading import MODELS, NAMES, given, options, plan

from mlsysim.core.evaluation import Evaluation
from mlsysim.handover import TARGETS, emit
from mlsysim.handover.nemo import BARE, RECIPES
from mlsysim.handover.torchtitan import MODELS as FLAVORS

KNOWN = {
    target: {name: kind for names in project["files"].values() for name, kind in names.items()}
    for target, project in NAMES.items()
}


def takes(kind: Any, value: Any) -> bool:
    """Whether an option of a kind takes a value."""
    if isinstance(kind, list):
        chosen = value if isinstance(value, list) else [value]
        return all(v in kind for v in chosen)
    types = {"bool": bool, "str": str, "list": list, "map": dict, "float": float}
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("flag", "null"):
        return value is None
    return isinstance(value, types[kind])


def word(kind: Any, value: str | None) -> Any:
    """The value of a word of a command line, which is text."""
    if value is not None and kind in ("int", "float"):
        return {"int": int, "float": float}[kind](value)
    return value


def check(evaluation: Evaluation) -> None:
    for target in TARGETS:
        known = KNOWN[target]
        for name, value in options(target, emit(evaluation, target).text).items():
            assert name in known, (target, name)
            if target == "megatron":
                value = word(known[name], value)
            # a recipe's own choice is taken back with null
            cleared = target == "nemo" and value is None
            assert cleared or takes(known[name], value), (target, name, value)


@st.composite
def layouts(draw: Any) -> dict[str, Any]:
    """Decisions for 64 accelerators and a batch of 256, also those that no plan would choose."""
    tp = draw(st.sampled_from([1, 2, 4, 8]))
    cp = draw(st.sampled_from([1, 2, 4]))
    pp = draw(st.sampled_from([d for d in (1, 2, 4, 8, 16) if 64 % (tp * cp * d) == 0]))
    dp = 64 // (tp * cp * pp)
    ends = st.integers(0, 3) if pp > 2 else st.just(0)
    return {
        "tp": tp,
        "cp": cp,
        "pp": pp,
        "dp": dp,
        "ep": draw(st.sampled_from([d for d in (1, 2, 4) if dp % d == 0])),
        "microbatch_size": draw(st.sampled_from([d for d in (1, 2, 4) if 256 % (dp * d) == 0])),
        "interleave": draw(st.integers(1, 3)) if pp > 1 else 1,
        "recompute": draw(st.sampled_from(["none", "selective", "full"])),
        "sequence_parallel": draw(st.booleans()),
        "zero_stage": draw(st.integers(0, 3)),
        "first_stage_layers": draw(ends),
        "last_stage_layers": draw(ends),
        "recompute_layers": draw(st.integers(0, 4)),
        "offload_optimizer": draw(st.booleans()),
        "overlap_gradients": draw(st.booleans()),
        "overlap_tensor": draw(st.booleans()),
        "overlap_pipeline": draw(st.booleans()),
        "overlap_experts": draw(st.booleans()),
    }


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp8", "fp32"])
@pytest.mark.parametrize("model", MODELS)
def test_options_of_the_rules_plan(model: str, precision: str):
    check(plan(model, precision=precision, training_tokens=1.0e12))


@settings(max_examples=150, deadline=None)
@each(
    model=st.sampled_from(MODELS),
    workload=st.sampled_from(
        [
            {},
            {"precision": "fp8", "optimizer": "sgd"},
            {"precision": "fp32", "dropout": True},
            {"precision": "fp16", "attention": "unfused", "training_tokens": 1.0e12},
        ]
    ),
    decisions=layouts(),
)
def test_options_of_any_layout(model: str, workload: dict[str, Any], decisions: dict[str, Any]):
    base = plan(model, **workload)
    if not base.scenario.model.transformer.experts:
        decisions["ep"] = 1
    check(given(base, **decisions))


def test_the_lists_say_where_they_are_from():
    assert set(NAMES) == set(TARGETS)
    for project in NAMES.values():
        assert len(project["commit"]) == 40
        assert project["repository"].startswith("github.com/")
        names = [n for names in project["files"].values() for n in names]
        assert len(names) == len(set(names))


def test_recipes_and_flavors_exist():
    assert {*RECIPES.values(), BARE} == set(NAMES["nemo"]["recipes"])
    for name, flavor in FLAVORS.values():
        assert flavor in NAMES["torchtitan"]["models"][name]


def test_the_check_would_see_what_is_wrong():
    assert not takes("int", "two")
    assert not takes("int", True)
    assert not takes(["a", "b"], "c")
    assert not takes("flag", "1")
    assert not takes("int", "2")
    assert takes("float", word("float", "0.0"))
    with pytest.raises(ValueError, match="invalid literal"):
        word("int", "two")
    assert takes(["core_attn"], ["core_attn"])
