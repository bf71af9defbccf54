"""Which points of a design space are looked at: all of a grid, or a sample.

Latin hypercubes (McKay 1979) and Sobol sequences (Sobol 1967, scrambled after Owen 1998) are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlsysim.core.errors import InputError, MissingExtraError, unknown
from mlsysim.space.dimensions import Dimension

METHODS = ("grid", "latin", "sobol")
MOST = 1_000_000_000
MOST_SAMPLED = 20_000_000


@dataclass(frozen=True)
class Sampling:
    """How points are chosen.

    Attributes:
        method: ``grid``, ``latin`` or ``sobol``.
        points: how many; of a grid, all there are.
        seed: of a sample.
    """

    method: str = "grid"
    points: int | None = None
    seed: int = 0

    def to_dict(self) -> dict[str, str | int | None]:
        """Return it as a campaign file has it."""
        return {"method": self.method, "points": self.points, "seed": self.seed}


def sampling(method: str = "grid", points: int | None = None, seed: int = 0) -> Sampling:
    """Return how points are chosen, checked.

    Raises:
        InputError: no such method, or a number of points where there can be none.
    """
    if method not in METHODS:
        error = unknown("sampling method", str(method), METHODS)
        error.at("sampling.method")
        raise error
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"{seed!r} is no seed", where="sampling.seed", hint="a whole number from 0")
    if method == "grid":
        if points is not None:
            raise InputError(
                "a grid has as many points as its values multiply to",
                where="sampling.points",
                hint="leave it out, or sample with latin or sobol",
            )
        return Sampling(method, None, 0)
    if isinstance(points, bool) or not isinstance(points, int) or not 1 <= points <= MOST_SAMPLED:
        raise InputError(
            f"{points!r} points", where="sampling.points", hint=f"a whole number from 1 to {MOST_SAMPLED:,}"
        )
    return Sampling(method, points, seed)


def size(dimensions: Sequence[Dimension], how: Sampling) -> int:
    """Return how many points there are.

    Raises:
        InputError: a grid over a range without a number of points, or with too many of them.
    """
    if how.method != "grid":
        return how.points or 0
    for d in dimensions:
        if d.listed is None:
            raise InputError(
                "a range has no grid of its own",
                where=d.name,
                hint="give it points: N, or sample with latin or sobol",
            )
    found = math.prod(len(d.listed or ()) for d in dimensions)
    if found > MOST:
        raise InputError(
            f"a grid of {found:,} points", where="dimensions", hint=f"at most {MOST:,}: sample it"
        )
    return found


def drawn(dimensions: Sequence[Dimension], how: Sampling, start: int, stop: int) -> list[np.ndarray]:
    """Return points ``start`` to ``stop`` as one column a dimension.

    A column has indices into the dimension's values where it has any, and numbers of a range. The first
    dimension of a grid changes slowest.
    """
    if how.method == "grid":
        shape = [len(d.listed or ()) for d in dimensions]
        codes = np.unravel_index(np.arange(start, stop), shape) if shape else ()
        return [
            np.asarray(c) if d.values is not None else np.asarray(d.listed)[c]
            for d, c in zip(dimensions, codes, strict=True)
        ]
    shares = _sample(how, len(dimensions))[start:stop]
    return [d.at(shares[:, i]) for i, d in enumerate(dimensions)]


@lru_cache(maxsize=2)
def _sample(how: Sampling, dimensions: int) -> np.ndarray:
    """Return all points of a sample in the unit cube; a chunk is a part of them."""
    try:
        from scipy.stats import qmc
    except ModuleNotFoundError as error:
        raise MissingExtraError("SciPy is not installed", hint="pip install 'mlsysim[sweep]'") from error
    if not dimensions:
        return np.zeros((how.points or 0, 0))
    if how.method == "latin":
        return np.asarray(qmc.LatinHypercube(dimensions, rng=how.seed).random(how.points or 0))
    exponent = math.ceil(math.log2(max(how.points or 1, 1)))
    return np.asarray(qmc.Sobol(dimensions, rng=how.seed).random_base2(exponent))[: how.points]
