"""Campaigns: the same table however they run, cut short, resumed, damaged; and what is kept of problems."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

import mlsysim
from mlsysim.core.errors import InputError
from mlsysim.space import campaign, cases, parts
from mlsysim.space.cache import Cache, default_folder, key_of
from mlsysim.space.campaign import WorkerError, processes, run, work
from mlsysim.space.store import Store
from mlsysim.space.table import Words

PLAN = {
    "version": "1.0",
    "workload": {"name": "GPT2", "batch_size": 64},
    "hardware": {"name": "A100", "accelerators": 4},
}


def space(**more):
    dimensions = {"region": ["Quebec", "Norway", "Iowa"], "duration": {"min": 1, "max": 30, "points": 20}}
    return mlsysim.DesignSpace(PLAN, dimensions, minimize="macro.tco_usd", **more)


def decided():
    return mlsysim.DesignSpace(PLAN, {"batch": [32, 48, 64], "zero_stage": [0, 1, 2]}, minimize="latency")


def same(a, b):
    assert list(a.columns) == list(b.columns)
    for name in a.columns:
        ours, theirs = a.columns[name].data, b.columns[name].data
        if isinstance(ours, Words):
            assert ours.words == theirs.words, name
            assert ours.codes.tolist() == theirs.codes.tolist(), name
        else:
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, name)


class Counting:
    """Counts the calls of a function of parts."""

    def __init__(self, function, monkeypatch, module, name, fail_at=None):
        self.calls, self.fail_at, self.function = [], fail_at, function
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args):
        if self.fail_at is not None and len(self.calls) >= self.fail_at:
            raise KeyboardInterrupt
        self.calls.append(args[-2])
        return self.function(*args)


def test_an_executor_changes_nothing():
    serial = space().run(part=7)
    with ThreadPoolExecutor(3) as pool:
        same(serial, space().run(part=7, executor=pool))
    assert len(serial) == 60


def test_processes_change_nothing():
    serial = space().run(part=16)
    with processes(2) as pool:
        same(serial, space().run(part=16, executor=pool))


@pytest.mark.parametrize("method", ["evaluate", "solve"])
def test_a_run_that_is_cut_short_goes_on_without_repeating(method, monkeypatch, tmp_path):
    module, name = (parts, "evaluated_part") if method == "evaluate" else (cases, "solved_part")
    of, size = (space, 7) if method == "evaluate" else (decided, 1)
    function = getattr(module, name)
    whole = of().run(method=method, part=size, cached=False)
    first = Counting(function, monkeypatch, module, name, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        run(of(), method=method, part=size, cached=False, folder=tmp_path / "p")
    second = Counting(function, monkeypatch, module, name)
    seen = []
    found = run(
        of(),
        method=method,
        part=size,
        cached=False,
        folder=tmp_path / "p",
        progress=lambda a, b: seen.append(a),
    )
    same(whole, found)
    assert len(first.calls) == 2
    assert not set(first.calls) & set(second.calls)
    assert sorted(first.calls + second.calls) == list(range(0, len(whole), size))
    assert seen[0] == 2 * size
    assert seen[-1] == len(whole)


def test_damaged_parts_are_done_again(tmp_path):
    folder = tmp_path / "p"
    whole = run(space(), part=20, folder=folder)
    files = sorted(folder.glob("part-*.npz"))
    assert len(files) == 3
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].write_bytes(b"")
    same(whole, run(space(), part=20, folder=folder))


def test_parts_of_another_campaign_are_refused(tmp_path):
    run(space(), part=20, folder=tmp_path / "p")
    with pytest.raises(InputError, match="another campaign"):
        run(space(constraints=["mfu > 0.1"]), part=20, folder=tmp_path / "p")
    with pytest.raises(InputError, match="another campaign"):
        run(space(), part=10, folder=tmp_path / "p")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "campaign.json").write_text("no")
    with pytest.raises(InputError, match="not the parts"):
        run(space(), folder=tmp_path / "q")


def test_the_store_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "p"
    run(space(), part=20, folder=folder)
    Store(folder, {}).remove()
    assert not folder.exists()


class Dying(ThreadPoolExecutor):
    """An executor some of whose workers die, as a scheduler tells it."""

    def __init__(self, times, error):
        super().__init__(2)
        self.left, self.error = times, error

    def submit(self, function, *args):
        if self.left:
            self.left -= 1
            future = Future()
            future.set_exception(self.error)
            return future
        return super().submit(function, *args)


class KilledWorker(Exception):
    """What Dask calls it."""


def test_parts_of_dead_workers_are_done_by_others():
    with Dying(4, KilledWorker()) as pool:
        same(space().run(part=7), space().run(part=7, executor=pool))


def test_workers_that_go_on_dying_are_an_error():
    with Dying(1000, KilledWorker()) as pool, pytest.raises(WorkerError, match="died"):
        space().run(part=7, executor=pool)
    with Dying(1, BrokenProcessPool()) as pool, pytest.raises(WorkerError, match="died"):
        space().run(part=7, executor=pool)


def test_a_defect_is_not_swallowed():
    with Dying(1, ZeroDivisionError()) as pool, pytest.raises(ZeroDivisionError):
        space().run(part=7, executor=pool)


def test_wrong_questions_are_refused():
    with pytest.raises(InputError, match="method"):
        work(space(), method="guess")
    with pytest.raises(InputError, match="rows"):
        work(space(), part=0)
    with pytest.raises(InputError, match="processes"), processes(0):
        pass


def test_parts_are_of_a_size_that_pays():
    assert work(space()).size == parts.LARGEST
    many = mlsysim.DesignSpace(PLAN, {"accelerators": {"min": 1, "max": 4000}}, sample="latin", points=9000)
    assert work(many).size == parts.SMALLEST
    assert work(decided()).size == cases.PART


# -- what is kept of solved problems --------------------------------------------------------------


class Solves:
    """Counts problems that are really solved."""

    def __init__(self, monkeypatch):
        self.count = 0
        plain = campaign.Solver._solved

        def solved(of, *args):
            self.count += 1
            return plain(of, *args)

        monkeypatch.setattr(campaign.Solver, "_solved", solved)


def test_a_problem_is_solved_once(monkeypatch, tmp_path):
    solves = Solves(monkeypatch)
    first = decided().run(cached=tmp_path)
    assert solves.count == 3
    again = decided().run(cached=tmp_path)
    assert solves.count == 3
    same(first, again)
    more = mlsysim.DesignSpace(PLAN, {"batch": [64, 96], "zero_stage": [0, 1, 2]}, minimize="latency")
    more.run(cached=tmp_path)
    assert solves.count == 4
    decided().run(cached=False)
    assert solves.count == 7


@pytest.mark.parametrize("harm", ["cut", "objective", "layout", "digest"])
def test_a_damaged_entry_is_a_miss_never_an_answer(harm, monkeypatch, tmp_path):
    first = decided().run(cached=tmp_path)
    for path in tmp_path.rglob("*.json"):
        entry = json.loads(path.read_text())
        if harm == "objective":
            entry["solution"]["objective"] *= 1.01
        if harm == "layout":
            entry["solution"]["layout"]["zero_stage"] = 17
        text = json.dumps(entry)
        if harm in ("objective", "layout"):  # a digest that fits: the evaluation alone can tell
            entry["digest"] = mlsysim.space.cache._digest(entry["solution"])
            text = json.dumps(entry)
        if harm == "digest":
            text = text.replace("optimal", "optimum")
        path.write_text(text[:40] if harm == "cut" else text)
    solves = Solves(monkeypatch)
    same(first, decided().run(cached=tmp_path))
    assert solves.count == 3


def test_many_writers_share_a_folder(tmp_path):
    cache = Cache(tmp_path)
    solution = {"objective": 1.0, "layout": {"tp": 1}}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.put(f"ab{i % 3}", solution | {"n": i % 3}), range(60)))
        found = list(pool.map(lambda i: cache.get(f"ab{i % 3}"), range(60)))
    assert [f["n"] for f in found] == [i % 3 for i in range(60)]
    assert not list(tmp_path.rglob(".*"))
    assert cache.get("abcd") is None


def test_the_key_is_of_all_that_matters(monkeypatch, tmp_path):
    own = tmp_path / "chip.yaml"
    own.write_text("a: 1")
    problem = {"plan": {"hardware": {"name": str(own)}}}
    before = key_of(problem)
    assert before == key_of(json.loads(json.dumps(problem)))
    own.write_text("a: 2")
    assert key_of(problem) != before
    assert key_of({"plan": {"workload": {"name": "hf://org/model"}}}) is None
    other = key_of(problem)
    monkeypatch.setattr("mlsysim.space.cache.fingerprint", lambda: "another registry")
    assert key_of(problem) != other


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("MLSYSIM_CACHE", str(tmp_path / "a"))
    assert default_folder() == tmp_path / "a"
    monkeypatch.delenv("MLSYSIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "mlsysim" / "solved"


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Cache(tmp_path / "file").put("abc", {})
