"""Why an answer is what it is: which walls bind, by how much, and what the time goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlsysim.core import text, units
from mlsysim.core.supplies import SUPPLIES
from mlsysim.walls.base import parts_of

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation, Json

# Headroom of an assertion below which it is said to bind.
NEAR = 0.05
# What somebody could buy more of where the time goes to a part of the step, or a wall binds.
OF_PART = {
    "compute": ("peak",),
    "memory": ("bandwidth",),
    "communication": ("scale_up_bandwidth", "scale_out_bandwidth"),
}
OF_WALL = {2: ("capacity",), 10: ("scale_out_bandwidth",), 14: ("scale_up_bandwidth", "scale_out_bandwidth")}


@dataclass(frozen=True)
class Because:
    """One reason.

    Attributes:
        kind: ``binds``: a wall is at its limit; ``limit``: an assertion is; ``time``: where it goes.
        name: the wall, the metric or the part of the step.
        wall: its number, if any.
        share: of the supply that is used, or of the step.
        text: the same in words.
        supplies: names of :data:`mlsysim.core.supplies.NAMES`, more (or less) of which would change it.
    """

    kind: str
    name: str
    wall: int | None
    share: float
    text: str
    supplies: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        """Return the reason for JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "wall": self.wall,
            "share": self.share,
            "text": self.text,
            "supplies": list(self.supplies),
        }


def because(e: Evaluation) -> tuple[Because, ...]:
    """Return what an evaluated plan rests on, the walls first."""
    found = []
    for w in e.walls:
        if w.status == "binding" and not w.by_construction:
            used = 1.0 - (w.headroom or 0.0)
            amounts = f"{text.amount(w.demand, w.unit)} of {text.amount(w.supply, w.unit)}"
            found.append(
                Because(
                    "binds",
                    w.wall.name,
                    w.wall.number,
                    used,
                    f"{w.wall.name} binds ({amounts})",
                    # that a group of ranks fills a domain is no matter of bandwidth
                    _there(e, () if w.unit == "device" else OF_WALL.get(w.wall.number, ())),
                )
            )
    for c in e.checks:
        m = c.bound.metric
        for limit, share in (
            (c.bound.high, _over(c.value, c.bound.high)),
            (c.bound.low, _over(c.bound.low, c.value)),
        ):
            if limit is not None and share is not None and 1.0 - NEAR <= share <= 1.0 + NEAR:
                shown = [text.amount(units.from_base(x, m.unit), m.unit) for x in (c.value, limit)]
                found.append(
                    Because(
                        "limit", m.name, None, share, f"{m.name} is at its limit ({shown[0]} of {shown[1]})"
                    )
                )
    parts = parts_of(e.state)
    most = float(parts[e.bottleneck] / e.state.time)
    found.append(
        Because(
            "time",
            e.bottleneck,
            e.bottleneck_wall,
            most,
            f"{most:.0%} of the time goes to {e.bottleneck}",
            _there(e, OF_PART.get(e.bottleneck, ())),
        )
    )
    return tuple(found)


def sentence(e: Evaluation) -> str:
    """Return the same in a line, and which supplies would change it."""
    found = because(e)
    more = ", ".join(SUPPLIES[n].title for n in dict.fromkeys(n for b in found for n in b.supplies))
    change = f". More would change it: {more}" if more else ""
    return f"Because: {'; '.join(b.text for b in found)}{change}."


def _there(e: Evaluation, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if SUPPLIES[n].of(e.scenario) is not None)


def _over(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b
