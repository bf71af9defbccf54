"""The pipeline of a training step over time: microbatches over stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlsysim.core.errors import InputError
from mlsysim.core.inside import timeline_of
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation

NUMBERED = 36  # bars of a stage up to which each has the number of its microbatch
WAYS = (("f", "forward", "#a9c4d6", ""), ("b", "backward", "#2a5f7f", "/"))


def timeline(evaluation: Evaluation) -> Any:
    """Return when each stage works on which microbatch, by 1F1B or its interleaved form.

    Args:
        evaluation: of a training plan.

    Raises:
        InputError: the plan is of inference.
        MissingExtraError: Plotly is not installed.
    """
    found = timeline_of(evaluation)
    if found is None:
        raise InputError("only training has a pipeline", where="timeline", hint="mlsysim.viz.step_time")
    kind = "1F1B" if found.chunks == 1 else f"interleaved 1F1B, {found.chunks} chunks a stage"
    idle = [found.played.idle(stage) for stage in range(found.stages)]
    waits = sum(idle) / (found.stages * found.played.time)
    few = found.shown < found.microbatches
    under = f"Shown are {found.shown} of {found.microbatches} microbatches. " if few else ""
    under += f"The stages wait {waits:.1%} of the time shown."
    if few:
        under += " With all of them, filling and draining take as long, and a smaller share of the step."
    made = theme.figure(
        f"Pipeline, {kind}: {evaluation.scenario.name}", height=170 + 30 * found.stages, under=under
    )
    size, unit = theme.in_unit(found.played.time, "s")
    numbered = len(found.played.bars) <= NUMBERED * found.stages
    for way, name, colour, pattern in WAYS:
        bars = [b for b in found.played.bars if b.way == way]
        made.add_bar(
            name=name,
            orientation="h",
            y=[b.stage for b in bars],
            base=[b.start / size for b in bars],
            x=[(b.end - b.start) / size for b in bars],
            marker=theme.filled(colour, pattern if not numbered else ""),
            text=[str(b.microbatch + 1) for b in bars] if numbered else None,
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"size": 11, "color": theme.INK if way == "f" else theme.PAPER},
            constraintext="none",
            cliponaxis=True,
            hovertext=[
                f"stage {b.stage}, microbatch {b.microbatch + 1}"
                + (f", chunk {b.chunk}" if found.chunks > 1 else "")
                + f", {name}<br>{theme.amount(b.start, 's')} to {theme.amount(b.end, 's')}"
                for b in bars
            ],
            hoverinfo="text",
        )
    made.update_layout(
        barmode="overlay",
        bargap=0.15,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0, "traceorder": "normal"},
    )
    made.update_layout(margin_t=made.layout.margin.t + 26)
    theme.axes(made, f"time [{unit}]", "stage")
    made.update_yaxes(autorange="reversed", showgrid=False, dtick=1 if found.stages <= 32 else None)
    made.update_xaxes(range=[0.0, found.played.time / size])
    return made
