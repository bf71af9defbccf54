"""The roofline with the operators of a workload on it (Williams 2009)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlsysim.core import text
from mlsysim.core.inside import operators_of
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.physics.operators import Operator
    from mlsysim.physics.roofline import Chip

TERA = 1e12


def roofline(evaluation: Evaluation) -> Any:
    """Return the roofs of the accelerator, and each operator by its intensity and its rate.

    Solid is what the datasheet says, dashed what large kernels reach of it. The larger a mark, the more
    of the time its operator takes.

    Args:
        evaluation: of a plan, or of a model on an accelerator.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    s = evaluation.scenario
    found = operators_of(evaluation)
    placed = [x for x in found if x.flops > 0.0 and x.moved > 0.0 and x.time > 0.0]
    total = float(evaluation.state.time)
    made = theme.figure(
        f"Roofline of {s.hardware.name} in {s.precision}: {s.name}", height=470, under=_rest(found, total)
    )
    low, high = _range(placed, s.chip)
    for peak, bandwidth, name, dash in roofs(s.chip, s.precision):
        if math.isfinite(bandwidth):
            ridge = peak / bandwidth
            xs = sorted({low, min(max(ridge, low), high), high})
        else:
            xs = [low, high]
        made.add_scatter(
            x=xs,
            y=[min(peak, x * bandwidth) / TERA for x in xs],
            mode="lines",
            line={"color": theme.INK, "dash": dash, "width": 2},
            name=name,
            hoverinfo="name",
        )
    for n, x in enumerate(placed):
        share = x.time / total
        marker = theme.style(n).marker | {"size": 9 + 16 * math.sqrt(min(share, 1.0)), "opacity": 0.9}
        made.add_scatter(
            x=[x.intensity],
            y=[x.rate / TERA],
            mode="markers",
            marker=marker,
            name=f"{theme.label(x.name)}, {share:.1%}",
            hovertemplate=(
                f"{theme.label(x.name)}<br>{text.number(x.intensity)} FLOP/byte<br>"
                f"{text.number(x.rate / TERA)} TFLOP/s<br>{theme.amount(x.time, 's')}, "
                f"{share:.1%} of the time<extra></extra>"
            ),
        )
    theme.axes(
        made, "operations for each byte moved [FLOP/byte]", "rate of one accelerator [TFLOP/s]", log=True
    )
    made.update_xaxes(theme.decades(low, high))
    lowest = min([x.rate for x in placed], default=s.chip.peak / 100.0) / TERA
    if math.isfinite(s.chip.bandwidth):
        lowest = min(lowest, low * s.chip.bandwidth / TERA)
    made.update_yaxes(theme.decades(lowest / 1.5, s.chip.peak / TERA * 1.5))
    return made


def roofs(chip: Chip, precision: str) -> list[tuple[float, float, str, str]]:
    """Return the roofs of an accelerator: peak [FLOP/s], bandwidth [byte/s], a name and a dash."""
    found = [
        (chip.peak, chip.bandwidth, f"datasheet, {precision}", "solid"),
        (chip.peak * chip.share, chip.bandwidth * chip.bandwidth_share, f"reached, {precision}", "dash"),
    ]
    if chip.wide_peak and chip.wide_peak != chip.peak:
        found.append((chip.wide_peak, chip.bandwidth, "datasheet, 16 bits", "dot"))
    return found


def _range(placed: list[Operator], chip: Chip) -> tuple[float, float]:
    """Return the intensities between which there is something to see."""
    at = [x.intensity for x in placed]
    if math.isfinite(chip.bandwidth) and chip.bandwidth > 0:
        at.append(chip.peak / chip.bandwidth)
    return min(at, default=1.0) / 5.0, max(at, default=1.0) * 5.0


def _rest(found: list[Operator], total: float) -> str:
    """Return what of the time is on no roofline."""
    parts = [f"{x.name} {x.time / total:.1%}" for x in found if x.flops <= 0.0 and x.time > 0.0]
    rest = 1.0 - sum(x.time for x in found) / total
    if rest > 1e-6:
        parts.append(f"communication, waiting and the optimizer {rest:.1%}")
    return (
        "Time of what does no matrix work, and has no place here: " + "; ".join(parts) + "." if parts else ""
    )
