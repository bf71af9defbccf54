"""The optimum of a training job against enumeration of every layout with ``eval``."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import pytest
import random_problems as rp
from hypothesis import assume, given
from hypothesis import strategies as st

import mlsysim
import mlsysim.optimize
from formulations.infeasible import conflict, without
from formulations.joint import holds, join
from formulations.parallelism import formulate
from formulations.solve import solve
from mlsysim.core import layout as lay
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.legal import legal_together, space
from mlsysim.core.sweep import Sweep, evaluate_layouts

RELATIVE = 1e-6
LENSES = ("feasibility", "performance", "macro")
# what is listed and evaluated, all at once
MOST_COMBINATIONS = 3_000_000
MOST_LAYOUTS = 20_000

MODELS = (
    "Llama3_8B",
    "GPT2",
    "Llama3_2_1B",
    "Mixtral_8x7B",
    "DeepSeek_V2",
    "Qwen3_30B_A3B",
    "ResNet50",
    "BERT_Base",
    "BERT_Large",
    "ViT_B16",
    "Mamba_370M",
    "DLRM",
)
# accelerator, and how many of them to draw from
FLEETS = (
    ("A100", (1, 2, 4, 8)),
    ("H100", (1, 2, 4, 8, 16)),
    ("B200", (1, 4, 8)),
    ("GB200", (1, 2, 4)),
    ("TPUv5p", (1, 2, 4, 8)),
    ("MI300X", (1, 3, 8)),
    ("V100", (2, 4, 6)),
    ("L4", (1, 2, 4)),
    ("H200", (2, 5, 8)),
)


@dataclass(frozen=True)
class Point:
    """One layout of a sweep, whose figures are those of a single evaluation (tests/core/test_sweep.py)."""

    sweep: Sweep
    index: int

    @property
    def feasible(self) -> bool:
        return bool(self.sweep.feasible[self.index])

    @property
    def layout(self) -> lay.Layout:
        return self.sweep.layout(self.index)

    @property
    def time(self) -> float:
        return self.metric("performance.latency") / 1e3

    def metric(self, name: str) -> float:
        return float(self.sweep.metrics[name][self.index])


@dataclass(frozen=True)
class Brute:
    """Every legal layout of a plan, evaluated."""

    points: tuple[Point, ...]

    def within(self, keep=lambda e: True) -> list[Point]:
        """Return what the physics allows and ``keep`` accepts, fastest first."""
        found = [e for e in self.points if e.feasible and keep(e)]
        return sorted(found, key=lambda e: e.time)


def legal_layouts(s) -> lay.Columns:
    """List every layout: the product of the factors' values, cut by the rules that join them.

    Empty if there are too many to go through.
    """
    legal = space(s)
    factors = (legal.layer, legal.pipeline, legal.shard)
    sizes = [len(next(iter(columns.values()))) for columns in factors]
    if np.prod([float(n) for n in sizes]) > MOST_COMBINATIONS:
        return {}
    grid = [g.ravel() for g in np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij")]
    layer, pipe, shard = (
        {name: column[at] for name, column in columns.items()}
        for columns, at in zip(factors, grid, strict=True)
    )
    agree = pipe["pp"] == shard["pp"]
    for name in ("tp", "cp", "ep"):
        agree &= layer[name] == shard[name]
    columns = {name: column[agree] for name, column in {**shard, **pipe, **layer}.items()}
    wish = s.settings.fixed.get("recompute")
    none = wish is None or wish.allows("none")
    keep = legal_together(columns, s.batch, s.accelerators)
    keep &= none | (columns["recompute"] > 0) | (columns["recompute_layers"] > 0)
    return {name: column[keep] for name, column in columns.items()}


def points_of(s, columns: lay.Columns) -> tuple[Point, ...]:
    columns = dict(columns)
    columns["recompute"] = np.where(columns["recompute_layers"] > 0, lay.FULL, columns["recompute"])
    sweep = evaluate_layouts(s, columns)
    return tuple(Point(sweep, i) for i in range(len(columns["tp"])))


def brute(plan) -> Brute:
    try:
        s = scenario(plan)
        layouts = legal_layouts(s)
    except InputError:
        assume(False)
    assume(layouts and 0 < len(layouts["tp"]) <= MOST_LAYOUTS)
    return Brute(points_of(s, layouts))


def plan_of(model, hardware, accelerators, batch, *, fixed=None, limits=None, asserts=(), **workload):
    plan = {
        "version": "1.0",
        "workload": {"name": model, "batch_size": batch, **workload},
        "hardware": {"name": hardware, "accelerators": accelerators},
    }
    constraints = dict(limits or {})
    if asserts:
        constraints["assert"] = list(asserts)
    if constraints:
        plan["constraints"] = constraints
    if fixed:
        plan["parallelism"] = fixed
    return plan


def numbers(e: Evaluation) -> dict[str, float]:
    document = e.to_dict()
    return {
        f"{lens}.{name}": x
        for lens in LENSES
        for name, x in document[lens]["metrics"].items()
        if not isinstance(x, str)
    }


@dataclass(frozen=True)
class Wish:
    """A limit of the plan as the test reads it."""

    tag: str
    metric: str
    side: str
    level: float

    def kept(self, e: Evaluation) -> bool:
        x = e.metric(self.metric)
        return x <= self.level if self.side == "max" else x >= self.level


def check(result, everything: Brute, wishes: Sequence[Wish] = ()):
    """Hold an answer against enumeration within the limits, or those of them that it kept."""
    physically = everything.within()
    expected = everything.within(lambda e: all(w.kept(e) for w in wishes))
    if not physically:
        assert (result.status, result.exit_code) == ("infeasible", 2)
        assert not result.decided
        assert result.conflict
        assert result.to_dict()["status"] == "fail"
        return
    assert set(result.dropped) <= {w.tag for w in wishes}
    assert set(result.dropped) <= {c.tag for c in result.conflict}
    assert (not result.dropped) == bool(expected)
    assert (not result.conflict) == bool(expected)
    assert result.to_dict()["solution"]["limits_dropped"] == list(result.dropped)
    best = everything.within(lambda e: all(w.kept(e) for w in wishes if w.tag not in result.dropped))[0]
    assert result.status == "optimal"
    assert result.objective.value == pytest.approx(best.time, rel=RELATIVE)
    assert result.objective.bound <= result.objective.value * (1 + RELATIVE)
    assert result.objective.gap <= RELATIVE
    assert result.evaluation.feasible
    # the decoded plan is worth what the solver said
    assert float(result.evaluation.state.time) == pytest.approx(result.objective.value, rel=RELATIVE)
    # a wish that was given up with others may hold after all, but not all of them
    assert result.exit_code == (0 if expected else 3)
    again = mlsysim.evaluate_plan(result.plan)
    assert again.layout == result.evaluation.layout
    assert again.exit_code == result.exit_code
    ours, theirs = numbers(again), numbers(result.evaluation)
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        assert x == pytest.approx(theirs[name], rel=1e-9, abs=0.0), name


@st.composite
def plans(draw):
    """Draw a plan small enough to enumerate."""
    model = draw(st.sampled_from(MODELS))
    hardware, counts = draw(st.sampled_from(FLEETS))
    count = draw(st.sampled_from(counts))
    workload = {}
    if draw(st.booleans()):
        workload["seq_len"] = draw(st.sampled_from([128, 500, 1024, 4096]))
    if draw(st.integers(0, 3)) == 0:
        workload["attention"] = "unfused"
    if draw(st.integers(0, 3)) == 0:
        workload["precision"] = draw(st.sampled_from(["fp16", "fp8", "fp32"]))
    if draw(st.integers(0, 4)) == 0:
        workload["optimizer"] = "sgd"
    fixed = {}
    for name, values in (
        ("tp", [1, 2]),
        ("cp", [1]),
        ("pp", [1, 2]),
        ("zero_stage", [0, 1, 2, 3]),
        ("microbatch_size", [1, 2]),
        ("recompute", ["none", "full", "selective"]),
        ("interleave", [1]),
        ("sequence_parallel", [True, False]),
        ("ep", [1, 2]),
    ):
        if draw(st.integers(0, 2)) == 0:
            fixed[name] = draw(st.sampled_from(values))
    batch = count * draw(st.sampled_from([1, 2, 4, 6, 8]))
    return plan_of(model, hardware, count, batch, fixed=fixed, **workload)


LIMITS = {
    "latency": ("performance.latency", "max"),
    "slower": ("performance.latency", "min"),
    "mfu": ("performance.mfu", "min"),
    "idle": ("performance.mfu", "max"),
    "throughput": ("performance.throughput", "max"),
    "faster": ("performance.throughput", "min"),
    "memory": ("feasibility.memory_share", "max"),
    "full": ("feasibility.memory", "min"),
    "traffic": ("performance.communication_time", "max"),
    "traffic share": ("performance.communication_share", "max"),
    "bubble": ("performance.bubble_time", "max"),
    "activations": ("feasibility.activations", "max"),
    "price of tokens": ("macro.usd_per_million_tokens", "max"),
}


def between(values: list[float], at: int) -> float | None:
    """Return a number clear of every value: well between two neighbours, or beyond an end."""
    ordered = sorted(set(values))
    ends = [(ordered[0] * 0.7, ordered[0]), *itertools.pairwise(ordered), (ordered[-1], ordered[-1] * 1.4)]
    clear = [(a, b) for a, b in ends if b > 0 and b - a > 2e-2 * b]
    if not clear:
        return None
    a, b = clear[at % len(clear)]
    return (a + b) / 2


# what the property test has met, so that it cannot pass on nothing
SEEN: Counter[str] = Counter()


@rp.examples(50)
@given(
    plans(),
    st.lists(
        st.tuples(st.sampled_from(sorted(LIMITS)), st.integers(0, 30)),
        min_size=1,
        max_size=2,
        unique_by=lambda x: LIMITS[x[0]][0],
    ),
    st.sampled_from([None, None, None, None, None, 2.0, 0.5]),
)
def test_the_optimum_equals_enumeration(plan, wishes, budget):
    everything = brute(plan)
    physically = everything.within()
    asserts, limits, tests = [], {}, []
    for name, at in wishes:
        metric, side = LIMITS[name]
        level = between([e.metric(metric) for e in physically or everything.points], at)
        if level is None:
            continue
        tests.append(Wish(f"assert{len(asserts)}", metric, side, level))
        asserts.append({"metric": metric, side: level})
    if budget is not None:
        cost = everything.points[0].metric("macro.tco_usd")
        assume(cost > 0.0)
        limits["budget"] = cost * budget
        tests.append(Wish("w17", "macro.tco_usd", "max", cost * budget))
    if asserts or limits:
        plan = {**plan, "constraints": {**limits, **({"assert": asserts} if asserts else {})}}
    for solver in ("auto", "exhaustive"):
        check(mlsysim.optimize.parallelism(plan, solver=solver), everything, tests)
    expected = everything.within(lambda e: all(w.kept(e) for w in tests))
    SEEN["cases"] += 1
    SEEN["limited"] += bool(expected) and len(expected) < len(physically)
    SEEN["violated"] += bool(physically) and not expected
    SEEN["infeasible"] += not physically


def test_the_property_test_met_enough():
    if not SEEN:
        pytest.skip("the property test did not run")
    assert SEEN["cases"] >= 30
    assert SEEN["limited"] >= 3
    assert SEEN["violated"] >= 2
    assert SEEN["infeasible"] >= 1


# -- named cases ----------------------------------------------------------------------------------

NAMES = [f.name for f in fields(lay.Layout)]

NAMED = {
    "dense": plan_of("Llama3_8B", "H100", 8, 16, seq_len=2048, fixed={"cp": 1, "interleave": 1}),
    "experts": plan_of(
        "Mixtral_8x7B", "MI300X", 8, 8, seq_len=1024, fixed={"cp": 1, "interleave": 1, "zero_stage": 1}
    ),
    "latent attention": plan_of(
        "DeepSeek_V2",
        "B200",
        32,
        32,
        seq_len=1024,
        fixed={
            "cp": 1,
            "zero_stage": 1,
            "interleave": 1,
            "recompute": "full",
            "microbatch_size": 1,
            "sequence_parallel": True,
        },
    ),
    "convolutions": plan_of("ResNet50", "V100", 4, 256),
    "encoder": plan_of("BERT_Large", "A100", 4, 16, seq_len=512, fixed={"cp": 1}),
    "rack": plan_of("Llama3_8B", "GB200", 8, 16, fixed={"zero_stage": 1, "recompute": "none", "cp": 1}),
    "torus": plan_of("GPT2", "TPUv5p", 4, 16, seq_len=1024, fixed={"recompute": "none"}),
    "small cards": plan_of("Llama3_2_1B", "L4", 4, 8, seq_len=1024, fixed={"cp": 1}),
    "unfused": plan_of("GPT2", "A100", 2, 8, seq_len=1024, attention="unfused", fixed={"cp": 1}),
}


@lru_cache
def enumerated(name) -> Brute:
    s = scenario(NAMED[name])
    return Brute(points_of(s, legal_layouts(s)))


@pytest.mark.parametrize("name", list(NAMED))
def test_named_cases(name):
    everything = enumerated(name)
    assert len(everything.points) > 3
    physically = everything.within()
    assert physically
    for solver in ("auto", "exhaustive"):
        check(mlsysim.optimize.parallelism(NAMED[name], solver=solver), everything)


@pytest.mark.parametrize("name", list(NAMED))
def test_the_problem_holds_exactly_the_legal_layouts_and_their_physics(name):
    recipe = formulate(scenario(NAMED[name]))
    found = {}
    for batch in join(recipe.problem):
        times = recipe.problem.objective.at(batch)
        kept = holds(recipe.problem, batch)
        columns = {n: c[batch[x]].tolist() for x in recipe.problem.choices for n, c in x.columns.items()}
        for i, layout in enumerate(zip(*(columns[n] for n in NAMES), strict=True)):
            assert layout not in found
            found[layout] = float(times[i]), bool(kept[i])
    everything = enumerated(name)
    columns = everything.points[0].sweep.layouts
    # the factors know no full recomputation: it is a number of layers
    columns = {**columns, "recompute": np.where(columns["recompute"] == lay.FULL, 0, columns["recompute"])}
    expected = list(zip(*(columns[n].tolist() for n in NAMES), strict=True))
    assert found.keys() == set(expected)
    for layout, point in zip(expected, everything.points, strict=True):
        time, keeps = found[layout]
        assert time == pytest.approx(point.time, rel=1e-9)
        assert keeps == point.feasible


@pytest.mark.parametrize("name", ["dense", "experts", "convolutions", "unfused"])
def test_a_communication_limit_is_the_wall(name):
    everything = enumerated(name)
    physically = everything.within()
    share = between([e.metric("performance.communication_share") for e in physically], 1)
    plan = {**NAMED[name], "constraints": {"communication": share}}
    wish = Wish("w14", "performance.communication_share", "max", share)
    for solver in ("auto", "exhaustive"):
        result = mlsysim.optimize.parallelism(plan, solver=solver)
        check(result, everything, [wish])
    assert not result.conflict or 14 in [c.wall for c in result.conflict]


@pytest.mark.parametrize("name", ["dense", "experts", "small cards"])
def test_the_five_best_in_order(name):
    plan = NAMED[name]
    physically = enumerated(name).within()
    assert len(physically) > 5
    result = mlsysim.optimize.parallelism(plan, top=5)
    layouts = [result.evaluation.layout.to_dict()] + [
        {k: v for k, v in a.items() if k in NAMES} for a in result.alternatives
    ]
    assert len(layouts) == 5
    assert len({tuple(x.items()) for x in layouts}) == 5
    times = [float(result.evaluation.state.time) * 1e3, *(a["objective"] for a in result.alternatives)]
    assert {a["unit"] for a in result.alternatives} == {"ms"}
    assert times == sorted(times)
    assert times == pytest.approx([e.time * 1e3 for e in physically[:5]], rel=RELATIVE)
    s = scenario(plan)
    for layout, time in zip(layouts, times, strict=True):
        assert float(evaluate(s, lay.Layout(**layout)).state.time) * 1e3 == pytest.approx(time, rel=1e-9)


def test_more_than_there_are_gives_what_there_is():
    plan = plan_of("ResNet50", "V100", 1, 4)
    s = scenario(plan)
    layouts = Brute(points_of(s, legal_layouts(s))).within()
    result = mlsysim.optimize.parallelism(plan, top=20)
    assert 1 < len(layouts) < 20
    assert len(result.alternatives) == len(layouts) - 1


@pytest.mark.parametrize("name", list(NAMED))
def test_fixing_the_answer_gives_it_back(name):
    free = mlsysim.optimize.parallelism(NAMED[name])
    layout = free.evaluation.layout
    fixed = mlsysim.optimize.parallelism({**NAMED[name], "parallelism": layout.to_dict()})
    assert fixed.evaluation.layout == layout
    assert fixed.objective.value == pytest.approx(free.objective.value, rel=RELATIVE)
    for field in ("tp", "zero_stage", "microbatch_size", "recompute"):
        given_one = mlsysim.optimize.parallelism(
            {**NAMED[name], "parallelism": {field: getattr(layout, field)}}
        )
        assert getattr(given_one.evaluation.layout, field) == getattr(layout, field)


def test_the_rule_is_never_better_than_the_optimum():
    for plan in NAMED.values():
        result = mlsysim.optimize.parallelism(plan)
        before = result.before
        assert not before.feasible or float(before.state.time) >= result.objective.value * (1 - RELATIVE)


# -- what cannot hold -----------------------------------------------------------------------------


def minimal(plan, tags: list[str]) -> None:
    """Check by enumeration that the tags cannot hold together, and any all but one can."""
    s = scenario(plan)
    problem = formulate(s, s.settings.bounds).problem
    all_tags = {r.tag for r in problem.rows}
    assert set(tags) <= all_tags
    rest = all_tags - set(tags)
    assert solve(without(problem, rest), "exhaustive").outcome.status == "infeasible"
    for tag in tags:
        assert solve(without(problem, rest | {tag}), "exhaustive").outcome.status == "optimal"


@pytest.mark.parametrize(
    ("model", "hardware", "count", "batch"),
    [
        ("Llama3_405B", "L4", 8, 8),
        ("Llama3_70B", "V100", 1, 4),
        ("DeepSeek_V3", "A100", 8, 8),
        ("GPT3", "T4", 4, 4),
    ],
)
def test_nothing_fits(model, hardware, count, batch):
    plan = plan_of(model, hardware, count, batch, fixed={"cp": 1})
    for solver in ("auto", "exhaustive"):
        result = mlsysim.optimize.parallelism(plan, solver=solver)
        assert (result.status, result.exit_code, result.decided) == ("infeasible", 2, {})
        assert result.to_dict()["status"] == "fail"
        assert result.objective.value is None
        assert result.alternatives == ()
        tags = [c.tag for c in result.conflict]
        minimal(plan, tags)
        assert 2 in [c.wall for c in result.conflict]
    # a fleet that is big enough for the same job has a plan
    assert mlsysim.optimize.parallelism(plan_of(model, "B300", 64, 64)).status == "optimal"


def test_no_plan_takes_a_step_in_50_ms():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_70B", "batch_size": 4096},
        "hardware": {"name": "H100", "nodes": 64},
        "ops": {"region": "Quebec", "duration_days": 14.0},
        "constraints": {"assert": [{"metric": "performance.latency", "max": 50.0}]},
    }
    result = mlsysim.optimize.parallelism(plan)
    free = mlsysim.optimize.parallelism({k: v for k, v in plan.items() if k != "constraints"})
    assert (result.status, result.dropped, result.exit_code) == ("optimal", ("assert0",), 3)
    assert result.objective.value == pytest.approx(free.objective.value, rel=RELATIVE)
    document = result.to_dict()
    assert document["status"] == "sla_violation"
    assert document["solution"]["limits_dropped"] == ["assert0"]
    (violated,) = document["assertions"]
    assert violated["ok"] is False
    assert violated["value"] > 50.0
    assert "assert0" in [c.tag for c in result.conflict]


def test_two_assertions_that_contradict_each_other_are_the_conflict():
    best = mlsysim.optimize.parallelism(NAMED["dense"]).evaluation.metric("performance.latency")
    plan = {
        **NAMED["dense"],
        "constraints": {
            "assert": [
                {"metric": "performance.latency", "max": 3 * best},
                {"metric": "feasibility.memory", "max": "1 TB"},
                {"metric": "performance.latency", "min": 4 * best},
            ]
        },
    }
    result = mlsysim.optimize.parallelism(plan)
    assert [c.tag for c in result.conflict] == ["assert0", "assert2"]
    assert [c.wall for c in result.conflict] == [None, None]
    assert result.exit_code == 3
    assert result.evaluation.metric("performance.latency") == pytest.approx(best, rel=RELATIVE)
    minimal(plan, [c.tag for c in result.conflict])


@rp.examples(25)
@given(
    st.sampled_from(["dense", "experts", "convolutions", "small cards", "unfused"]),
    st.lists(
        st.tuples(st.sampled_from(sorted(LIMITS)), st.sampled_from([0.3, 0.6, 0.95, 1.05, 1.7])),
        min_size=1,
        max_size=3,
    ),
)
def test_conflicts_are_minimal(name, wishes):
    best = mlsysim.optimize.parallelism(NAMED[name]).evaluation
    asserts = []
    for wish, factor in wishes:
        metric, side = LIMITS[wish]
        # clear of what the layouts take: a limit that a layout meets to a hair is another test's
        level = best.metric(metric) * (factor if side == "max" else 1.0 / factor)
        assume(level > 0.0)
        assume(all(abs(e.metric(metric) - level) > 1e-3 * level for e in enumerated(name).points))
        asserts.append({"metric": metric, side: level})
    plan = {**NAMED[name], "constraints": {"assert": asserts}}
    result = mlsysim.optimize.parallelism(plan)
    check(
        result,
        enumerated(name),
        [
            Wish(f"assert{i}", metric, side, level)
            for i, (metric, side, level) in enumerate(
                (a["metric"], k, v) for a in asserts for k, v in a.items() if k != "metric"
            )
        ],
    )
    if result.dropped:
        s = scenario(plan)
        clash = conflict(formulate(s, s.settings.bounds).problem)
        first = list(clash.tags)
        minimal(plan, first)
        assert [c.tag for c in result.conflict][: len(first)] == first


def test_a_budget_below_the_cost_is_a_conflict_of_its_own():
    result = mlsysim.optimize.parallelism({**NAMED["dense"], "constraints": {"budget": "1 USD"}})
    assert [(c.tag, c.wall) for c in result.conflict] == [("w17", 17)]
    assert (result.status, result.dropped, result.exit_code) == ("optimal", ("w17",), 3)


def test_an_inference_plan_has_no_layout():
    plan = plan_of("Llama3_8B", "H100", 1, 4)
    plan["workload"]["phase"] = "inference"
    with pytest.raises(InputError, match="training"):
        mlsysim.optimize.parallelism(plan)


@pytest.mark.parametrize(
    "option",
    [
        {"time_limit": 0.0},
        {"gap": -1.0},
        {"threads": 0},
        {"seed": True},
        {"solver": "simplex"},
        {"time_limit": float("nan")},
    ],
)
def test_options_are_checked(option):
    with pytest.raises(InputError):
        mlsysim.optimize.parallelism(NAMED["convolutions"], **option)


def test_space_size_counts_the_decisions():
    plan = NAMED["convolutions"]
    result = mlsysim.optimize.parallelism(plan)
    legal = space(scenario(plan))
    decisions = {
        n: set(c.tolist()) for part in (legal.layer, legal.pipeline, legal.shard) for n, c in part.items()
    }
    assert result.space_size == np.prod([len(v) for v in decisions.values()])
    assert result.to_dict()["solution"]["engine"]["verified_by"] == "eval"


def test_without_a_solution_nothing_is_said_to_be_verified():
    result = mlsysim.optimize.parallelism(plan_of("Llama3_70B", "V100", 1, 4))
    solution = result.to_dict()["solution"]
    assert solution["engine"]["verified_by"] is None
    assert solution["plan"] == {}
    assert solution["binding_walls"] == []
    assert solution["objective"]["value"] is None
