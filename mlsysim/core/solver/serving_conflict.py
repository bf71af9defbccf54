"""Why no mix exists: which targets, stocks and spares cannot hold together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlsysim.core.solver.asked import module
from mlsysim.core.solver.serving_question import Question

WORDS: dict[str, tuple[int | None, str]] = {
    "ttft": (4, "time to first token"),
    "itl": (4, "time between tokens"),
    "latency": (7, "time to the last token"),
    "spare": (15, "instances that may be down"),
    "stock": (None, "accelerators available"),
    "memory": (2, "weights and one request fit an instance"),
}


@dataclass(frozen=True)
class Clash:
    """A limit that cannot hold together with the rest: the wall behind it, and where it bites."""

    tag: str
    wall: int | None
    name: str
    limit: str

    def to_dict(self) -> dict[str, Any]:
        """Return the limit for JSON."""
        return {"tag": self.tag, "wall": self.wall, "name": self.name, "limit": self.limit}


def why(q: Question, exists: Callable[[Question], bool]) -> tuple[tuple[Clash, ...], int]:
    """Return a smallest set of limits that cannot hold together, and the exit code.

    The plan's wishes (targets, spares) are dropped one at a time, and kept where the rest has a mix
    without them. 3 if they are part of it, 2 if nothing is possible even without them.

    Args:
        q: a question without a mix.
        exists: whether a question has one.
    """
    alone = _fits_nowhere(q)
    if alone:
        return (_clash("memory", q, alone),), 2
    wishes = [*q.targets, *(["spare"] if q.spare else [])]
    limited = any(np.isfinite(count) for _, count in q.stocks)
    if not exists(without(q, wishes)):
        return (_clash("stock", q, []),), 2
    kept = list(wishes)
    for wish in wishes:
        if not exists(without(q, [w for w in wishes if w not in kept or w == wish])):
            kept.remove(wish)
    if limited and exists(replace(without(q, [w for w in wishes if w not in kept]), stocks=_endless(q))):
        return (*(_clash(w, q, []) for w in kept), _clash("stock", q, [])), 3
    return tuple(_clash(w, q, _refused(q, kept, wishes)) for w in kept), 3


def without(q: Question, wishes: list[str]) -> Question:
    """Return a question without some of its wishes."""
    none = np.full(len(q.demand.prompt), np.inf)
    dropped: dict[str, Any] = {w: none for w in wishes if w != "spare"}
    demand = replace(q.demand, **dropped)
    return replace(q, demand=demand, spare=0 if "spare" in wishes else q.spare)


def _endless(q: Question) -> tuple[tuple[str, float], ...]:
    return tuple((name, np.inf) for name, _ in q.stocks)


def _fits_nowhere(q: Question) -> list[int]:
    tables = module("serving_tables")
    fits = np.zeros(len(q.demand.prompt), dtype=bool)
    for o in q.offers:
        fits |= tables.fits_alone(o, q.demand, q.rules)
    return [int(u) for u in np.flatnonzero(~fits)]


def _refused(q: Question, kept: list[str], wishes: list[str]) -> list[int]:
    """Return the classes that no pool takes, with the wishes of a conflict alone."""
    only = without(q, [w for w in wishes if w not in kept])
    taken = np.zeros(len(q.demand.prompt), dtype=bool)
    for p in module("serving_tables").pools(only.demand, only.offers, only.rules):
        taken |= np.isfinite(p.time)
    return [int(u) for u in np.flatnonzero(~taken)]


def _clash(tag: str, q: Question, classes: list[int]) -> Clash:
    wall, name = WORDS[tag]
    if tag == "stock":
        there = ", ".join(f"{count:g} {name}" for name, count in q.stocks if np.isfinite(count))
        return Clash(tag, wall, name, f"at most {there}" if there else "too few for the requests")
    if tag == "spare":
        return Clash(tag, wall, name, f"{q.spare} of each pool")
    shown = [q.demand.names[u] for u in classes[:3]]
    more = f" and {len(classes) - 3} more" if len(classes) > 3 else ""
    where = f"of {', '.join(shown)}{more}" if shown else ""
    if tag == "memory":
        return Clash(tag, wall, name, f"on no instance to choose from, {where}")
    least = getattr(q.demand, tag)[classes] if classes else getattr(q.demand, tag)
    return Clash(tag, wall, name, f"at most {1e3 * float(least.min()):.6g} ms {where}".rstrip())
