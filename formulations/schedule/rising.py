"""The bound rises in a process of its own, while this one searches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from formulations.engines.base import Options
from formulations.engines.child import ChildDied, borrow, give_back
from formulations.schedule.ascent import FAR
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Pricer
from formulations.schedule.relaxation import Relaxation
from mlsysim.core.schedule.types import Fleet

# Seconds between two messages, and of work before the child looks whether anything is left to do.
OFTEN, SPELL = 1.0, 30.0
# Seconds in which a child that was told to stop has to answer.
PATIENCE = 2.0
# What a message has to bring to be looked at at once, as a share of the gap that was asked for.
WORTHWHILE = 0.05
# Relative distance of the linear program from the bound at which nothing is left to do.
CONVERGED = 1e-6
INF = float("inf")


@dataclass(frozen=True)
class Request:
    """What the child needs to know; ``until`` is by the wall clock, which two processes share."""

    fleet: Fleet
    at: Multipliers
    until: float
    gap: float
    seed: int

    def options(self) -> Options:
        """Return the options in the child, to whose start some of the time went."""
        return Options(max(0.0, self.until - time.time()), self.gap, seed=self.seed)

    def answer(self, options: Options, progress: Callable[[Multipliers, float], None]) -> Multipliers:
        """Raise the bound until it is as high as it gets, or the time is up; in the child."""
        r = Relaxation(Pricer(self.fleet), options, FAR)
        r.learn(self.at)
        told, last = r.bound, time.monotonic()

        def tell() -> bool:
            nonlocal told, last
            if r.bound > told and time.monotonic() - last >= OFTEN:
                told, last = r.bound, time.monotonic()
                progress(r.at, r.bound)
            return options.expired

        while not options.expired and not r.converged(CONVERGED):
            r.rise(SPELL, CONVERGED, tell=tell)
        return r.at


class Rising:
    """A child that raises the bound of a fleet.

    Attributes:
        died: whether it ended without an answer.
    """

    def __init__(self, relaxation: Relaxation) -> None:
        """Begin from the best multipliers of a relaxation, to which :meth:`hear` gives better ones."""
        self.relaxation = relaxation
        options = relaxation.options
        until = time.time() + options.remaining
        request = Request(relaxation.fleet, relaxation.at, until, options.gap, options.seed)
        self._heard: list[tuple[Any, ...]] = []
        self.died = False
        self._at: Multipliers | None = None
        self._bound = -INF
        self._child = borrow("highspy")
        self._thread = threading.Thread(target=self._listen, args=(request,), daemon=True)
        self._thread.start()

    @staticmethod
    def possible(options: Options) -> bool:
        """Return whether there is a second processor, and it may be used."""
        return options.threads > 1 and (os.cpu_count() or 1) > 1

    def _listen(self, request: Request) -> None:
        try:
            for message in self._child.ask(request):
                self._heard.append(message)
        except ChildDied:  # whoever planned goes on alone, with less time for the search
            self.died = True

    def hear(self, value: float) -> None:
        """Take over the best multipliers so far.

        Their bound is computed again here, so a child is not believed; what brings little can wait, unless
        it proves that ``value`` is as good as was asked for.

        Raises:
            Exception: what went wrong in the child.
        """
        while self._heard:
            verdict, *content = self._heard.pop(0)
            if verdict == "failed":
                raise content[0]
            self._at, self._bound = content[0], content[1] if verdict == "progress" else INF
        r, gap = self.relaxation, self.relaxation.options.gap
        if self._at is None or self._bound <= r.bound:
            return
        closes = value - self._bound <= gap * abs(value)
        if closes or self._bound - r.bound > WORTHWHILE * gap * abs(r.bound):
            r.learn(self._at)
            self._at = None

    def end(self) -> None:
        """Have the child answer, take over what it found, and let it go."""
        with suppress(ChildDied):
            self._child.stop()
        self._thread.join(PATIENCE)
        if self._thread.is_alive() or self.died:
            self._child.end()
        else:
            give_back(self._child)
        self.hear(-INF)
