"""The shipped plans run, say what they are meant to say, and together show every wall."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from mlsysim.core.api import evaluate_plan
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.plan import load
from mlsysim.core.solver.optimizers import parallelism
from mlsysim.space.design import DesignSpace
from mlsysim.walls import WALLS

FOLDER = Path(__file__).parents[1] / "examples"
# Exit code of `eval`, and the walls that the plan is there to show.
EXPECTED: dict[str, tuple[int, set[int]]] = {
    "chat_batching": (0, {2}),
    "chat_service": (3, {4, 7}),
    "chatbot": (0, {2}),
    "document_chat": (3, {5}),
    "example_cluster": (3, {1}),
    "gpt3_a100": (0, {1, 10}),
    "image_pipeline": (2, {8, 9}),
    "keyword_spotting": (0, {1}),
    "llama3_70b": (0, {10, 14}),
    "long_run": (3, {11, 15, 19}),
    "mixtral_moe": (0, set()),
    "open_decisions": (0, {10}),
    "private_training": (3, {20}),
    "question_answering": (3, {1, 13}),
    "reasoning_agent": (3, {12}),
    "rented_cluster": (3, {17, 18}),
    "shared_cluster": (3, {16}),
    "too_small": (2, {2}),
    "wafer_streaming": (0, {6}),
}
# Plans with several jobs; tests/core/test_fleet_placement.py and tests/cli/test_fleets.py run them.
FLEETS = ("fleet", "fleet_small")
# Plans whose accelerators `optimize serving` decides; tests/core/test_optimize_serving.py runs it.
MIXES = ("serving_mix",)
TRAINING = [name for name in EXPECTED if load(FOLDER / f"{name}.yaml")[0].workload.phase == "training"]


@cache
def evaluated(name: str) -> Evaluation:
    return evaluate_plan(FOLDER / f"{name}.yaml")


def seen(name: str) -> set[int]:
    """The walls that an example binds at or fails at."""
    return {w.wall.number for w in evaluated(name).walls if w.status in ("binding", "fail")}


def test_every_example_is_in_the_table():
    assert sorted(p.stem for p in FOLDER.glob("*.yaml")) == sorted([*EXPECTED, *FLEETS, *MIXES])


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_is_not_evaluated_as_if_it_were_one_service(name):
    path = FOLDER / f"{name}.yaml"
    with pytest.raises(InputError, match="mix of requests") as refused:
        evaluate_plan(path)
    line = next(
        i for i, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if text == "mix:"
    )
    assert f":{line}" in refused.value.where
    assert "optimize serving" in str(refused.value.hint)
    with pytest.raises(InputError, match="mix of requests"):
        DesignSpace(path, {"batch": [1, 2]}, minimize="performance.latency")


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_ends_as_it_says(name):
    code, shown = EXPECTED[name]
    assert evaluated(name).exit_code == code
    assert shown <= seen(name)
    assert len(evaluated(name).walls) == 22


@pytest.mark.parametrize("name", EXPECTED)
def test_the_comments_name_the_walls_that_are_shown(name):
    """Where the head of a plan says `wall 4 (Serving)`, wall 4 is Serving and is shown."""
    told = re.findall(r"wall (\d+) \(([^)]+)\)", (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), re.I)
    for number, title in told:
        assert WALLS[int(number) - 1].name == title
        assert int(number) in seen(name)


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_example_can_be_optimized(name):
    found = parallelism(FOLDER / f"{name}.yaml")
    assert found.status in ("optimal", "infeasible")
    assert (found.status == "infeasible") == (name == "too_small")


@pytest.mark.parametrize("number", [w.number for w in WALLS])
def test_each_wall_is_seen(number):
    assert any(number in seen(name) for name in EXPECTED)


def test_streamed_weights_are_what_the_time_goes_to():
    """14 GB of layers at the rate of the link: the pass, its first token and its bottleneck say so."""
    e = evaluated("wafer_streaming")
    link = e.state.streaming.injection
    assert e.state.time >= 13.9e9 / link
    assert e.state.serving.ttft >= 13.9e9 / link
    assert e.bottleneck == "streaming"
    assert [w.wall.number for w in e.walls if w.status == "binding"] == [6, 21]
    assert e.walls[20].note.startswith("weight stream")
