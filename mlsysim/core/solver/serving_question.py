"""From a plan to the question of ``optimize serving``: requests, offers, rules, all in numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core import request_trace, units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.machine import network_of, server_of
from mlsysim.core.plan_mix import MixBlock
from mlsysim.core.resolve import Assumptions, Settings, resolve
from mlsysim.core.scenario import Assumption
from mlsysim.core.solver.asked import module
from mlsysim.hardware.own import resolve_hardware
from mlsysim.physics.operations import bill

if TYPE_CHECKING:
    from formulations.serving_tables import Demand, Offer, Rules
    from mlsysim.core.plan import Plan
    from mlsysim.core.yamlfile import Document

HOUR = 3600.0


@dataclass(frozen=True)
class Question:
    """What is asked, and what was assumed where the plan is silent.

    Attributes:
        targets: classes by target, of which each is given by the plan: ``ttft``, ``itl``, ``latency``.
        stocks: name and number of accelerators of each stock; infinite where there is no end.
        notes: what was left out, and why.
    """

    name: str
    model: str
    demand: Demand
    offers: tuple[Offer, ...]
    rules: Rules
    stocks: tuple[tuple[str, float], ...]
    spare: int
    start: float
    targets: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    notes: tuple[str, ...]


def question(plan: Plan, document: Document, settings: Settings) -> Question:
    """Return a plan's question.

    Raises:
        InputError: the plan has no mix, or a name or number of it is wrong.
    """
    mix: MixBlock | None = plan.mix
    if mix is None:
        raise InputError(
            "the plan has no mix of requests",
            where=document.where(("mix",)) or "mix",
            hint="see docs/serving_mix.md",
        )
    if not settings.model.is_transformer or not settings.model.transformer.causal:
        raise InputError(f"{settings.model.name} does not answer token by token", where="workload.name")
    take = Assumptions()
    reader = _Reader(mix, document, settings, take)
    demand = reader.demand()
    offers, stocks, notes = reader.offers()
    given = [t for t in ("ttft", "itl", "latency") if np.isfinite(getattr(demand, t)).any()]
    return Question(
        settings.name or f"{settings.model.name} serving mix",
        settings.model.name,
        demand,
        offers,
        reader.rules(),
        stocks,
        mix.spare,
        reader.time(mix.start_up, ("mix", "start_up"), "min", 0.0) / HOUR,
        tuple(given),
        tuple(dict.fromkeys(take.taken)),
        notes,
    )


@dataclass
class _Reader:
    mix: MixBlock
    document: Document
    settings: Settings
    take: Assumptions

    def time(self, given: Any, key: tuple[str | int, ...], unit: str, absent: float) -> float:
        """Return a time of the plan [s]."""
        if given is None:
            return absent
        try:
            return units.parse(given, unit)
        except MlsysimError as error:
            raise error.at(self.document.where(key)) from error

    def demand(self) -> Demand:
        """Return the classes of requests."""
        mix, limits = self.mix, self.settings.limits
        names, prompt, output, cv, rate = self._classes()
        usual = {"ttft": limits.ttft, "itl": limits.itl, "latency": limits.tail}
        targets = {
            name: np.array(
                [
                    self.time(getattr(c, name), ("mix", "classes", k, name), "ms", usual[name] or np.inf)
                    for k, c in enumerate(mix.classes)
                ]
                or [usual[name] or np.inf] * len(prompt)
            )
            for name in usual
        }
        hours = np.array(mix.hours or [1.0])
        if not hours.any():
            raise InputError("no hour has any requests", where=self.document.where(("mix", "hours")))
        rates = mix.scale * rate[:, None] * hours[None, :]
        found: Demand = module("serving_tables").Demand(names, prompt, output, cv, rates, **targets)
        return found

    def _classes(self) -> tuple[tuple[str, ...], Any, Any, Any, Any]:
        mix = self.mix
        if mix.trace is None:
            prompt, output, cv, rate = np.array(
                [(c.prompt, c.output, c.output_cv, c.rate) for c in mix.classes]
            ).T
            names = tuple(c.name or f"{c.prompt:g}+{c.output:g}" for c in mix.classes)
            return names, np.maximum(prompt, 1.0), output, cv, rate
        folder = Path(self.document.name).parent if self.document.name else Path()
        try:
            trace = request_trace.read(folder / mix.trace)
        except InputError as error:
            raise error.at(self.document.where(("mix", "trace"))) from error
        b = request_trace.buckets(trace, mix.buckets)
        self.take.choose(
            "requests of the trace", f"{len(trace.time)}", f"{trace.layout} layout, {trace.span:.6g} s"
        )
        names = tuple(f"{p:.0f}+{o:.0f}" for p, o in zip(b.prompt, b.output, strict=True))
        return names, np.maximum(b.prompt, 1.0), np.maximum(b.output, 1.0), np.zeros(len(b.rate)), b.rate

    def rules(self) -> Rules:
        """Return how instances are run."""
        mix, take = self.mix, self.take

        def number(given: float | None, name: str, unit: str = "1") -> float:
            return float(given) if given is not None else take.take(name, unit)

        found: Rules = module("serving_tables").Rules(
            scheduler=mix.scheduler,
            budget=number(mix.token_budget, "token_budget", "token"),
            roles=tuple(dict.fromkeys(mix.roles)),
            percentile=number(mix.percentile, "tail_percentile"),
            arrival_cv=number(mix.arrival_cv, "arrival_cv"),
            wait_share=number(mix.wait_share, "wait_share"),
            memory_share=take.take("kv_memory_share"),
            block=take.take("kv_block", "token"),
        )
        return found

    def offers(self) -> tuple[tuple[Offer, ...], tuple[tuple[str, float], ...], tuple[str, ...]]:
        """Return the instances to choose from, the stocks that they come from, and what was left out."""
        found: list[Offer] = []
        stocks: dict[str, float] = {}
        notes: list[str] = []
        folder = Path(self.document.name).parent if self.document.name else Path()
        candidates = [(c.name, c.price, c.available) for c in self.mix.accelerators]
        for k, (name, price, available) in enumerate(candidates or [("", None, None)]):
            key = ("mix", "accelerators", k)
            try:
                hardware = resolve_hardware(name, folder) if name else self.settings.hardware
            except MlsysimError as error:
                raise error.at(self.document.where((*key, "name"))) from error
            if hardware.name in stocks:
                raise InputError(f"{hardware.name} is there twice", where=self.document.where(key))
            stocks[hardware.name] = np.inf if available is None else float(available)
            base = replace(
                self.settings, hardware=hardware, blocks={}, bounds=(), nodes=None, node=None, batch=1
            )
            for precision in self._formats(hardware, notes):
                for tp in sorted(set(self.mix.tp)):
                    offer = self._offer(
                        replace(base, precision=precision, accelerators=tp),
                        tp,
                        len(stocks) - 1,
                        price,
                        key,
                        notes,
                    )
                    if offer is not None:
                        found.append(offer)
        if not found:
            raise InputError(
                "no accelerator of the mix can run any instance: " + "; ".join(notes[:4]),
                where=self.document.where(("mix", "accelerators")) or "mix.accelerators",
            )
        return tuple(found), tuple(stocks.items()), tuple(notes)

    def _formats(self, hardware: Any, notes: list[str]) -> list[str]:
        asked = self.mix.precision or [self.settings.precision or hardware.usual_precision]
        have = hardware.peak.precisions()
        known = []
        for k, name in enumerate(asked):
            try:
                hardware.rate(name)
            except MlsysimError as error:
                if error.code == "unknown_name":
                    raise error.at(self.document.where(("mix", "precision", k))) from error
                notes.append(f"{hardware.name} has no {name}")
            else:
                known.append(name)
        # rates of 16 bits go by either name
        if not known and {"bf16", "fp16"} & set(asked) and "fp16" in have:
            known.append("fp16")
        return known

    def _offer(
        self, s: Settings, tp: int, stock: int, price: float | None, key: tuple[Any, ...], notes: list[str]
    ) -> Offer | None:
        heads = s.model.transformer.heads
        label = f"{s.hardware.name} {s.precision} tp {tp}"
        if heads % tp:
            notes.append(f"{label}: {heads:g} heads do not divide")
            return None
        s = replace(s, rented=s.rented and price is None)
        try:
            scenario = resolve(s)
        except InputError as error:
            if error.where == "ops.ownership":
                raise InputError(
                    f"no rent is known for {s.hardware.name}",
                    where=self.document.where(key),
                    hint="give its price [USD/h]",
                ) from error
            notes.append(f"{label}: {error.problem}")
            return None
        if tp > max(scenario.network.domain, 1.0):
            notes.append(f"{label}: wider than a scale-up domain")
            return None
        if price is not None:
            scenario = replace(
                scenario,
                fleet=replace(scenario.fleet, rent=price / HOUR),
                settings=replace(s, rented=True),
            )
        self.take.taken += scenario.assumptions
        taken = bill(scenario.fleet, scenario.site, HOUR, scenario.settings.rented)
        found: Offer = module("serving_tables").Offer(
            label, scenario, tp, stock, float(taken.tco), float(taken.carbon), self._link(s, tp)
        )
        return found

    def _link(self, s: Settings, tp: int) -> Any:
        """Return the link between an accelerator and one of another instance; None where there is none."""
        if "prefill" not in self.mix.roles:
            return None
        try:
            network = network_of(server_of(s), 1_000_000, Assumptions())
        except InputError:  # no network between servers
            try:
                network = network_of(server_of(s), 2 * tp, Assumptions())
            except InputError:
                return None
        return network.out
