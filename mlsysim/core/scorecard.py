"""The scorecard: three lenses (Feasibility, Performance, Macro) and the walls, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlsysim.core import text, units
from mlsysim.core.states import replica

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation, Reading


@dataclass(frozen=True)
class Lens:
    """One line of the scorecard."""

    status: str
    summary: str


def lenses(e: Evaluation) -> dict[str, Lens]:
    """Return the three lenses of an evaluation."""
    hard = [w for w in e.walls if w.hard and w.status == "fail"]
    plan_walls = [w for w in e.walls if not w.hard and w.status == "fail"]

    def verdict(prefix: str, numbers: tuple[int, ...]) -> str:
        broken = any(not c.ok for c in e.checks if c.bound.metric.name.startswith(prefix + ".")) or any(
            w.wall.number in numbers for w in plan_walls
        )
        return "fail" if broken else "pass"

    held, there = e.metric("feasibility.memory"), e.metric("feasibility.memory_capacity")
    feasible = f"{text.amount(held, 'GiB')} of {text.amount(there, 'GiB')} per accelerator"
    if hard:
        feasible += "; fails: " + ", ".join(w.wall.name for w in hard)
    rate = "token/s" if e.state.tokens else "sample/s"
    performance = (
        f"{'step' if e.layout else 'pass'} {text.amount(e.metric('performance.latency'), 'ms')}, "
        f"{e.metric('performance.mfu'):.1%} MFU, "
        f"{text.amount(e.metric('performance.throughput'), rate)}, bound by {e.bottleneck}"
    )
    days = units.from_base(e.scenario.duration, "day")
    macro = (
        f"{text.amount(e.metric('macro.tco_usd'), 'USD')}  "
        f"{text.amount(e.metric('macro.energy_kwh'), 'kWh')}  "
        f"{text.amount(e.metric('macro.carbon_tco2e'), 'tCO2e')}  "
        f"({text.number(days)} day{'' if days == 1 else 's'}, {e.scenario.region.name})"
    )
    return {
        "feasibility": Lens("fail" if hard else verdict("feasibility", ()), feasible),
        "performance": Lens(verdict("performance", (14,)), performance),
        "macro": Lens(verdict("macro", (17, 18)), macro),
    }


def render(e: Evaluation, *, told: bool = False) -> str:
    """Return the scorecard as lines of at most 80 columns; ``told`` where it was said what binds."""
    s = e.scenario
    count = f"{s.accelerators} x {s.hardware.name}" if s.accelerators > 1 else s.hardware.name
    verb = "training" if e.layout else "inference"
    head = f"{s.model.name} {verb} on {count}, {s.region.name}"
    if s.settings.name:
        head = f"{s.settings.name}: {head}"
    holds = f"holds: {'yes' if e.status == 'pass' else 'NO'}"
    fits = len(head) + len(holds) <= text.WIDTH - 2
    lines = [head + holds.rjust(text.WIDTH - len(head))] if fits else text.wrap(f"{head}  {holds}")
    if e.layout:
        source = {(True, False): "by rule", (True, True): "plan, rest by rule"}.get(
            (e.layout_by == "rule", bool(s.settings.fixed)), "optimized"
        )
        lines += text.wrap(f"{e.layout}  {s.precision}  batch {s.batch}  ({source})")
    else:
        _, batch = replica(s)
        context = f"  context {s.seq_len}" if e.state.tokens else ""
        lines.append(f"batch {int(batch)}{context}  {s.precision}")
    lines.append("")
    for name, lens in lenses(e).items():
        lines += _hanging(f"{name.capitalize():<12} {lens.status.upper():<5} ", lens.summary)
    if not told:
        from mlsysim.core.solver.because import sentence

        lines += ["", *text.wrap(sentence(e))]
    lines += ["", *walls_table(e.walls), *verdicts(e)]
    return "\n".join(lines)


def _hanging(head: str, body: str) -> list[str]:
    import textwrap

    return textwrap.wrap(
        head + body,
        text.WIDTH,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        drop_whitespace=True,
    )


def walls_table(walls: tuple[Reading, ...]) -> list[str]:
    """Return the walls that apply as a table, and below it why the others do not."""
    rows = []
    absent: dict[str, list[str]] = {}
    for w in walls:
        if w.status == "n/a":
            absent.setdefault(w.note, []).append(f"{w.wall.number} {w.wall.name}")
            continue
        used = None if w.headroom is None else 1.0 - w.headroom
        rows.append(
            [
                str(w.wall.number),
                w.wall.name,
                text.amount(w.demand, w.unit),
                text.amount(w.supply, w.unit),
                w.status.upper() if w.status == "fail" else w.status,
                f"{text.bar(used)} {text.headroom(w.headroom)}".strip(),
            ]
        )
    lines = text.table(["#", "wall", "demand", "supply", "status", "headroom"], rows, right=(0, 2, 3))
    if absent:
        reasons = "; ".join(f"{', '.join(names)} ({why})" for why, names in absent.items())
        lines += ["", *text.wrap(f"n/a  {reasons}")]
    return lines


def verdicts(e: Evaluation) -> list[str]:
    """Return what fails, line by line, after an empty line; nothing where all holds."""
    lines = failures(e)
    return ["", *(line for long in lines for line in text.wrap(long))] if lines else []


def failures(e: Evaluation) -> list[str]:
    """Return what fails, a line each."""
    lines = [
        f"FAIL  wall {w.wall.number} {w.wall.name}: {text.amount(w.demand, w.unit)} asked, "
        f"{text.amount(w.supply, w.unit)} there ({w.note})"
        for w in e.walls
        if w.status == "fail"
    ]
    for c in e.checks:
        if not c.ok:
            shown = c.to_dict()
            limits = [
                f"at {word} {text.amount(shown[side], shown['unit'])}"
                for side, word in (("min", "least"), ("max", "most"))
                if shown[side] is not None
            ]
            place = f"   ({c.bound.where.partition(': ')[0]})" if ":" in c.bound.where else ""
            lines.append(
                f"FAIL  {shown['metric']} = {text.amount(shown['value'], shown['unit'])}, "
                f"{', '.join(limits)} asked{place}"
            )
    return lines
