"""Checking, comparing and summing up runs, on synthetic figures; and one instance all the way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import establish as establishing
from benchmarks import library
from benchmarks.__main__ import main
from benchmarks.against import by_size
from benchmarks.check import correct, failures, wrong
from benchmarks.compare import changes, text
from benchmarks.library import Instance
from benchmarks.phases import PHASES, engine_named, measure
from benchmarks.run import answer_seconds, shifted_mean, summary
from benchmarks.tables import answer_line, answers_head, pairs, sizes, times
from mlsysim.core.errors import UnknownNameError

VERSIONS = {"mlsysim": "1", "python": "3.11", "highs": "1.15", "numpy": "2.0"}
MODEL = {
    "engine": "highs",
    "space_size": 1000.0,
    "after_presolve": 40.0,
    "variables": 30,
    "rows": 20,
    "nodes": 1,
}
EXPECTED = {
    "status": "optimal",
    "objective": {"name": "performance.latency", "value": 100.0, "unit": "ms"},
    "established": "exhaustive",
    "points": 500,
    "model": MODEL,
    "versions": VERSIONS,
}
KNOWN = Instance("a", "an instance of the tests", {}, tags=("small",), expected=EXPECTED)
IMPOSSIBLE = replace(KNOWN, expected=EXPECTED | {"status": "infeasible", "objective": None})


def record(**changed):
    """A record that agrees with the instance, but for what is changed."""
    found = {
        "instance": "a",
        "size": "small",
        "asked": "highs",
        "seed": 0,
        "error": None,
        "status": "optimal",
        "objective": 100.0,
        "bound": 100.0,
        "gap": 0.0,
        "verified": True,
        "phases": {"presolve": 0.1, "build": 0.02, "solve": 0.3},
        "memory_mib": {"peak": 50.0, "before": 40.0},
        "wrong": [],
        "correct": True,
    }
    return found | MODEL | changed


def run_of(*records, **changed):
    return {"versions": VERSIONS, "machine": {"cores": 2}, "records": list(records)} | changed


NOTHING = {"status": "infeasible", "objective": None, "bound": None, "gap": None, "verified": None}
STOPPED = {"status": "feasible", "objective": 105.0, "bound": 90.0, "gap": 0.14}


# -- check ----------------------------------------------------------------------------------------


def test_the_right_answer_passes():
    assert correct(KNOWN, record()) is True
    assert not failures(KNOWN, record(), VERSIONS)
    assert correct(IMPOSSIBLE, record(**NOTHING)) is True


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"objective": 101.0, "bound": 100.0}, "called optimal"),
        ({"objective": 99.0, "bound": 99.0}, "better than the optimum"),
        ({"status": "feasible", "objective": 105.0, "bound": 104.0}, "bound"),
        (NOTHING, "infeasible instead of optimal"),
        ({"verified": False}, "eval does not confirm"),
        ({"error": "the process died with exit code 1"}, "died"),
    ],
)
def test_a_wrong_answer_is_caught(changed, word):
    assert any(word in reason for reason in wrong(KNOWN, record(**changed)))
    assert correct(KNOWN, record(**changed)) is False
    assert failures(KNOWN, record(**changed), VERSIONS)


def test_an_answer_to_what_is_infeasible_is_caught():
    assert "optimal instead of infeasible" in wrong(IMPOSSIBLE, record())


def test_an_unproven_answer_is_not_wrong_but_fails_the_check():
    assert correct(KNOWN, record(**STOPPED)) is None
    assert failures(KNOWN, record(**STOPPED), VERSIONS) == ["feasible instead of optimal"]


@pytest.mark.parametrize("size", ["space_size", "after_presolve", "variables", "rows", "nodes"])
def test_a_larger_model_fails_the_check(size):
    larger = record(**{size: MODEL[size] * 2})
    assert any(size in reason for reason in failures(KNOWN, larger, VERSIONS))
    assert not failures(KNOWN, record(**{size: MODEL[size] // 2}), VERSIONS)


def test_nodes_of_another_version_of_the_solver_do_not_count():
    assert not failures(KNOWN, record(nodes=50), VERSIONS | {"highs": "1.16"})
    assert failures(KNOWN, record(nodes=50), VERSIONS | {"python": "3.12"})


def test_time_never_fails_the_check():
    slow = record(phases={"presolve": 1e4, "build": 1e4, "solve": 1e4})
    assert not failures(KNOWN, slow, VERSIONS)


def test_an_instance_without_an_established_answer_fails_the_check():
    assert failures(replace(KNOWN, expected=None), record(), VERSIONS)


# -- compare --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"objective": 100.1},
        {"status": "feasible"},
        NOTHING,
        {"variables": 31},
        {"rows": 21},
        {"after_presolve": 41.0},
        {"nodes": 2},
    ],
)
def test_a_change_of_answer_or_a_larger_model_is_bad(changed):
    assert changes(run_of(record()), run_of(record(**changed))).bad


def test_a_smaller_model_and_another_time_are_told_but_not_bad():
    faster = record(variables=10, phases={"presolve": 0.04, "build": 0.02, "solve": 0.3})
    found = changes(run_of(record()), run_of(faster))
    assert not found.bad
    assert found.notes == ["a: smaller model: variables 30 -> 10"]
    # (0.04 + 0.01) / (0.1 + 0.01), the shift included
    assert found.mean("presolve") == pytest.approx(0.05 / 0.11)
    assert found.mean("build") == pytest.approx(1.0)
    assert all(len(line) <= 80 for line in text(found, PHASES))


def test_times_are_medians_over_seeds_before_they_are_compared():
    seeds = [record(seed=i, phases={"solve": t}) for i, t in enumerate((0.1, 0.2, 9.0))]
    found = changes(run_of(*seeds), run_of(record(phases={"solve": 0.41})))
    assert found.ratios["a"]["solve"] == pytest.approx(0.42 / 0.21)


def test_instances_of_one_run_only_are_told():
    found = changes(run_of(record()), run_of(record(instance="b"), machine={"cores": 4}))
    assert not found.bad
    assert len(found.notes) == 3


def test_compare_exits_with_1_on_a_change(tmp_path, monkeypatch, capsys):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps(run_of(record())), encoding="utf-8")
    for changed, code in (({}, 0), ({"objective": 90.0}, 1)):
        second.write_text(json.dumps(run_of(record(**changed))), encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["benchmarks", "compare", str(first), str(second)])
        assert main() == code
    assert "objective 100 ms -> 90 ms" in capsys.readouterr().out


# -- sums and tables ------------------------------------------------------------------------------


def test_the_shifted_mean_is_of_what_it_says():
    assert shifted_mean([0.09, 0.99], shift=0.01) == pytest.approx((0.1 * 1.0) ** 0.5 - 0.01)
    assert shifted_mean([]) is None


def test_what_is_not_proven_counts_at_the_limit():
    assert answer_seconds(record(), 60.0) == pytest.approx(0.42)
    assert answer_seconds(record(**STOPPED), 60.0) == 60.0
    assert answer_seconds(record(wrong=["no"]), 60.0) == 60.0
    total = summary([record(), record(**STOPPED)], 60.0)
    assert (total["proven"], total["runs"], total["wrong"]) == (1, 2, 0)
    assert total["phases"]["solve"]["mean"] == pytest.approx(shifted_mean([0.3, 60.0]))
    assert total["phases"]["verify"] == {"mean": None, "count": 0}


def test_ratios_are_grouped_by_the_size_of_the_space():
    def pair(space, ratio, complete=True):
        return {
            "instance": "llama3-405b-h100-98304-clash",
            "space_size": space,
            "points": 12,
            "ratio": ratio,
            "complete": complete,
            "exhaustive_s": 1.0,
            "solver_s": 1.0,
        }

    found = [pair(2e6, 1.0), pair(9e6, 4.0), pair(3e7, 50.0, False)]
    groups = by_size(found)
    assert [(g["power"], g["count"], g["cut"]) for g in groups] == [(6, 2, 0), (7, 1, 1)]
    assert groups[0]["ratio"] == pytest.approx(2.0)
    assert all(len(line) <= 80 for line in pairs(found, groups))


def test_tables_are_80_columns_wide():
    killed = {"instance": "x" * 31, "seed": 0, "status": "killed", "correct": False, "phases": {}}
    wide = record(
        instance="llama3-405b-h100-2048-headroom",
        objective=123456.789,
        gap=1e-9,
        space_size=1.2345e12,
        variables=123456,
        status="infeasible",
    )
    records = [wide, killed, record(seed=2)]
    lines = [answers_head(), *map(answer_line, records), *sizes(records)]
    lines += times(records, summary([record()], 60.0))
    assert max(map(len, lines)) <= 80


# -- the library and the adapter --------------------------------------------------------------------


def test_a_stronger_answer_is_not_replaced_by_a_weaker(monkeypatch):
    monkeypatch.setattr(establishing, "measured", lambda **given: record(asked=given["engine"]))
    monkeypatch.setattr(establishing, "has_engine", lambda name: False)
    refused = establishing.establish(KNOWN, budget=0.0)
    assert "now only by 'highs'" in refused.refused
    assert refused.instance is KNOWN
    allowed = establishing.establish(KNOWN, budget=0.0, weaker=True)
    assert allowed.instance.expected["established"] == "highs"
    monkeypatch.setattr(establishing, "has_engine", lambda name: True)
    two = establishing.establish(replace(KNOWN, expected=None), budget=0.0)
    assert two.instance.expected["established"] == "two engines"
    assert establishing.establish(KNOWN).instance.expected["established"] == "exhaustive"


def test_engines_that_disagree_establish_nothing(monkeypatch):
    def two_minds(**given):
        return record(asked=given["engine"], objective=99.0 if given["engine"] == "exhaustive" else 100.0)

    monkeypatch.setattr(establishing, "measured", two_minds)
    found = establishing.establish(KNOWN)
    assert "DISAGREEMENT" in found.refused
    assert found.instance.expected == EXPECTED


def test_an_instance_survives_its_file(tmp_path):
    library.save(KNOWN, tmp_path)
    assert library.instances(tmp_path) == [KNOWN]
    assert library.chosen([], "smoke", tmp_path) == []
    with pytest.raises(UnknownNameError, match="aa"):
        library.chosen(["aa"], folder=tmp_path)


def test_an_engine_is_found_by_either_spelling():
    assert engine_named("highs") == engine_named("hi-ghs") == "highs"
    with pytest.raises(UnknownNameError, match="abacus"):
        engine_named("abacus")


@pytest.mark.parametrize("engine", ["auto", "highs", "exhaustive"])
def test_an_instance_goes_through_every_phase(engine):
    (instance,) = library.chosen(["megatron-22b-a100-8"])
    found = measure(instance.plan, engine)
    assert correct(instance, found) is True
    asked = {"lower", "tabulate", "solve", "decode", "verify"}
    assert set(found["phases"]) - {"build"} == asked | ({"presolve"} if engine != "exhaustive" else set())
    assert ("build" in found["phases"]) == (engine == "highs")
    assert found["memory_mib"]["peak"] >= found["memory_mib"]["before"] > 1
    assert (found["variables"] > 0) == (engine != "exhaustive")


def test_a_plan_that_cannot_be_is_an_error_of_its_record():
    (instance,) = library.chosen(["megatron-22b-a100-8"])
    broken = instance.plan | {"workload": {"name": "Llama9", "batch_size": 8}}
    found = measure(broken)
    assert found["status"] == "error"
    assert "Llama9" in found["error"]
    assert correct(instance, found) is False
