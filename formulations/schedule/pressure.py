"""What caps charge a search: near what they are worth, and more the longer they are overrun.

A cap with a price charges for what is beyond it and pays for what is left, so that schedules on either
side of it are looked at by the same rule: one that only charged would let nothing trade carbon for money
at the cap. The rate rises while the cap is overrun and falls while much of it is left (strategic
oscillation, Glover 1989), in steps that grow while they go the same way and shrink when they turn
(Riedmiller and Braun 1993).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from formulations.schedule.board import ROUNDING, Board
from formulations.schedule.fields import Multipliers
from mlsysim.core.schedule.types import Fleet, Floats

# What a cap without a price charges for all of itself, as a share of what the jobs cost.
OVERRUN = 0.1
# Share of a cap that may be left without making it cheaper.
LITTLE = 1e-4
# By how much rates rise for what is beyond a cap, as logarithm over its share: at once, and each time.
AT_ONCE, EACH = 10.0, 0.5
MOST = 0.1  # at once, and each time a tenth of it
# A cap that stays overrun a little: how fast its rate rises at first, and how much faster each time.
FIRST, FASTER = 0.001, 1.2
WIDEST = 1e4


class Pressure:
    """Rates of all caps in one row: cost, carbon and water of all jobs, carbon of each region."""

    def __init__(self, fleet: Fleet) -> None:
        cap: Floats = np.concatenate([fleet.caps.totals, fleet.places.carbon_cap])
        self.at = np.flatnonzero(np.isfinite(cap))
        self.cap = cap[self.at]
        self.size = np.maximum(self.cap, 1e-6 * float(self.cap.max(initial=1.0)))
        self.base = np.zeros(self.at.size)
        self.speed = np.full(self.at.size, FIRST)
        self.before = np.zeros(self.at.size)
        self.both = np.zeros(self.at.size, dtype=bool)

    def judge(self, prices: Multipliers, worth: float) -> None:
        """Take prices of caps: where there was none, the rate begins at it.

        Args:
            prices: of the limits, of the relaxation.
            worth: what the jobs cost at least.
        """
        self.floor = OVERRUN * worth / self.size
        price = np.concatenate([[prices.cost, prices.carbon, prices.water], prices.region_carbon])[self.at]
        begins = ~self.both & (price > 0.0)
        self.base = np.where(begins, price, np.where(self.base > 0.0, self.base, self.floor))
        self.rate = self.base
        self.both |= begins

    def _beyond(self, board: Board) -> Floats:
        taken = np.concatenate([board.totals, board.emitted])
        beyond: Floats = taken[self.at] - self.cap
        return beyond

    def charge(self, board: Board) -> float:
        """Return what the caps charge for what is on a board."""
        if not self.at.size:
            return 0.0
        beyond = self._beyond(board)
        return float(self.rate @ np.where(self.both, beyond, np.maximum(beyond, 0.0)))

    def adapt(self, board: Board) -> None:
        """Let rates rise where caps are overrun, and fall where much is left."""
        if not self.at.size:
            return
        beyond = self._beyond(board)
        share = beyond / self.size
        over = beyond > ROUNDING * self.cap
        stubborn = over & (beyond >= self.before)
        self.before = beyond
        self.speed = np.where(stubborn, np.minimum(FASTER * self.speed, MOST), FIRST)
        each = np.where(share < -LITTLE, np.maximum(EACH * share, -0.1 * MOST), 0.0)
        each = np.where(over, np.clip(EACH * share, self.speed, MOST), each)
        each[~self.both & ~over & (self.base <= self.floor)] = 0.0
        self.base = np.clip(self.base * np.exp(each), self.floor / WIDEST, self.floor * WIDEST)
        self.rate = self.base * np.exp(np.clip(AT_ONCE * share, -MOST, MOST))

    def guide(self, prices: Multipliers, cells: float) -> Multipliers:
        """Return prices to place by: a share of those of cells, and the rates of the caps."""
        rates = np.zeros(3 + prices.region_carbon.size)
        rates[self.at] = np.where(self.both, self.rate, 0.0)
        cost, carbon, water = rates[:3].tolist()
        return replace(
            prices,
            power=prices.power * cells,
            accelerators=prices.accelerators * cells,
            cost=cost,
            carbon=carbon,
            water=water,
            region_carbon=rates[3:],
        )
