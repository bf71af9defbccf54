"""What the labs share: a question that must be answered first, and text, tables and controls.

A lab is shown in the browser or run as a script. In the browser these functions return what Marimo shows.
In a script they print it, and a question is asked in the terminal if somebody is there to answer.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any, TypeAlias

import marimo as mo

from mlsysim.core import markdown, text
from mlsysim.core.errors import MlsysimError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.metrics import METRICS
from mlsysim.core.wall_view import view
from mlsysim.labs import LABS, find
from mlsysim.labs.words import blocks, narrow, numbers, plain
from mlsysim.viz import theme

Shown: TypeAlias = Any

__all__ = [
    "answered",
    "ask",
    "begin",
    "best_of",
    "choice",
    "controls",
    "end",
    "how_often",
    "keep",
    "lines",
    "metric",
    "say",
    "show",
    "slider",
    "table",
    "trouble",
    "verdict",
    "wait",
    "wall",
]

# What was answered in a terminal, by the widget of the question; and what controls are set to at first.
_typed: dict[int, str] = {}
_settings: dict[int, str] = {}


def _script() -> bool:
    """Whether nobody looks at a page."""
    return mo.app_meta().mode not in ("run", "edit")


# -- text -----------------------------------------------------------------------------------------


def say(words: str) -> Shown:
    """Show Markdown. A dollar sign is one: labs write no formulas of their own."""
    parts = blocks(cleandoc(words))
    if _script():
        print(plain(parts), end="\n\n")
        return None
    return _markdown(parts)


def show(*parts: Shown) -> Shown:
    """Show parts below one another: text made here, figures, controls."""
    if _script():
        return None
    # said to be a plot: left to guess, Marimo may show Plotly's own page, which asks a CDN for its script
    shown = (mo.ui.plotly(p) if hasattr(p, "to_plotly_json") else p for p in parts if p is not None)
    return mo.vstack(list(shown), gap=1.0)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Shown:
    """Show a table; columns whose cells begin with a figure are aligned to the right."""
    if _script():
        print(*narrow(header, rows), sep="\n", end="\n\n")
        return None
    # an amount keeps its unit on its line
    cells = [
        [c.replace(" ", "\u00a0") if i in numbers(rows) else c for i, c in enumerate(row)] for row in rows
    ]
    lines = markdown.table(header, cells).splitlines()
    lines[1] = "|" + "|".join(" ---: " if i in numbers(rows) else " :--- " for i in range(len(header))) + "|"
    return _markdown(["\n".join(lines)])


def _markdown(blocks: Sequence[str]) -> Shown:
    """Return blocks as Marimo shows them; a dollar sign would begin a formula."""
    words = "\n\n".join(blocks).replace("$", "\\$")
    return mo.md(re.sub(r"(?m)^((?:- |\d\. ).*)\n\n(?=- |\d\. )", r"\1\n", words))


# -- numbers --------------------------------------------------------------------------------------


def metric(evaluation: Evaluation, name: str) -> str:
    """Return a metric of an evaluation as people read it, e.g. ``6.48 ms``."""
    return text.amount(evaluation.metric(name), METRICS[name].unit)


def how_often(factor: float, labels: Mapping[float, str]) -> str:
    """Return the label whose factor is nearest to one that was computed, on a logarithmic scale."""
    return labels[min(labels, key=lambda there: abs(math.log(there / max(factor, 1e-12))))]


def keep(tries: list[Evaluation], new: Evaluation) -> None:
    """Add a try to those before, if it can run and is not among them."""
    if new.feasible and all(t.layout != new.layout for t in tries):
        tries.append(new)


def best_of(tries: Sequence[Evaluation], name: str, count: int = 5) -> Shown:
    """Show the tries with the least of a metric, best first."""
    best = sorted(tries, key=lambda e: e.metric(name))[:count]
    rows = [
        (
            str(e.layout).replace("  ", ", "),
            metric(e, "feasibility.memory"),
            metric(e, "performance.mfu"),
            metric(e, name),
        )
        for e in best
    ]
    return table(("your best tries", "memory", "MFU", "step"), rows) if rows else None


def lines(
    title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]], *, log: bool = False
) -> Any:
    """Return a figure of lines in the theme of all plots.

    Args:
        title: of the figure.
        x: title of its axis, with the unit.
        y: likewise.
        series: points of each line by its name; those that are not finite are left out.
        log: whether the upward axis is logarithmic.
    """
    shown = theme.figure(title)
    for n, (name, points) in enumerate(series.items()):
        there = [(a, b) for a, b in points if math.isfinite(b)]
        look = theme.style(n)
        shown.add_scatter(
            x=[a for a, _ in there],
            y=[b for _, b in there],
            name=name,
            mode="lines+markers",
            line=look.line,
            marker=look.marker,
        )
    theme.axes(shown, x, y)
    if log:
        shown.update_yaxes(type="log", dtick=1, exponentformat="none", separatethousands=True)
    return shown


# -- questions ------------------------------------------------------------------------------------


def ask(question: str, options: Sequence[str]) -> Any:
    """Return a question as a form: its ``value`` is None until the student commits to an option.

    Args:
        question: Markdown.
        options: what may be answered.
    """
    *before, last = blocks(cleandoc(question))
    label = "\n\n".join([*before, last]).replace("$", "\\$")
    form = mo.ui.radio(list(options), label=label).form(submit_button_label="This is my prediction")
    if _script():
        print(plain([*before, f"Question: {last}"]))
        print(*(f"  {i}. {option}" for i, option in enumerate(options, 1)), sep="\n", end="\n\n")
        if sys.stdin is not None and sys.stdin.isatty():
            _typed[id(form)] = _read(list(options))
    return form


def _read(options: list[str]) -> str:
    """Ask in the terminal until one of the options is named by its number."""
    while True:
        said = input(f"your prediction, 1 to {len(options)}: ").strip()
        if said.isdecimal() and 1 <= int(said) <= len(options):
            print()
            return options[int(said) - 1]


def answered(question: Any) -> str | None:
    """Return what was predicted; None if nothing was."""
    said: str | None = _typed.get(id(question), question.value)
    return said


def wait(*questions: Any, aloud: bool = False) -> None:
    """Stop the cell, and all that depend on it, until the questions are answered; a script goes on.

    Args:
        questions: of :func:`ask`.
        aloud: whether the page says that it waits; the first cell after a question does.
    """
    if not _script():
        open_ = any(answered(q) is None for q in questions)
        mo.stop(open_, mo.md("*The lab goes on when you have made your prediction.*") if aloud else None)


def verdict(question: Any, right: str, why: str) -> Shown:
    """Show what was predicted beside what is so, and why.

    Args:
        question: of :func:`ask`.
        right: the option that holds, computed.
        why: Markdown.
    """
    said = answered(question)
    if said is None:
        head = f"The answer: **{right}**."
    elif said == right:
        head = f"Your prediction holds: **{said}**."
    else:
        head = f"Your prediction: **{said}**. The answer: **{right}**."
    shown = say(f"{head}\n\n{cleandoc(why)}")
    return None if shown is None else mo.callout(shown, kind="success" if said == right else "warn")


# -- controls -------------------------------------------------------------------------------------


def slider(label: str, steps: Sequence[float], value: float) -> Any:
    """Return a slider over values."""
    widget = mo.ui.slider(steps=list(steps), value=value, label=label, show_value=True, debounce=True)
    return _remembered(widget, f"{label} {text.number(value)}")


def choice(label: str, options: Sequence[str] | Mapping[str, Any], value: str) -> Any:
    """Return a list to choose from: of names, or of names and what they stand for."""
    shown: Any = dict(options) if isinstance(options, Mapping) else list(options)
    return _remembered(mo.ui.dropdown(shown, value=value, label=label), f"{label} {value}")


def _remembered(widget: Any, setting: str) -> Any:
    _settings[id(widget)] = setting
    return widget


def controls(*widgets: Any) -> Shown:
    """Show controls side by side; a script says what they are set to."""
    if _script():
        print(*text.wrap(f"With {', '.join(_settings[id(w)] for w in widgets)}:"), sep="\n", end="\n\n")
        return None
    return mo.hstack(widgets, justify="start", gap=2.0, wrap=True)


# -- walls, errors, begin and end -----------------------------------------------------------------


def wall(evaluation: Evaluation, *numbers: int) -> Shown:
    """Show walls of an evaluation at close range: equation, numbers, assumptions, sources."""
    if _script():
        for number in numbers:
            w = evaluation.walls[number - 1].wall
            print(*text.wrap(f"Wall {number} {w.name}: {w.equation}"), sep="\n")
            print(*text.wrap(f"Sources: {', '.join(w.sources)}", "  "), sep="\n", end="\n\n")
        return None
    return mo.accordion(
        {
            f"Wall {n}, {evaluation.walls[n - 1].wall.name}: equation, numbers and sources": mo.md(
                view(evaluation, str(n)).markdown().partition("\n\n")[2].replace("$", "\\$")
            )
            for n in numbers
        },
        multiple=True,
    )


def trouble(error: MlsysimError) -> Shown:
    """Show why something cannot be, and what to do about it."""
    shown = say(f"**That cannot be.** {error.problem}. {error.hint}")
    return None if shown is None else mo.callout(shown, kind="danger")


def begin(name: str, goal: str) -> Shown:
    """Show the title of a lab and what is learned.

    Args:
        name: of the lab.
        goal: Markdown, what it is about.
    """
    lab = find(name)
    number = LABS.index(lab) + 1
    return say(
        f"# {number}. {lab.title}\n\n**Afterwards you can** {lab.learns}. About {lab.minutes} minutes.\n\n"
        + cleandoc(goal)
    )


def end(name: str, exercise: str) -> Shown:
    """Show the exercise of a lab, and which comes next."""
    number = LABS.index(find(name)) + 1
    after = f"\n\nNext: `mlsysim lab {LABS[number].name}`" if number < len(LABS) else ""
    return say("## Exercise\n\n" + cleandoc(exercise) + after)
