"""Where memory and time go: waterfalls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlsysim.core.inside import Part, memory_parts, time_parts
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation


def memory(evaluation: Evaluation) -> Any:
    """Return what the fullest accelerator holds, part by part, against its capacity.

    Args:
        evaluation: of a plan, or of a model on an accelerator.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    title = f"Memory of the fullest accelerator: {evaluation.scenario.name}"
    return _waterfall(
        title, memory_parts(evaluation), "byte", "memory", "held", evaluation.state.capacity, "there"
    )


def step_time(evaluation: Evaluation) -> Any:
    """Return where a step's or a pass's time goes, part by part.

    Args:
        evaluation: of a plan, or of a model on an accelerator.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    whole = "step" if evaluation.layout is not None else "pass"
    title = f"Time of a {whole}: {evaluation.scenario.name}"
    return _waterfall(title, time_parts(evaluation), "s", "time", whole, None, "")


def _waterfall(
    title: str,
    parts: Sequence[Part],
    unit: str,
    quantity: str,
    whole: str,
    limit: float | None,
    limited: str,
) -> Any:
    total = sum(p.value for p in parts)
    most = max(total, limit or 0.0)
    size, name = theme.in_unit(most, unit)
    made = theme.figure(title, height=150 + 34 * (len(parts) + 1))
    begin = 0.0
    for n, part in enumerate((*parts, Part(whole, total))):
        last = n == len(parts)
        share = "" if last else f"  {part.value / total:.1%}"
        made.add_bar(
            orientation="h",
            y=[theme.label(part.name)],
            x=[part.value / size],
            base=[0.0 if last else begin / size],
            marker=theme.filled(theme.INK) if last else theme.style(n + 1).bar,
            showlegend=False,
            hovertemplate=f"{theme.label(part.name)}: {theme.amount(part.value, unit)}{share}<extra></extra>",
        )
        end = part.value if last else begin + part.value
        made.add_annotation(
            x=end / size,
            y=theme.label(part.name),
            text=f"{theme.amount(part.value, unit)}{share}",
            showarrow=False,
            xanchor="left",
            xshift=6,
            font={"size": 12},
            bgcolor="rgba(255,255,255,0.8)",
        )
        begin = end
    if limit is not None:
        made.add_vline(x=limit / size, line={"color": theme.INK, "dash": "dash", "width": 2})
        made.add_annotation(
            x=limit / size,
            y=1.0,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if limit > 0.5 * most else "left",
            text=f"{theme.amount(limit, unit)} {limited}",
            showarrow=False,
            font={"size": 12},
        )
        made.update_layout(margin_t=made.layout.margin.t + 16)
    made.update_yaxes(autorange="reversed", showgrid=False)
    made.update_xaxes(range=[0.0, 1.3 * most / size])
    theme.axes(made, f"{quantity} [{name}]", "")
    return made
