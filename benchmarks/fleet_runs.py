"""Plan a fleet that was drawn, check the plan, and say how good it is and where the time went."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from typing import Any

from benchmarks.fleets import SIZES, Instance, instance
from mlsysim.core.schedule.usage import broken, usage

AGREEMENT = 1e-6
MIB = 2**20
_MAXRSS = 1024 if sys.platform != "darwin" else 1  # Linux counts KiB, macOS bytes
AROUND = ("building", "post-processing")  # phases that are not the solver's own


def planned(given: Instance, time_limit: float, gap: float, threads: int = 1) -> dict[str, Any]:
    """Return what planning a fleet came to.

    Args:
        given: the fleet, and a plan that is known.
        time_limit: of the whole call [s].
        gap: relative, at which it may stop.
        threads: see the options of engines.

    Returns:
        Status, objective, bound and gap; that of the plan that is known; what is ``wrong``, one line
        each: limits that the plan breaks, an objective that its schedule does not have, a bound above a
        plan that is known; ``phases`` in seconds; ``around``, the share of building and post-processing
        in the solver's own time; and the peak memory of the process and the largest that it began.
    """
    from formulations.engines.base import Options
    from formulations.engines.child import end_all
    from formulations.schedule import plan

    began, cpu = time.perf_counter(), _processors()
    answer = plan(given.fleet, Options(time_limit=time_limit, gap=gap, threads=threads))
    seconds = time.perf_counter() - began
    end_all()  # a process counts once it has ended
    cpu = _processors() - cpu
    record: dict[str, Any] = {
        "status": answer.status,
        "objective": answer.objective,
        "bound": answer.bound,
        "gap": answer.gap,
        "known": usage(given.fleet, given.known).objective(given.fleet),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "phases": dict(answer.seconds),
        "peak_mib": sum(u.ru_maxrss for u in _used()) * _MAXRSS / MIB,
    }
    record["around"] = around(record["phases"])
    record["wrong"] = wrong(given, answer)
    return record


def _used() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _processors() -> float:
    return sum(used.ru_utime + used.ru_stime for used in _used())


def around(phases: dict[str, float]) -> float | None:
    """Return the time of building and post-processing over that of the solver itself."""
    solving = sum(spent for name, spent in phases.items() if name not in AROUND)
    return sum(phases.get(name, 0.0) for name in AROUND) / solving if solving else None


def wrong(given: Instance, answer: Any) -> list[str]:
    """Return what is wrong with an answer, one line each."""
    fleet, found = given.fleet, []
    known = usage(fleet, given.known).objective(fleet)
    if answer.status == "infeasible":
        found.append("called infeasible, and a plan is known")
    if answer.bound is not None and answer.bound > known + AGREEMENT * abs(known):
        found.append(f"the bound {answer.bound:.6g} is above a plan that is known, {known:.6g}")
    if answer.schedule is None or answer.objective is None:
        return found
    found += [
        f"{b.tag} of {b.where}: {b.demand:.6g} of {b.supply:.6g}" for b in broken(fleet, answer.schedule)
    ]
    real = usage(fleet, answer.schedule).objective(fleet)
    if abs(real - answer.objective) > AGREEMENT * max(abs(real), 1.0):
        found.append(f"its objective {answer.objective:.9g} is {real:.9g}")
    return found


def text(record: dict[str, Any]) -> list[str]:
    """Return a record in lines."""

    def money(value: float | None) -> str:
        return "-" if value is None else f"{value:,.2f} USD"

    gap = "-" if record["gap"] is None else f"{record['gap']:.3%}"
    lines = [
        f"{'status':18}{record['status']}",
        f"{'objective':18}{money(record['objective'])}  (cost and carbon tax)",
        f"{'bound':18}{money(record['bound'])}",
        f"{'gap':18}{gap}",
        f"{'plan at random':18}{money(record['known'])}",
        f"{'seconds':18}{record['seconds']:.2f}, of processors {record['cpu_seconds']:.2f}",
        *(f"  {name:16}{spent:.2f}" for name, spent in record["phases"].items()),
    ]
    if record["around"] is not None:
        lines.append(f"{'around solving':18}{record['around']:.1%} (building and post-processing)")
    lines.append(f"{'peak memory':18}{record['peak_mib']:,.0f} MiB")
    return lines + [f"WRONG: {reason}" for reason in record["wrong"]]


def main() -> int:
    """Draw a fleet, plan it and print; 1 if the plan is wrong, 4 if there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleets", description="Plan a fleet that is drawn with a seed."
    )
    parser.add_argument("--size", choices=SIZES, default="tiny", help="jobs x regions x hours together")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--regions", type=int)
    parser.add_argument("--slots", type=int, metavar="HOURS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", type=float, help="of all accelerators, e.g. 0.7: regions as small as jobs")
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="S")
    parser.add_argument("--threads", type=int, default=2, help="with 2, another process raises the bound")
    parser.add_argument("--gap", type=float, default=0.005)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asked = (given.jobs, given.regions, given.slots)
    size = [own or usual for own, usual in zip(asked, SIZES[given.size], strict=True)]
    began = time.perf_counter()
    drawn = instance(*size, given.seed, load=given.load)
    spent = time.perf_counter() - began
    record = {"jobs": size[0], "regions": size[1], "slots": size[2], "seed": given.seed}
    record |= planned(drawn, given.time_limit, given.gap, given.threads)
    if given.json:
        print(json.dumps(record, indent=1))
    else:
        capped = ", with a carbon cap" if drawn.fleet.caps.carbon < float("inf") else ""
        print(f"{size[0]} jobs x {size[1]} regions x {size[2]} hours, seed {given.seed}{capped}")
        print(f"{'drawn in':18}{spent:.2f} s", *text(record), sep="\n")
    if record["wrong"]:
        return 1
    return 0 if record["objective"] is not None else 4
