"""What a step of the search does, drawn by what it brought lately (Ropke and Pisinger 2006)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

# Of the work, what each way gets at least.
SELDOM = 0.05
# Work after which what was learned counts half.
MEMORY = 10_000


class Ways:
    """Shares work among ways by the gain of each for its work.

    Work is counted in jobs that were placed rather than in seconds: the same seed does the same anywhere.

    Args:
        work: of each way, for one step, roughly.
    """

    def __init__(self, work: dict[str, float]) -> None:
        self.names: Sequence[str] = tuple(work)
        self.count = np.ones(len(work))
        self.spent = np.array(list(work.values()))
        self.gain = np.zeros(len(work))
        self.since = 0.0
        self._share()

    def learn(self, name: str, gain: float, work: float) -> None:
        """Note what a step brought."""
        i = self.names.index(name)
        self.count[i] += 1.0
        self.spent[i] += work
        self.gain[i] += gain
        self.since += work
        if self.since > MEMORY:
            self._share()
            self.since = 0.0
            self.gain *= 0.5
            fade = np.maximum(0.5, 1.0 / self.count)  # at least one step is remembered
            self.count, self.spent = self.count * fade, self.spent * fade

    def _share(self) -> None:
        rate = self.gain / self.spent
        share = rate / rate.sum() if rate.any() else np.full(rate.size, 1.0 / rate.size)
        work = SELDOM + (1.0 - SELDOM * rate.size) * share
        chance = work * self.count / self.spent
        self.chance = np.cumsum(chance / chance.sum())

    def draw(self, rng: Generator) -> str:
        """Return a way."""
        return self.names[min(int(np.searchsorted(self.chance, rng.random())), len(self.names) - 1)]
