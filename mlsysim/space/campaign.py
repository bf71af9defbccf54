"""Running a design space: in this process, on an executor, or on a Dask cluster; cut short and resumed.

The space is cut into parts of consecutive points. Parts are evaluated in any order, anywhere, kept as
they finish, and put together in order, so that the table is that of a serial run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlsysim.core.errors import InputError, MissingExtraError, MlsysimError
from mlsysim.core.solver.asked import How
from mlsysim.space import cases, parts
from mlsysim.space.cache import default_folder, fingerprint
from mlsysim.space.design import DesignSpace
from mlsysim.space.solving import Solver
from mlsysim.space.split import split
from mlsysim.space.store import Store
from mlsysim.space.table import Table, stacked

METHODS = ("auto", "solve", "evaluate")
AHEAD = 64  # parts that an executor has at a time
TRIES = 5  # of a part whose worker dies
MOST_PART = 1 << 20

Progress = Callable[[int, int], None]


class WorkerError(MlsysimError):
    """Workers died, and went on dying."""

    code = "workers_died"


@dataclass(frozen=True)
class Work:
    """What a campaign has to do.

    Attributes:
        count: rows of the table.
        size: rows of a part.
        function: from its arguments and the first and last row of a part to the part's table.
        identity: what tells this campaign from others.
        notes: what the user should know.
    """

    count: int
    size: int
    function: Callable[..., Table]
    arguments: tuple[str, ...]
    identity: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def starts(self) -> range:
        """The first row of each part."""
        return range(0, self.count, self.size)

    def stop(self, start: int) -> int:
        """Return the end of a part."""
        return min(start + self.size, self.count)


def work(
    space: DesignSpace,
    *,
    method: str = "auto",
    part: int | None = None,
    cached: str | Path | bool = True,
    solver: How | None = None,
) -> Work:
    """Return what there is to do for a space.

    Args:
        space: the space.
        method: ``solve`` has the formulations decide what they can, ``evaluate`` looks at every point,
            ``auto`` solves where any dimension is a decision of theirs.
        part: rows of a part; chosen if absent.
        cached: whether to keep solved problems, or the folder for them.
        solver: options as in :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: ``solve`` is asked for and nothing can be; or the method is unknown.
    """
    if method not in METHODS:
        raise InputError(f"no method called {method!r}", where="method", hint=f"one of {', '.join(METHODS)}")
    if part is not None and (
        isinstance(part, bool) or not isinstance(part, int) or not 1 <= part <= MOST_PART
    ):
        raise InputError(f"{part!r} rows", where="part", hint=f"a whole number from 1 to {MOST_PART:,}")
    text = json.dumps(space.to_dict())
    found = split(space)
    if method == "solve" and not found.decided:
        raise InputError(
            f"nothing here is for a solver: {found.why_not}", where="method", hint="use evaluate"
        )
    if method != "evaluate" and found.decided and _has_solver(method):
        return _solving(space, text, part, cached, solver or {})
    count = len(space)
    size = part or parts.part_size(space)
    notes: tuple[str, ...] = ()
    if space.wishes and method == "auto":
        notes = (f"every point is evaluated, none is left out: {found.why_not or 'no solver is installed'}",)
    return Work(
        count, size, parts.evaluated_part, (text, fingerprint()), _identity(space, "evaluate", size), notes
    )


def _solving(space: DesignSpace, text: str, part: int | None, cached: str | Path | bool, how: How) -> Work:
    of = Solver(space, how)
    folder = "" if cached is False else str(default_folder() if cached is True else Path(cached).absolute())
    size = part or cases.PART
    options = json.dumps(how, sort_keys=True)
    identity = _identity(space, "solve", size) | {"solver": how}
    return Work(
        cases.count(space, of),
        size,
        cases.solved_part,
        (text, fingerprint(), options, folder),
        identity,
        (of.split.note,),
    )


def _has_solver(method: str) -> bool:
    """Return whether the formulations are installed; an error where they are asked for and are not."""
    from mlsysim.core.solver.asked import module

    try:
        module("parallelism")
    except MissingExtraError:
        if method == "solve":
            raise
        return False
    return True


def _identity(space: DesignSpace, method: str, size: int) -> dict[str, Any]:
    return {"space": space.key, "method": method, "part": size, "mlsysim": fingerprint()}


def run(
    space: DesignSpace,
    *,
    method: str = "auto",
    executor: Executor | None = None,
    folder: str | Path | None = None,
    part: int | None = None,
    cached: str | Path | bool = True,
    solver: How | None = None,
    progress: Progress | None = None,
) -> Table:
    """Return the table of a space; see :func:`work` for the arguments that are not here.

    Args:
        space: the space.
        method: see :func:`work`.
        executor: any ``concurrent.futures`` executor, or one of a Dask client; this process if absent.
        folder: where finished parts are kept until the end, so that a run that was cut short goes on.
        part: see :func:`work`.
        cached: see :func:`work`.
        solver: see :func:`work`.
        progress: called with the rows that are finished and how many there are.

    Raises:
        InputError: something of the space, or of the folder, is wrong.
        WorkerError: a part's workers died too often.
    """
    todo = work(space, method=method, part=part, cached=cached, solver=solver)
    store = None if folder is None else Store(Path(folder), todo.identity)
    done: dict[int, Table] = {}
    if store is not None:
        store.begin()
        for start, path in sorted(store.finished().items()):
            table = store.get(path) if start in todo.starts else None
            if table is not None and len(table) == todo.stop(start) - start:
                done[start] = table
    rows = sum(len(t) for t in done.values())
    if progress is not None:
        progress(rows, todo.count)
    missing = [s for s in todo.starts if s not in done]
    for start, table in _each(todo, missing, executor):
        if store is not None:
            store.put(start, table)
        done[start] = table
        rows += len(table)
        if progress is not None:
            progress(rows, todo.count)
    found = stacked(done[start] for start in todo.starts)
    return replace(found, notes=todo.notes)


def _each(todo: Work, starts: list[int], executor: Executor | None) -> Iterator[tuple[int, Table]]:
    """Yield parts as they finish."""
    if executor is None:
        for start in starts:
            yield start, todo.function(*todo.arguments, start, todo.stop(start))
        return
    waiting = list(reversed(starts))
    running: dict[Future[Table], int] = {}
    tried: dict[int, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < AHEAD:
                start = waiting.pop()
                running[executor.submit(todo.function, *todo.arguments, start, todo.stop(start))] = start
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                start = running.pop(future)
                table = _outcome(future)
                if table is not None:
                    yield start, table
                    continue
                tried[start] = tried.get(start, 0) + 1
                if tried[start] >= TRIES:
                    raise WorkerError(
                        f"the workers of points {start:,} to {todo.stop(start) - 1:,} died {TRIES} times",
                        where="workers",
                        hint="finished points are kept; give workers more memory, or make parts smaller",
                    )
                waiting.append(start)
    except BrokenExecutor as error:
        raise WorkerError(
            "a worker process died", where="workers", hint="finished points are kept: run it again to go on"
        ) from error
    finally:
        for future in running:
            future.cancel()


def _outcome(future: Future[Table]) -> Table | None:
    """Return a part's table; None where its worker died, which a scheduler may say in its own words."""
    try:
        return future.result()
    except CancelledError:
        return None
    except Exception as error:
        if type(error).__name__ in (
            "KilledWorker",
            "FutureCancelledError",
            "CancelledError",
            "CommClosedError",
        ):
            return None
        raise


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Give an executor of so many processes of this machine; one that dies takes no other down.

    Raises:
        InputError: not a number of processes.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    if not 1 <= count <= 1024:
        raise InputError(f"{count} processes", where="jobs", hint="from 1 to 1024")
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def cluster(address: str, patience: float = 10.0) -> Iterator[Executor]:
    """Give an executor of a Dask cluster.

    Args:
        address: of its scheduler, e.g. ``tcp://head:8786``.
        patience: how long to wait for it [s].

    Raises:
        MissingExtraError: Dask is not installed.
        InputError: nobody answers there.
    """
    from importlib import import_module

    try:
        connect: Any = import_module("distributed").Client
    except ModuleNotFoundError as error:
        raise MissingExtraError("Dask is not installed", hint="pip install 'mlsysim[distributed]'") from error
    try:
        client: Any = connect(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no scheduler answers: {error}", where=f"scheduler {address}", hint="start one: dask scheduler"
        ) from error
    try:
        yield client.get_executor(pure=False, retries=TRIES)
    finally:
        client.close()
