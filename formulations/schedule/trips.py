"""Long ways to a better schedule, of which the first steps make it worse.

A large job that moves drives out many others, and what that costs is only known once these have found
their places, and those that they drove out theirs. So the job stays where it was put, the search goes on
around the jobs that were harmed, and the whole is kept if it is better in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlsysim.core.schedule.types import Floats

if TYPE_CHECKING:
    from formulations.schedule.improve import Search

# Steps after which a trip ends, unless it has made up for this share of what it still costs.
LOOK, MADE_UP = 50, 0.1


def trip(search: Search, now: float, stop: Callable[[], bool]) -> float:
    """Force a dear job to a better place and mend what that did to others; undo it if that is no better.

    Args:
        search: whose board it is; complete.
        now: its merit.
        stop: ends the trip early.

    Returns:
        The merit.
    """
    board, crowds = search.board, search.crowds
    parts = crowds.weigh().copy()
    j = crowds.drawn(parts / (1.0 + search.tries))
    search.tries[j] += 1.0
    saved, own = list(board.placed), board.placed[j]
    assert own is not None
    search.begin()
    search.off(j)
    c = board.wish(j, search.rng, None, board.tariff.of(own))
    out = None if c is None else search.clear(c, len(saved))
    if c is None or out is None:
        search.undo()
        return now
    board.put(c)
    search.refill(out)
    crowds.pinned.add(j)
    new = _mend(search, now, parts, stop)
    crowds.pinned.discard(j)
    if new > now + 1e-12:
        search.restore(saved)
        return now
    if new < now - 1e-9:
        search.tries[j] = 0.0
    return new


def _mend(search: Search, now: float, parts: Floats, stop: Callable[[], bool]) -> float:
    """Improve what the beginning of a trip made worse, and return the merit."""
    crowds, rng = search.crowds, search.rng
    checked = new = search.merit()
    count = 0
    while not stop():
        count += 1
        if count % LOOK == 0:
            if new < now or new - now >= (1.0 - MADE_UP) * (checked - now):
                break
            checked = new
        search.begin()
        harm = np.maximum(crowds.weigh() - parts, 0.0)
        if search.board.missing:
            missing = sorted(search.board.missing)
            harm[missing] = search.penalty[missing]
        harm[sorted(crowds.pinned)] = 0.0
        seed, most = crowds.drawn(harm), int(rng.integers(2, 12))
        if rng.random() < 0.5:
            search.force(seed, most)
        else:
            search.again(crowds.around(seed, most))
        changed = search.merit()
        if changed <= new + 1e-12:
            new = changed
        else:
            search.undo()
    return new
