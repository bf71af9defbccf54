"""Privacy accounting of DP-SGD, by a library of accountants.

Composing privacy losses is easy to get wrong and dangerous to get wrong, so nothing of it is
written here: Google's ``dp-accounting`` does it, an optional dependency that is imported on use.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from mlsysim.core.errors import InputError, MissingExtraError

# Privacy loss distributions are the tighter bound (Koskela 2020), Renyi divergences (Mironov 2017)
# the one that papers from 2017 to 2021 state.
ACCOUNTANTS = ("pld", "rdp")


def epsilon(
    *, noise: float, sample_rate: float, steps: int, delta: float, accountant: str = ACCOUNTANTS[0]
) -> float:
    """Return the ``epsilon`` that a DP-SGD run keeps with probability ``1 - delta``.

    The Gaussian mechanism on Poisson samples, composed over the steps (Abadi 2016, section 3);
    neighbouring data sets differ by one sample added or removed. Shuffled batches, which most
    loaders draw, are not covered by it (Chua 2024).

    Args:
        noise: standard deviation of the noise over the clipping norm, ``sigma``.
        sample_rate: probability of a sample to enter a step, ``q``.
        steps: of the run, ``T``.
        delta: probability with which the bound may fail.
        accountant: ``pld`` or ``rdp``.

    Raises:
        InputError: an argument is out of its range.
        MissingExtraError: the library is not installed.
    """
    _check(sample_rate, steps, delta)
    if not (noise > 0 and math.isfinite(noise)):
        raise InputError(f"noise {noise!r} is not above 0", where="privacy.noise")
    account = _fresh(accountant)
    account.compose(_event(noise, sample_rate, steps))
    return float(account.get_epsilon(delta))


def noise_for(
    *, epsilon: float, sample_rate: float, steps: int, delta: float, accountant: str = ACCOUNTANTS[0]
) -> float:
    """Return the least noise multiplier with which a DP-SGD run keeps ``epsilon`` and ``delta``.

    To 1e-6 and on the safe side. Arguments and errors are those of :func:`epsilon`.
    """
    _check(sample_rate, steps, delta)
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise InputError(f"epsilon {epsilon!r} is not above 0", where="privacy.epsilon")
    found = _library("dp_accounting").calibrate_dp_mechanism(
        lambda: _fresh(accountant),
        lambda noise: _event(noise, sample_rate, steps),
        epsilon,
        delta,
        tol=1e-6,
    )
    return float(found)


def _event(noise: float, sample_rate: float, steps: int) -> Any:
    """Return the run in the library's terms."""
    dp = _library("dp_accounting")
    step = dp.PoissonSampledDpEvent(sample_rate, dp.GaussianDpEvent(noise))
    return dp.SelfComposedDpEvent(step, steps)


def _fresh(accountant: str) -> Any:
    """Return an accountant that has seen nothing."""
    if accountant not in ACCOUNTANTS:
        raise InputError(
            f"no accountant called {accountant!r}", where="privacy.accountant", hint="use pld or rdp"
        )
    dp = _library("dp_accounting")
    relation = dp.NeighboringRelation.ADD_OR_REMOVE_ONE
    if accountant == "rdp":
        return _library("dp_accounting.rdp").RdpAccountant(neighboring_relation=relation)
    return _library("dp_accounting.pld").PLDAccountant(neighboring_relation=relation)


def _library(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            "the privacy accountant is not installed", hint="pip install 'mlsysim[privacy]'"
        ) from error


def _check(sample_rate: float, steps: int, delta: float) -> None:
    if not 0 < sample_rate <= 1:
        raise InputError(f"sample rate {sample_rate!r} is not within 0 to 1", where="privacy")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"{steps!r} is not a number of steps", where="privacy")
    if not 0 < delta < 1:
        raise InputError(f"delta {delta!r} is not between 0 and 1", where="privacy.delta")
