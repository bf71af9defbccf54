"""What a synthesis is made of, its JSON and its text."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core import text, units
from mlsysim.core.evaluation import SCHEMA_VERSION, Evaluation, Json
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.decided import decided
from mlsysim.core.solver.target import Target
from mlsysim.core.solver.undercut import Proof
from mlsysim.core.supplies import Supply


@dataclass(frozen=True)
class Spec:
    """How much of a supply the target takes; ``there`` is what the plan has, in base units."""

    supply: Supply
    there: float
    factor: float
    weight: float

    @property
    def needed(self) -> float:
        """The least of it, in base units."""
        return self.there * self.factor


@dataclass(frozen=True)
class Part:
    """An accelerator of the registry in place of the plan's: the best plan on it, and what it lacks."""

    name: str
    value: float
    meets: bool
    patch: Json
    evaluation: Evaluation
    short_of: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """The least hardware that meets a target.

    Attributes:
        scenario: the plan.
        target: what is to be reached.
        weigh: the share of each supply in the cost.
        now: the best plan on the hardware that is there; None if nothing fits with any memory.
        specs: the least of each supply that is used; empty where no rate is enough.
        evaluation: the plan on it, as ``eval`` sees it.
        parts: the nearest of the registry.
        fits: whether anything fits into the memory that is there; ``now`` has as much as it takes.
        cost: of the least hardware by the weights; that of the plan's is 1. None where there is none.
        proof: that little or nothing is cheaper; None where nothing is proven.
    """

    scenario: Scenario
    target: Target
    weigh: dict[str, float]
    now: Evaluation | None
    specs: dict[str, Spec]
    evaluation: Evaluation | None
    parts: tuple[Part, ...]
    fits: bool = True
    cost: float | None = None
    proof: Proof | None = None

    @property
    def gap(self) -> float | None:
        """How much cheaper something else may be at most, relatively; None where nothing is proven."""
        if self.proof is None or self.cost is None:
            return None
        return max(0.0, 1.0 - self.proof.bound / self.cost)

    @property
    def possible(self) -> bool:
        """Whether any rates meet the target."""
        return self.evaluation is not None

    @property
    def met(self) -> bool:
        """Whether the plan's own hardware does."""
        return self.fits and self.now is not None and self.target.miss(self.now) <= 1.0 + 1e-6

    @property
    def exit_code(self) -> int:
        """0, or 2 where latencies alone take longer than the target."""
        return 0 if self.possible else 2

    @property
    def patch(self) -> Json:
        """The hardware as a plan's ``what_if`` block, with the layout for it."""
        assert self.evaluation is not None
        # sixteen digits, so that what is read back is what was found
        block = {
            n: f"{units.from_base(s.needed, s.supply.unit):.17g} {s.supply.unit}"
            for n, s in self.specs.items()
        }
        return {"what_if": block}

    def to_dict(self) -> Json:
        """Return the JSON document of ``solve synthesis``."""
        m = self.target.metric
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.name,
            "status": "pass" if self.possible else "fail",
            "synthesis": {
                "target": {
                    "metric": m.name,
                    "side": "min" if self.target.low else "max",
                    "value": units.from_base(self.target.value, m.unit),
                    "unit": m.unit,
                },
                "value": None if self.now is None else units.from_base(m.value(self.now.state), m.unit),
                "met": self.met,
                "possible": self.possible,
                "weights": self.weigh,
                "cost": self.cost,
                "proof": None
                if self.proof is None
                else {
                    "bound": self.proof.bound,
                    "gap": self.gap,
                    "within": self.proof.width,
                    "layouts": self.proof.layouts,
                    "programs": self.proof.solves,
                },
                "supplies": [
                    {
                        "name": s.supply.name,
                        "title": s.supply.title,
                        "wall": s.supply.wall,
                        "unit": s.supply.unit,
                        "there": units.from_base(s.there, s.supply.unit),
                        "needed": units.from_base(s.needed, s.supply.unit),
                        "factor": s.factor,
                        "weight": s.weight,
                    }
                    for s in self.specs.values()
                ],
                "plan": None if self.evaluation is None else decided(self.evaluation),
                "patch": None if self.evaluation is None else self.patch,
                "parts": [
                    {
                        "name": p.name,
                        "value": p.value,
                        "meets": p.meets,
                        "patch": p.patch,
                        "tco_usd": p.evaluation.metric("macro.tco_usd"),
                        "short_of": list(p.short_of),
                    }
                    for p in self.parts
                ],
            },
        }

    def _head(self) -> list[str]:
        m = self.target.metric
        limit = text.amount(units.from_base(self.target.value, m.unit), m.unit)
        asked = f"{m.name} {'>=' if self.target.low else '<='} {limit}"
        if self.now is None:
            return [f"{asked}: nothing fits, whatever the memory."]
        there = text.amount(units.from_base(m.value(self.now.state), m.unit), m.unit)
        s = self.scenario
        verdict = "met" if self.met else "missed"
        found = [f"{asked}: {verdict} by {s.accelerators} x {s.hardware.name} at its best ({there})."]
        if not self.fits:
            more = f"with as much memory as it takes, a plan reaches {there}"
            found = [f"{asked}: nothing fits on {s.accelerators} x {s.hardware.name}; {more}."]
        if not self.possible:
            found.append("No rates are enough: latencies and launches alone take longer, with this layout.")
        return found

    def _proven(self) -> str:
        cost = f"By the weights it costs {self.cost:.4g} times what the plan has."
        if self.proof is None:
            return f"{cost} That nothing is cheaper is not proven."
        p = self.proof
        few = f"{p.layouts:,} layout{'s' if p.layouts > 1 else ''} can meet the target"
        most = f"none is more than {self.gap:.2%} cheaper (proven)"
        return f"{cost} With rates within {p.width:.3g} times these {few}; {most}."

    def _rows(self) -> list[list[str]]:
        def shown(x: float, unit: str) -> str:
            return text.amount(units.from_base(x, unit), unit)

        return [
            [
                s.supply.title,
                shown(s.there, s.supply.unit),
                shown(s.needed, s.supply.unit),
                f"{s.factor:.3g} x",
            ]
            for s in self.specs.values()
        ]

    def _parts(self) -> list[list[str]]:
        m = self.target.metric
        return [
            [
                p.name,
                text.amount(p.value, m.unit),
                "meets it" if p.meets else "does not",
                ", ".join(n.replace("_", " ") for n in p.short_of) or "-",
            ]
            for p in self.parts
        ]

    def scorecard(self) -> str:
        """Return the answer as text of 80 columns."""
        lines = [line for x in self._head() for line in text.wrap(x)]
        if self.evaluation is not None:
            lines += ["", *text.table(["supply", "there", "least", ""], self._rows(), right=(1, 2, 3)), ""]
            lines += text.wrap(f"with {self.evaluation.layout}")
            lines += text.wrap("A little less of any of them misses the target. Other limits are left aside.")
            lines += text.wrap(self._proven())
        if self.parts:
            header = ["nearest in the registry", "at best", "", "less there of"]
            lines += ["", *text.table(header, self._parts(), right=(1,))]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the answer as Markdown."""
        from mlsysim.core.markdown import plain, table

        parts = [f"## synthesis for {plain(self.scenario.name)}", " ".join(self._head())]
        if self.evaluation is not None:
            parts += [
                table(["supply", "there", "least", "factor"], self._rows()),
                f"`{self.evaluation.layout}`",
            ]
        if self.parts:
            parts.append(table(["nearest", "at best", "target", "less there of"], self._parts()))
        return "\n\n".join(parts)
