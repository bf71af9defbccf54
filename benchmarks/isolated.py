"""Each measurement in a process of its own, so that its peak memory is its own, and under a watchdog."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

# On top of the solver's own limit: its clock does not cover lowering and verifying, and solvers have
# been seen to overrun it.
GRACE = 60.0


def _context() -> Any:
    """Return a way to start processes that share nothing but loaded modules."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.phases"])
    return context


def _child(end: Connection, arguments: dict[str, Any]) -> None:
    from benchmarks.phases import measure

    end.send(measure(**arguments))
    end.close()


def measured(**arguments: Any) -> dict[str, Any]:
    """Return :func:`benchmarks.phases.measure` of the arguments, from a fresh process.

    A process that outlives the time limit by far is ended, and one that dies leaves a record that
    says so: neither stops a run over many instances.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, arguments))
    process.start()
    there.close()
    limit = float(arguments["time_limit"])
    record: dict[str, Any] | None = None
    reason = f"no answer {GRACE:g} s after the time limit of {limit:g} s: ended"
    try:
        if here.poll(limit + GRACE):
            record = here.recv()
    except EOFError:
        process.join()
        reason = f"the process died with exit code {process.exitcode}"
    if record is None:
        process.kill()
    process.join()
    here.close()
    return record or {
        "asked": arguments["engine"],
        "seed": arguments["seed"],
        "status": "killed",
        "error": reason,
        "phases": {},
    }
