"""Optuna and pymoo: a trial of our own stands in for theirs where they are not installed."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import mlsysim
from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.space import adapters

PLAN = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "phase": "inference", "batch_size": 8},
    "hardware": {"name": "H100", "accelerators": 1},
}


def space(**more):
    given = {"minimize": "latency", "maximize": "performance.throughput", **more}
    return mlsysim.DesignSpace(
        PLAN,
        {
            "hardware": ["H100", "A100"],
            "batch": {"min": 1, "max": 512, "log": True},
            "supplies.bandwidth": {"min": 1.0, "max": 8.0},
        },
        constraints=["latency < 40 ms"],
        **given,
    )


class Trial:
    """What an objective asks of an Optuna trial."""

    def __init__(self, share):
        self.share, self.params, self.user_attrs = share, {}, {}

    def suggest_categorical(self, name, choices):
        return self._kept(name, list(choices)[int(self.share * len(choices))])

    def suggest_int(self, name, low, high, *, log=False):
        return self._kept(name, int(low + self.share * (high - low)))

    def suggest_float(self, name, low, high, *, log=False):
        return self._kept(name, low + self.share * (high - low))

    def _kept(self, name, value):
        self.params[name] = value
        return value

    def set_user_attr(self, name, value):
        self.user_attrs[name] = value


class Pruned(Exception):
    """Stands in for ``optuna.TrialPruned``."""


@pytest.fixture
def fake(monkeypatch):
    module = types.ModuleType("optuna")
    module.TrialPruned = Pruned
    monkeypatch.setitem(sys.modules, "optuna", module)


@pytest.mark.usefixtures("fake")
def test_a_trial_is_a_point():
    of = space()
    objective = adapters.optuna_objective(of)
    assert adapters.directions(of) == ["minimize", "maximize"]
    for share in (0.0, 0.5, 0.99):
        trial = Trial(share)
        values = objective(trial)
        given = adapters.optuna_values(of, trial.params)
        plan = PLAN | {
            "workload": PLAN["workload"] | {"batch_size": given["workload.batch_size"]},
            "hardware": PLAN["hardware"] | {"name": given["hardware.name"]},
        }
        assert given["hardware.name"] in ("H100", "A100")
        one = mlsysim.DesignSpace(plan, {"supplies.bandwidth": [given["supplies.bandwidth"]]}).run().row(0)
        assert values == pytest.approx((one["performance.latency"], one["performance.throughput"]), rel=1e-12)
        held = one["performance.latency"] < 40 and one["status"] == "pass"
        assert adapters.optuna_constraints(trial) == ((0.0,) if held else (1.0,))


@pytest.mark.usefixtures("fake")
def test_a_point_that_is_no_plan_prunes_its_trial():
    of = mlsysim.DesignSpace(PLAN, {"precision": ["bf16", "fp8"], "hardware": ["A100"]}, minimize="latency")
    objective = adapters.optuna_objective(of)
    assert objective(Trial(0.0)) > 0
    with pytest.raises(Pruned, match="fp8"):
        objective(Trial(0.9))


def test_shares_are_points():
    of = space()
    shares = np.array([[0.0, 0.0, 0.0], [0.9, 1.0, 1.0]])
    table = adapters.at(of, shares)
    assert table["hardware.name"].tolist() == ["H100", "A100"]
    assert table["workload.batch_size"].tolist() == [1, 512]
    assert table["supplies.bandwidth"].tolist() == [1.0, 8.0]
    with pytest.raises(InputError, match="shape"):
        adapters.at(of, np.zeros((2, 2)))
    with pytest.raises(InputError, match="shape"):
        adapters.at(of, np.full((2, 3), 1.5))


def test_a_pymoo_problem_is_a_population_at_a_time(monkeypatch):
    class Problem:
        def __init__(self, **given):
            self.__dict__.update(given)

    core = types.ModuleType("pymoo.core.problem")
    core.Problem = Problem
    for name in ("pymoo", "pymoo.core"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "pymoo.core.problem", core)
    problem = adapters.pymoo_problem(space())
    assert (problem.n_var, problem.n_obj, problem.n_ieq_constr) == (3, 2, 1)
    x = np.random.default_rng(0).random((20, 3))
    out = {}
    problem._evaluate(x, out)
    table = adapters.at(space(), x)
    assert out["F"][:, 0].tolist() == table["performance.latency"].tolist()
    assert out["F"][:, 1].tolist() == (-table["performance.throughput"]).tolist()
    assert (out["G"][:, 0] <= 0).tolist() == table.holds.tolist()
    assert 0 < table.holds.sum() < 20


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "pymoo.core.problem", None)
    for call in (adapters.optuna_objective, adapters.pymoo_problem):
        with pytest.raises(MissingExtraError, match="not installed"):
            call(space())
        with pytest.raises(InputError, match="no objective"):
            call(space(minimize=(), maximize=()))


@pytest.mark.filterwarnings("ignore")
def test_optuna_itself():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    of = space(maximize=())
    study = optuna.create_study(
        directions=adapters.directions(of), sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(adapters.optuna_objective(of), n_trials=5)
    assert study.best_value > 0
    best = adapters.optuna_values(of, study.best_params)
    assert best["hardware.name"] in ("H100", "A100")


@pytest.mark.filterwarnings("ignore")
def test_pymoo_itself():
    pytest.importorskip("pymoo")
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.optimize import minimize

    of = space(maximize=())
    found = minimize(adapters.pymoo_problem(of), GA(pop_size=10), ("n_gen", 3), seed=1, verbose=False)
    best = adapters.at(of, found.X).row(0)
    assert best["status"] == "pass"
    assert best["objective"] == pytest.approx(found.F[0])
