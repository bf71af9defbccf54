"""A sensitivity as text and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core import text, units
from mlsysim.core.solver.chart import tornado
from mlsysim.core.solver.decided import changes, decided
from mlsysim.core.solver.report import needs

if TYPE_CHECKING:
    from mlsysim.core.solver.priced import Price, Prices, Step

# Changes of the objective below which a supply is said to matter nothing here.
NOTHING = 1e-6


def render(p: Prices) -> str:
    """Return the prices, what the plan becomes, and a tornado chart."""
    s, base = p.question.scenario, p.base
    g = p.question.goal
    lines = [f"{s.model.name} {s.settings.phase} on {s.accelerators} x {s.hardware.name}", ""]
    if base.conflict:
        lines += [line for c in base.conflict for line in text.wrap(f"{c.name}: {needs(c)}", "  ")]
        then = " What follows is without it." if base.evaluation else ""
        lines += [f"This cannot hold (proven).{then}", ""]
    if base.evaluation is None:
        return "\n".join([*lines, "No plan exists, so nothing has a price. See mlsysim explain."])
    value = text.amount(None if base.value is None else units.from_base(base.value, g.unit), g.unit)
    lines += text.wrap(f"{g.title} {value} at best: {base.evaluation.layout}")
    felt = [x for x in p.prices if _felt(x)]
    lines += ["", *_table(p, felt), ""]
    lines += _moves(p, felt)
    if felt:
        bars = [(x.title, x.less.change or 0.0, x.more.change or 0.0) for x in felt]
        share = f"{p.share:.0%}"
        most = max(abs(v) for _, *both in bars for v in both)
        lines += [f"{g.title} with {share} less (-) and {share} more (+); a full bar is {most:.1%}"]
        lines += [*tornado(bars), ""]
    for x in felt:
        if x.basis:
            lines += text.wrap(f"{x.title}: {x.basis}, in whole rounds of this plan ({_amounts(x)}).")
    if rest := [x.title for x in p.prices if not _felt(x)]:
        lines += text.wrap(f"Without effect on it: {', '.join(rest)}.")
    lines += text.wrap("Each number is a plan found and proven anew, layout and all.")
    return "\n".join(lines)


def _amounts(x: Price) -> str:
    return " and ".join(text.amount(s.amount, x.unit) for s in (x.less, x.more))


def _felt(p: Price) -> bool:
    return any(s.change is None or abs(s.change) > NOTHING or s.moved for s in (p.less, p.more))


def _step(s: Step) -> str:
    if s.change is None:
        return "no plan"
    return f"{s.change:+.2%}" + ("*" if s.moved else "")


def _rows(p: Prices, chosen: list[Price]) -> list[list[str]]:
    unit = p.question.goal.unit
    return [
        [
            x.title,
            text.amount(units.from_base(x.there, x.unit), x.unit),
            _step(x.less),
            _step(x.more),
            "-" if x.per_unit is None else f"{x.per_unit:+.3g} {unit} a {x.unit}",
        ]
        for x in chosen
    ]


def _header(p: Prices) -> list[str]:
    return ["supply", "there", f"-{p.share:.0%}", f"+{p.share:.0%}", "one more unit, plan held"]


def _table(p: Prices, chosen: list[Price]) -> list[str]:
    lines = text.table(_header(p), _rows(p, chosen), right=(1, 2, 3, 4))
    if max(map(len, lines)) > text.WIDTH:
        lines = text.table(_header(p)[:-1], [r[:-1] for r in _rows(p, chosen)], right=(1, 2, 3))
    return lines


def _moves(p: Prices, chosen: list[Price]) -> list[str]:
    """Return the steps (*) after which another plan is the best, and from where on."""
    assert p.base.evaluation is not None
    mine = decided(p.base.evaluation)
    lines: list[str] = []
    for x in chosen:
        for s, edge in ((x.less, x.low), (x.more, x.high)):
            if edge is None:
                continue
            word = "below" if s is x.less else "above"
            then = "no plan holds" if s.plan is None else changes(mine, s.plan)
            lines += text.wrap(f"* {x.title} {word} {text.amount(edge, x.unit)}: {then}", "")
    return [*lines, ""] if lines else []


def markdown(p: Prices) -> str:
    """Return the prices as a Markdown table."""
    from mlsysim.core.markdown import plain, table

    parts = [f"## sensitivity of {plain(p.question.scenario.name)}: {p.question.goal.title}"]
    if p.base.conflict:
        parts.append("Cannot hold: " + "; ".join(f"{c.name} ({needs(c)})" for c in p.base.conflict) + ".")
    if p.base.evaluation is not None:
        parts += [f"`{p.base.evaluation.layout}`", table(_header(p), _rows(p, list(p.prices)))]
        parts += [line for line in _moves(p, list(p.prices)) if line]
    return "\n\n".join(parts)
