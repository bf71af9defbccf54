"""What an answer is weighed against, as text."""

from __future__ import annotations

from collections.abc import Sequence

from mlsysim.core import text
from mlsysim.core.solver.parametric import Envelope, Line
from mlsysim.core.solver.tradeoff import Baseline, Tradeoff, per_tonne

CHART_WIDTH, CHART_HEIGHT = 60, 6
Table = tuple[Sequence[str], list[list[str]], tuple[int, ...]]  # header, rows, columns to the right


def lines(t: Tradeoff) -> list[str]:
    """Return the tables, the chart and the sentences of a tradeoff, each part after an empty line."""
    found: list[str] = []
    for header, rows, right in tables(t):
        found += ["", *text.table(header, rows, right)]
    if t.envelope is not None and len(t.envelope.stretches) > 1:
        found += ["", *chart(t)]
    for sentence in sentences(t):
        found += ["", *text.wrap(sentence)]
    return found


def tables(t: Tradeoff) -> list[Table]:
    """Return baselines, best plans by tax and frontier as tables, those that there are."""
    found: list[Table] = []
    if t.envelope is not None:
        found.append(_by_tax(t, t.envelope))
    if t.frontier is not None:
        rows = [
            [(c := t.choice(p.answer)).label, *(c.amount(name) for name in t.metrics), _share(c.clean)]
            for p in t.frontier.points
        ]
        found.append((["", *t.metrics, "clean"], rows, tuple(range(1, len(t.metrics) + 2))))
    elif t.envelope is None and t.baselines:
        header = ["compared with", "region", "cost", "answer", "carbon", "answer"]
        found.append((header, [_against(t, b) for b in t.baselines], (2, 3, 4, 5)))
    return found


def _by_tax(t: Tradeoff, e: Envelope) -> Table:
    rows = []
    for s in e.stretches:
        c = t.choice(s.line.answer)
        interval = f"{_tax(s.low)} - {_tax(s.high)}"
        rows.append([interval, c.label, c.amount("cost"), c.amount("carbon"), _share(c.clean)])
    return ["carbon tax $/t", "best region", "cost", "carbon", "clean"], rows, (0, 2, 3, 4)


def _against(t: Tradeoff, b: Baseline) -> list[str]:
    row = [b.title, b.choice.label]
    for name in ("cost", "carbon"):
        row += [b.choice.amount(name), _change(getattr(t.chosen, name), getattr(b.choice, name))]
    return row


def _change(ours: float, theirs: float) -> str:
    return f"{ours / theirs - 1:+.1%}" if theirs else "-"


def _share(x: float | None) -> str:
    return "-" if x is None else f"{x:.0%}"


def _tax(x: float) -> str:
    return f"{per_tonne(x):,.1f}"


def sentences(t: Tradeoff) -> list[str]:
    """Return what the tables do not say."""
    found: list[str] = []
    if t.around is not None:
        found.append(_stays(t))
    if t.envelope is not None:
        e = t.envelope
        count = len(e.breakpoints)
        how = f"found with {e.solves} solves"
        if e.proven:
            found.append(f"{count or 'No'} change{'s' * (count != 1)} of the best plan, exact: {how}.")
        else:
            apart = "" if e.gap is None else f"; the objective is within {e.gap:.2%} of the best"
            found.append(f"The changes are not proven: the solver stopped at its limit{apart} ({how}).")
    if t.frontier is not None:
        f = t.frontier
        names = " and ".join((", ".join(t.metrics[:-1]), t.metrics[-1]))
        proven = sum(p.proven for p in f.points)
        each = "each proven" if proven == len(f.points) else f"{proven} of them proven"
        left = "all that there are" if f.complete else "there are more between them (--points)"
        found.append(f"{len(f.points)} plans that none beats in {names}, {each}; {left}. {f.solves} solves.")
    return found


def _stays(t: Tradeoff) -> str:
    """Return at which tax the answer would change."""
    a = t.around
    assert a is not None

    def other(line: Line) -> str:
        c = t.choice(line.answer)
        return f"{c.label} ({c.amount('cost')}, {c.amount('carbon')})"

    low, high = f"{_tax(a.low)}", f"{_tax(a.high)} USD/tCO2e"
    if a.below is not None and a.above is not None:
        where = f"carbon taxes from {low} to {high}; below that {other(a.below)}, above it {other(a.above)}"
    elif a.below is not None:
        where = f"every carbon tax from {low} USD/tCO2e on; below that {other(a.below)}"
    elif a.above is not None:
        where = f"every carbon tax up to {high}; above that {other(a.above)}"
    else:
        where = "any carbon tax"
    doubt = "" if a.proven else " This is not proven: the solver stopped at its limit."
    return f"{t.chosen.label} is best at {where}.{doubt}"


def chart(t: Tradeoff) -> list[str]:
    """Return the carbon of the best plan over the tax as bars of text."""
    e = t.envelope
    assert e is not None
    low, high = e.stretches[0].low, e.stretches[-1].high
    most = t.choice(e.stretches[0].line.answer).carbon
    step = (high - low) / CHART_WIDTH
    carbon = []
    for k in range(CHART_WIDTH):
        at = low + (k + 0.5) * step
        s = next(s for s in e.stretches if at <= s.high)
        carbon.append(t.choice(s.line.answer).carbon)
    label = t.choice(e.stretches[0].line.answer).amount("carbon")
    rows = []
    for level in range(CHART_HEIGHT, 0, -1):
        cells = "".join("#" if c / most * CHART_HEIGHT > level - 1 else " " for c in carbon)
        rows.append(f"{label if level == CHART_HEIGHT else '':>14} |{cells}".rstrip())
    ends = f"{_tax(low)}{_tax(high):>{CHART_WIDTH - len(_tax(low))}}"
    return [f"{'carbon':>14}", *rows, f"{'':>14} +{'-' * CHART_WIDTH}", f"{'tax $/t':>14}  {ends}"]
