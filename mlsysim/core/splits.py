"""How the layers of a model may be split into pipeline stages, and how many of each are recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.layout import Columns, ends
from mlsysim.core.wanted import Wanted

MAX_INTERLEAVE = 16

Ends = tuple[int, int]


def pipelines(
    layers: int, stages: Sequence[int], fixed: dict[str, Wanted], full: bool, *, tuned: bool
) -> Columns:
    """Return the pipeline schedules that a plan allows.

    Interleaving needs chunks of one size (Narayanan 2021, 2.2); the embedding and the head may stand
    for a layer each. Stages between the first and the last hold equal numbers of layers.

    Args:
        layers: of the model.
        stages: numbers of stages to choose from.
        fixed: what the plan says of decisions.
        full: whether layers may be recomputed in full.
        tuned: also uneven stages, and recomputing some layers of a stage.

    Raises:
        InputError: the plan leaves no schedule.
    """
    hidden = fixed.get("overlap_pipeline", Wanted((tuned,)))
    rows = [
        (pp, v, first, last, again, int(over))
        for pp in stages
        for v, (first, last), fullest in _schedules(layers, pp, fixed, tuned)
        for again in _recomputed(v, fullest, fixed, full, tuned)
        for over in ([x for x in (False, True) if hidden.allows(x)] if v > 1 else [False])
    ]
    if not rows:
        raise _none_left(layers, fixed)
    table = np.array(rows, dtype=np.int64)
    names = ("pp", "interleave", "first_stage_layers", "last_stage_layers", "recompute_layers")
    columns = {name: table[:, i] for i, name in enumerate(names)}
    return columns | {"overlap_pipeline": table[:, 5].astype(bool)}


def _schedules(
    layers: int, pp: int, fixed: dict[str, Wanted], tuned: bool
) -> Iterator[tuple[int, Ends, int]]:
    """Yield interleave, layers of the end stages and of the fullest stage."""
    chunks, first, last = (fixed.get(n) for n in ("interleave", "first_stage_layers", "last_stage_layers"))
    if pp == 1:
        whole = all(_even(given) or given.allows(layers) for given in (first, last) if given is not None)
        if (chunks is None or chunks.allows(1)) and whole:
            yield 1, (0, 0), layers
        return
    fullest = -(-layers // pp)
    asked = first is not None or last is not None
    for v in range(1, MAX_INTERLEAVE + 1):
        if chunks is not None and not chunks.allows(v):
            continue
        found = _asked(layers, pp, v, first, last) if asked else _ends(layers, pp, v, tuned)
        for held in found:
            most = _fullest(layers, pp, held) if held != (0, 0) else fullest
            if v == 1 or most % v == 0:
                yield v, held, most


def _even(wish: Wanted | None) -> bool:
    """Return whether the plan lets an end of the pipeline be as even as can be."""
    return wish is None or (wish.values is not None and 0 in wish.values)


def _asked(layers: int, pp: int, interleave: int, first: Wanted | None, last: Wanted | None) -> list[Ends]:
    """Return the ends that the plan names; 0 for both is the split that is as even as can be."""
    found = list(_given(layers, pp, first, last))
    if _even(first) and _even(last):
        a, b = (int(n) for n in ends(layers, np.array(pp), np.array(0), np.array(0)))
        if interleave == 1 or (a, b) in _ends(layers, pp, interleave, tuned=True):
            found.insert(0, (0, 0))
    return found


def _fullest(layers: int, pp: int, ends: Ends) -> int:
    between = (layers - sum(ends)) // (pp - 2) if pp > 2 else 0
    return max(*ends, between)


def _ends(layers: int, pp: int, interleave: int, tuned: bool) -> list[Ends]:
    """Return how many layers the first and the last stage may hold."""
    fullest, rest = divmod(layers, pp)
    if interleave > 1:
        even = [(fullest, fullest)] if rest == 0 else []
        shorter = [
            (n - a, n - b)
            for a, b in ((1, 1), (1, 0), (0, 1))
            if tuned and (layers + a + b) % pp == 0 and (n := (layers + a + b) // pp) > 1
        ]
        return list(dict.fromkeys(even + shorter))
    if not tuned:
        return [(0, 0)]
    found: list[Ends] = []
    for n in (-(-layers // pp), -(-layers // pp) + 1):
        missing = n * pp - layers  # of the end stages together, the others being full
        found += [(n - missing + b, n - b) for b in range(max(0, missing - n + 1), min(missing, n - 1) + 1)]
    found = list(dict.fromkeys(found))
    return found if any(_fullest(layers, pp, e) == -(-layers // pp) for e in found) else [(0, 0), *found]


def _given(layers: int, pp: int, first: Wanted | None, last: Wanted | None) -> Iterator[Ends]:
    """Yield the ends that the plan names, with equal stages between them."""
    if (first is None or first.single == 0) and (last is None or last.single == 0):
        return
    for a in range(1, layers):
        for b in range(1, layers - a + 1):
            rest = layers - a - b
            whole = rest == 0 if pp == 2 else rest >= pp - 2 and rest % (pp - 2) == 0
            if whole and _as_wished(layers, pp, (a, b), first, last):
                yield a, b


def _as_wished(layers: int, pp: int, held: Ends, first: Wanted | None, last: Wanted | None) -> bool:
    """Return whether the plan allows two ends; 0 for one of them is as even as the other lets it be."""
    a, b = held
    allows_a, allows_b = first is None or first.allows(a), last is None or last.allows(b)
    if not allows_a and first is not None and _even(first):
        allows_a = a == int(ends(layers, np.array(pp), np.array(0), np.array(b))[0])
    if not allows_b and last is not None and _even(last):
        allows_b = b == int(ends(layers, np.array(pp), np.array(a), np.array(0))[1])
    return allows_a and allows_b


def _recomputed(
    interleave: int, fullest: int, fixed: dict[str, Wanted], full: bool, tuned: bool
) -> list[int]:
    """Return how many layers of a stage may be recomputed in full: as many of each chunk."""
    mode, number = fixed.get("recompute"), fixed.get("recompute_layers")
    none = mode is None or mode.allows("none") or mode.allows("selective")
    found = [0] if none else []
    if full and number is not None and mode is not None and not none and number.single == 0:
        return [fullest]  # full recomputation of no number of layers is of all
    if full:
        found += list(range(interleave, fullest + 1, interleave)) if tuned or number else [fullest]
    return [n for n in found if number is None or number.allows(n) or (number.single == 0 and n == 0)]


def _none_left(layers: int, fixed: dict[str, Wanted]) -> InputError:
    if "interleave" in fixed:
        return InputError(
            f"interleave {fixed['interleave']} is not possible",
            where="parallelism.interleave",
            hint="it needs a pipeline (pp above 1) whose stages hold equal layers, and must divide the "
            f"layers of a stage; the model has {layers}",
        )
    for name in ("first_stage_layers", "last_stage_layers"):
        if name in fixed:
            return InputError(
                f"{name} {fixed[name]} is not possible",
                where=f"parallelism.{name}",
                hint=f"the stages between the first and the last must share the rest of {layers} layers "
                "equally",
            )
    return InputError(
        f"recompute_layers {fixed.get('recompute_layers')} is not possible",
        where="parallelism.recompute_layers",
        hint="it is at most the layers of a stage, a multiple of interleave, and needs recompute: full",
    )
