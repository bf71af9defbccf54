"""Whether a mix keeps what it promises, by the physics alone."""

from __future__ import annotations

import numpy as np

from mlsysim.core.serving_run import Run
from mlsysim.core.solver.serving_question import Question


def broken(q: Question, hours: tuple[tuple[Run, ...], ...], tolerance: float) -> list[str]:
    """Return what does not hold, in words; empty where all of it does."""
    found = []
    for h, runs in enumerate(hours):
        found += _served(q, runs, h, tolerance)
        for r in runs:
            found += [f"{what} of {r.given.offer.name} in hour {h}" for what in _of(q, r, tolerance)]
        for (name, there), used in zip(q.stocks, _used(q, runs), strict=True):
            if used > there:
                found.append(f"availability of {name} in hour {h}")
    return found


def _served(q: Question, runs: tuple[Run, ...], h: int, tolerance: float) -> list[str]:
    """Every request is answered once: as a whole, or read and then decoded."""
    wanted = q.demand.rate[:, h]
    totals = {}
    for roles in (("mixed", "prefill"), ("mixed", "decode")):
        total = np.zeros(len(wanted))
        for r in runs:
            if r.given.role in roles:
                np.add.at(total, r.given.classes, r.given.rate)
        totals[roles[1]] = total
    return [
        f"the requests of {q.demand.names[u]} in hour {h} ({stage})"
        for stage, total in totals.items()
        for u in np.flatnonzero(np.abs(total - wanted) > tolerance * np.maximum(wanted, wanted.max()))
    ]


def _used(q: Question, runs: tuple[Run, ...]) -> list[int]:
    used = [0] * len(q.stocks)
    for r in runs:
        used[r.given.offer.stock] += r.given.instances * r.given.offer.tp
    return used


def _of(q: Question, r: Run, tolerance: float) -> list[str]:
    """Return which targets of which classes a pool does not keep."""
    d, u = q.demand, r.given.classes
    room = 1.0 + tolerance
    found = []
    if not r.utilization < 1.0:
        found.append("load")
    if not r.links <= room:
        found.append("links")
    if not r.cache <= room:
        found.append("KV cache")
    if r.given.role != "decode" and (r.ttft > d.ttft[u] * room).any():
        found.append("time to first token")
    if r.given.role != "prefill" and (np.maximum(r.itl, r.mixed_itl) > d.itl[u] * room).any():
        found.append("time between tokens")
    # of split requests the first token is only known to keep its target
    begun = 0.0 if r.given.role == "mixed" else d.ttft[u] + r.wait - r.ttft
    if r.given.role != "prefill" and (r.response + begun > d.latency[u] * room).any():
        found.append("time to the last token")
    return found
