"""Progress and Ctrl-C: an engine that is stopped gives what it has, and never a wrong status."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import pytest
import random_problems as rp

from formulations.engines import ENGINES, CpSat, Exhaustive, Highs, arrays, exhaustive, highs
from formulations.engines.base import Options
from formulations.engines.watch import Watch
from formulations.joint import Enumerated
from formulations.linear import linearize
from formulations.solve import solve


@pytest.mark.parametrize("name", ENGINES)
def test_progress_closes_in_on_the_answer_and_changes_nothing(name):
    problem = rp.quadratic(5, 4)
    quiet = ENGINES[name]().solve(problem, Options())
    told = []
    loud = ENGINES[name]().solve(problem, Options(progress=lambda *pair: told.append(pair)))
    assert quiet.status == loud.status == "optimal"
    assert quiet.objective == loud.objective
    assert all((quiet.cells[c] == loud.cells[c]).all() for c in problem.choices)
    assert told[-1] == (loud.objective, loud.bound)
    objectives = [o for o, _ in told if o is not None]
    bounds = [b for _, b in told if b is not None]
    near = 1e-6 * abs(loud.objective)
    assert all(b <= a + near for a, b in itertools.pairwise(objectives))
    assert all(b >= a - near for a, b in itertools.pairwise(bounds))
    assert all(o >= loud.objective - near for o in objectives)
    assert all(b <= loud.objective + near for b in bounds)


def interrupted_after(count):
    """Return a listener to whom Ctrl-C happens once a few answers are known."""
    seen = []

    def listener(objective, bound):
        seen.append(objective)
        if len([o for o in seen if o is not None]) >= count:
            raise KeyboardInterrupt

    return listener


@pytest.mark.parametrize("name", ENGINES)
def test_an_interrupt_while_listening_leaves_the_best_answer(name):
    problem = rp.quadratic()
    options = Options(progress=interrupted_after(1))
    outcome = ENGINES[name]().solve(problem, options)
    assert outcome.status == "feasible"
    assert outcome.seconds < 20.0
    assert outcome.objective == pytest.approx(float(problem.objective.at(outcome.cells)[0]), rel=1e-9)
    assert outcome.bound is None or outcome.bound <= outcome.objective
    # what comes after is not searched for either
    assert options.expired
    assert options.remaining < 1.0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
@pytest.mark.parametrize("name", ENGINES)
def test_ctrl_c_leaves_the_best_answer(name):
    problem = rp.quadratic()

    def press(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        outcome = ENGINES[name]().solve(problem, Options())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert outcome.status in ("feasible", "unknown")
    assert 1.0 < outcome.seconds < 15.0


def test_ctrl_c_stops_a_program_given_as_arrays():
    def press(*_):
        raise KeyboardInterrupt

    options, linear = Options(), linearize(rp.quadratic())
    before = signal.signal(signal.SIGALRM, press)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        answer = arrays.highs(linear, options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert answer.status in ("feasible", "unknown")
    assert answer.seconds < 15.0
    assert options.interrupted.is_set()


def test_a_real_signal_stops_a_search_through_solve():
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))

    def first(*_):  # however long the first answer takes
        if not timer.is_alive() and not timer.finished.is_set():
            timer.start()

    solved = solve(rp.quadratic(), "cp-sat", Options(progress=first))
    timer.join()
    assert solved.outcome.status == "feasible"
    assert solved.outcome.objective is not None


def test_an_engine_that_was_interrupted_can_be_asked_again():
    problem = rp.quadratic(4, 3)
    for name in ENGINES:
        stopped = ENGINES[name]().solve(rp.quadratic(), Options(progress=interrupted_after(1)))
        assert stopped.status == "feasible"
        assert ENGINES[name]().solve(problem, Options()).status == "optimal"


@pytest.mark.parametrize("name", ENGINES)
def test_an_error_of_the_listener_is_the_callers(name):
    def listener(objective, bound):
        raise LookupError("no such gauge")

    with pytest.raises(LookupError, match="gauge"):
        ENGINES[name]().solve(rp.quadratic(6, 4), Options(progress=listener))
    assert ENGINES[name]().solve(rp.quadratic(3, 3), Options()).status == "optimal"


def test_a_second_interrupt_does_not_wait():
    presses = iter([True, True])

    def press(*_):
        if next(presses, False):
            raise KeyboardInterrupt

    watch = Watch(Options())
    before = signal.signal(signal.SIGALRM, press)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        with pytest.raises(KeyboardInterrupt):
            watch.run(lambda: time.sleep(5.0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_memory_that_runs_out_is_no_verdict(monkeypatch):
    problem = rp.quadratic(3, 3)

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(highs.Watch, "run", full)
    assert Highs().solve(problem, Options()).status == "unknown"
    monkeypatch.undo()

    def after_a_batch(problem, stop, watch):
        cells = {c: c.columns["k" + c.name[1:]][:1] for c in problem.choices}
        watch(Enumerated([(5.0, cells)], 7, False))
        raise MemoryError

    monkeypatch.setattr(exhaustive, "best", after_a_batch)
    outcome = Exhaustive().solve(problem, Options())
    assert (outcome.status, outcome.objective, outcome.bound) == ("feasible", 5.0, None)


def test_engines_say_what_they_can():
    assert [E.name for E in (Highs, CpSat, Exhaustive)] == list(ENGINES)
    assert [E.amounts for E in (Highs, CpSat, Exhaustive)] == [True, True, False]
    assert [E.starts for E in (Highs, CpSat, Exhaustive)] == [True, True, False]
    assert all(E.stops and E.talks for E in ENGINES.values())
