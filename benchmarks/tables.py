"""Runs as text, 80 columns wide."""

from __future__ import annotations

from typing import Any

from benchmarks.phases import PHASES

NAME = 31


def count(x: float | None) -> str:
    """Return a count in at most seven characters."""
    if x is None:
        return "-"
    return f"{x:.0f}" if x < 1e6 else f"{x:.1e}".replace("e+0", "e").replace("e+", "e")


def seconds(x: float | None) -> str:
    """Return a time in s in at most five characters."""
    if x is None:
        return "-"
    return f"{x:.3f}" if x < 9.9995 else f"{x:.1f}" if x < 999.95 else f"{x:.0f}"


def answers_head() -> str:
    """Return the head of the table of answers."""
    return f"{'instance':{NAME}} {'status':10} {'step ms':>11} {'gap':>7} {'engine':>10} {'right':>5}"


def answer_line(record: dict[str, Any]) -> str:
    """Return what was found."""
    value, gap = record.get("objective"), record.get("gap")
    right = {True: "yes", False: "NO", None: "-"}[record["correct"]]
    engine = record.get("engine", "-")
    return (
        f"{_named(record):{NAME}} {record['status']:10} {'-' if value is None else f'{value:.6g}':>11} "
        f"{'-' if gap is None else f'{gap:.0e}' if gap else '0':>7} {engine:>10} {right:>5}"
    )


def sizes(records: list[dict[str, Any]]) -> list[str]:
    """Return the table of model sizes and memory."""
    lines = [
        f"{'instance':{NAME}} {'space':>7} {'left':>7} {'vars':>7} {'rows':>6} {'nodes':>8} {'MiB':>6}",
    ]
    for r in records:
        memory = r.get("memory_mib", {}).get("peak")
        lines.append(
            f"{_named(r):{NAME}} {count(r.get('space_size')):>7} {count(r.get('after_presolve')):>7} "
            f"{count(r.get('variables')):>7} {count(r.get('rows')):>6} {count(r.get('nodes')):>8} "
            f"{'-' if memory is None else f'{memory:.0f}':>6}"
        )
    return lines


def times(records: list[dict[str, Any]], total: dict[str, Any]) -> list[str]:
    """Return the table of seconds by phase, with their means."""
    short = {"tabulate": "table", "presolve": "presol", "decode": "decod", "verify": "verif"}
    lines = [f"{'seconds':{NAME}}" + "".join(f"{short.get(p, p):>7}" for p in PHASES)]
    lines += [
        f"{_named(r):{NAME}}" + "".join(f"{seconds(r['phases'].get(p)):>7}" for p in PHASES) for r in records
    ]
    means = "".join(f"{seconds(total['phases'][p]['mean']):>7}" for p in PHASES)
    lines.append(f"{'shifted geometric mean':{NAME}}" + means)
    return lines


def totals(total: dict[str, Any], time_limit: float) -> list[str]:
    """Return the sentences at the end."""
    return [
        f"{total['proven']} of {total['runs']} proven, {total['wrong']} wrong; the rest counts at the limit "
        f"of {time_limit:g} s.",
        f"Presolve, build and solve together: {seconds(total['answer']['mean'])} s "
        f"(geometric means, shifted by {total['shift']:g} s).",
    ]


def pairs(found: list[dict[str, Any]], groups: list[dict[str, Any]]) -> list[str]:
    """Return the table against enumeration, smallest space first."""
    lines = [
        f"{'against enumeration':{NAME}} {'space':>7} {'points':>8} {'enum. s':>8} {'solver s':>8} "
        f"{'ratio':>10}"
    ]
    for p in sorted(found, key=lambda p: p["space_size"]):
        ratio = f"{'' if p['complete'] else '> '}{p['ratio']:.2f}"
        lines.append(
            f"{p['instance']:{NAME}} {count(p['space_size']):>7} {count(p['points']):>8} "
            f"{seconds(p['exhaustive_s']):>8} {seconds(p['solver_s']):>8} {ratio:>10}"
        )
    lines += ["", "space      instances  solver faster  cut off  ratio (geometric mean)"]
    for g in groups:
        sign = "> " if g["cut"] else ""
        lines.append(
            f"1e{g['power']} to 1e{g['power'] + 1:<3} {g['count']:>7} {g['faster']:>14} {g['cut']:>8}  "
            f"{sign}{g['ratio']:.2f}"
        )
    return lines


def _named(record: dict[str, Any]) -> str:
    return record["instance"] if not record.get("seed") else f"{record['instance'][:25]} #{record['seed']}"
