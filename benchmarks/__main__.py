"""Command line of the benchmark library: ``python -m benchmarks run | compare | establish | list``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.against import against, by_size
from benchmarks.compare import changes, text
from benchmarks.establish import establish
from benchmarks.library import SETS, chosen, save
from benchmarks.phases import PHASES, engine_named, has_engine
from benchmarks.run import checked, document, run, summary, write
from mlsysim.core.errors import MissingExtraError, MlsysimError


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description="Instances and their runner.")
    commands = top.add_subparsers(dest="command", required=True)
    r = commands.add_parser("run", help="run instances, phase by phase")
    _which(r)
    r.add_argument("--engine", default="auto", help="auto, highs, cp-sat or exhaustive")
    r.add_argument("--seeds", type=int, default=1, help="runs of each instance, with seeds from 0 on")
    r.add_argument("--time-limit", type=float, default=60.0, metavar="S")
    r.add_argument("--against", choices=["exhaustive"], help="also enumerate, and report the ratio")
    r.add_argument("--budget", type=float, default=30.0, metavar="S", help="of each enumeration")
    r.add_argument("--check", action="store_true", help="fail on a wrong answer or a larger model")
    r.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the run as JSON")
    c = commands.add_parser("compare", help="what changed from one run to another")
    c.add_argument("first", type=Path)
    c.add_argument("second", type=Path)
    e = commands.add_parser("establish", help="compute again what is expected, and write it")
    _which(e)
    e.add_argument("--budget", type=float, default=60.0, metavar="S", help="of each enumeration")
    e.add_argument("--time-limit", type=float, default=120.0, metavar="S", help="of each engine")
    e.add_argument("--weaker", action="store_true", help="let a weaker route replace a stronger one")
    _which(commands.add_parser("list", help="the instances and what is known"))
    return top


def _which(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="instances; those of the set if none")
    command.add_argument("--set", choices=SETS, default="all", dest="set_")


def do_run(given: argparse.Namespace) -> int:
    """Run, print tables, write JSON; 1 if an answer is wrong or the check fails."""
    engine, picked = engine_named(given.engine), chosen(given.names, given.set_)
    if not has_engine(engine):
        raise MissingExtraError(
            f"the solver of {engine} is not installed", hint="pip install 'mlsysim[solvers]'"
        )
    print(tables.answers_head(), flush=True)
    records = run(
        picked, engine, given.seeds, given.time_limit, lambda r: print(tables.answer_line(r), flush=True)
    )
    total = summary(records, given.time_limit)
    lines = ["", *tables.sizes(records), "", *tables.times(records, total), ""]
    lines += tables.totals(total, given.time_limit)
    print("\n".join(lines), flush=True)
    asked = {"set": given.set_, "names": given.names, "engine": engine, "seeds": given.seeds}
    data = document(records, asked | {"time_limit": given.time_limit})
    if given.against:
        pairs = against(picked, records, given.budget, given.time_limit)
        data["against"] = {"engine": given.against, "budget": given.budget, "pairs": pairs}
        data["against"]["by_space"] = by_size(pairs)
        print("\n".join(["", *tables.pairs(pairs, data["against"]["by_space"])]), flush=True)
    if given.output:
        write(given.output, data)
    return _verdict(checked(picked, records) if given.check else _wrong(records))


def _wrong(records: list[dict[str, Any]]) -> list[str]:
    return [f"{r['instance']}: {reason}" for r in records for reason in r["wrong"]]


def _verdict(reasons: list[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1 if reasons else 0


def do_compare(given: argparse.Namespace) -> int:
    """Print what changed; 1 if an answer did or a model grew."""
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in (given.first, given.second))
    found = changes(first, second)
    print("\n".join(text(found, PHASES)))
    return 1 if found.bad else 0


def do_establish(given: argparse.Namespace) -> int:
    """Write what is expected of each instance; 1 if one of them was refused."""
    refused = []
    for instance in chosen(given.names, given.set_):
        # enumeration of what is known to be too much would only cost its budget
        budget = given.budget if instance.size != "large" or given.names else 0.0
        found = establish(instance, budget=budget, time_limit=given.time_limit, weaker=given.weaker)
        if found.refused:
            refused.append(f"{instance.name}: {found.refused}")
            continue
        save(found.instance)
        print(f"{instance.name:31} {'; '.join(found.changed) or 'as it was'}", flush=True)
    return _verdict(refused)


def do_list(given: argparse.Namespace) -> int:
    """Print the instances."""
    for i in chosen(given.names, given.set_):
        known = "-" if i.expected is None else f"{i.expected['status']}, {i.expected['established']}"
        print(f"{i.name:31} {known:24} {' '.join(i.tags)}")
    return 0


def main() -> int:
    """Run the command that is given."""
    given = parser().parse_args()
    try:
        return {"run": do_run, "compare": do_compare, "establish": do_establish, "list": do_list}[
            given.command
        ](given)
    except (MlsysimError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
