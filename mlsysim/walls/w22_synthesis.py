"""Wall 22: synthesis."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Synthesis(Wall):
    """The least supply that still meets a target: the roofline read backwards (Williams 2009).

    Forward reading: the step against the target time that the plan asserts; the assertion enforces
    it. The least rate, bandwidth, capacity and links come
    from :mod:`mlsysim.core.solver.synthesis`.
    """

    number, name, domain = 22, "Synthesis", "analysis"
    equation = "every rate x (time / target) meets the target"
    sources = ("williams_2009",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Show the step, and by how much all rates together miss or exceed the target."""
        target: float | None = getattr(s, "target", None)
        if target is None:
            return ()
        note = "against the target time"
        if isinstance(s.time, int | float) and target > 0.0:
            factor = s.time / target
            need = "needs" if factor > 1.0 else "is met with"
            note = f"a target of {target:.4g} s {need} {factor:.3g} x every rate, latencies aside"
        return (Row(s.time, target, "ms", note, asserted=True),)

    def why_not(self, s: State) -> str:
        """There is nothing to be synthesized for."""
        return "the plan asserts no largest latency"
