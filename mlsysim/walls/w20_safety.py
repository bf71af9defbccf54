"""Wall 20: safety."""

from __future__ import annotations

from mlsysim.physics import privacy
from mlsysim.walls.base import Row, State, Wall


class Safety(Wall):
    """Privacy slows training down, and fairness takes data of every group.

    DP-SGD after Abadi 2016, its privacy loss by an accountant; data of subgroups by a bound of
    Hoeffding 1963.
    """

    number, name, domain = 20, "Safety", "operations"
    equation = (
        "DP-SGD time / plain time <= allowed;  epsilon <= allowed;  "
        "ln(g (g - 1) / (1 - confidence)) / difference^2 <= samples of the smallest group"
    )
    sources = ("abadi_2016", "hoeffding_1963")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare slowdown, privacy loss and subgroup data with what the plan allows."""
        p: privacy.Privacy | None = getattr(s, "privacy", None)
        if p is None:
            return ()
        rows = []
        if p.slowdown is not None:
            rows.append(
                Row(
                    p.slowdown,
                    getattr(s.limits, "dp_slowdown", None),
                    "",
                    "times the time of a plain step, by DP-SGD",
                )
            )
        if p.epsilon is not None:
            rows.append(
                Row(p.epsilon, getattr(s.limits, "epsilon", None), "", f"epsilon at delta {p.delta:g}")
            )
        if p.subgroups >= 2:
            needed = privacy.subgroup_samples(p.difference, p.confidence, p.subgroups)
            rows.append(
                Row(
                    needed,
                    p.smallest,
                    "sample",
                    f"of each of {p.subgroups:g} groups, to show error rates {p.difference:.1%} apart "
                    f"at {p.confidence:.0%} confidence",
                )
            )
        return tuple(rows)

    def why_not(self, s: State) -> str:
        """The plan promises nothing."""
        return "the plan asks for neither private training nor fairness among groups"
