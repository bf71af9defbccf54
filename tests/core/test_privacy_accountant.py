"""The accountant against what papers print, and without the library."""

import math

import pytest

from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.core.solver import privacy

RUN = {"sample_rate": 0.01, "steps": 10_000, "delta": 1e-5}


def moments(noise: float, q: float, steps: int, delta: float) -> float:
    """Return epsilon by the moments accountant as Abadi 2016 has it.

    Theorem 2 with the moments of the subsampled Gaussian at whole orders (Mironov 2019, section
    3.3) and the plain tail bound: what papers of that time print, looser than what followed.
    """

    def moment(order: int) -> float:
        terms = [
            math.lgamma(order + 1)
            - math.lgamma(k + 1)
            - math.lgamma(order - k + 1)
            + (order - k) * math.log1p(-q)
            + k * math.log(q)
            + (k * k - k) / (2 * noise**2)
            for k in range(order + 1)
        ]
        most = max(terms)
        return most + math.log(math.fsum(math.exp(x - most) for x in terms))

    return min((steps * moment(o) + math.log(1 / delta)) / (o - 1) for o in range(2, 64))


@pytest.mark.parametrize(
    ("noise", "q", "steps", "printed"),
    [
        (4.0, 0.01, 10_000, 1.26),  # Abadi 2016, section 5.1: 100 epochs
        (4.0, 0.01, 40_000, 2.55),  # 400 epochs
    ],
)
@pytest.mark.parametrize("accountant", privacy.ACCOUNTANTS)
def test_abadi(noise, q, steps, printed, accountant):
    pytest.importorskip("dp_accounting")
    assert moments(noise, q, steps, 1e-5) == pytest.approx(printed, abs=0.03)  # whole orders
    found = privacy.epsilon(noise=noise, sample_rate=q, steps=steps, delta=1e-5, accountant=accountant)
    # later conversions are tighter, never looser, and not by much
    assert 0.7 * printed < found < printed


def test_abadi_mnist():
    """Section 5.2: lots of 600 of 60000, delta 1e-5; (0.5, 2, 8) with noise (8, 4, 2)."""
    pytest.importorskip("dp_accounting")
    for target, noise in ((0.5, 8.0), (2.0, 4.0), (8.0, 2.0)):
        steps = [s for s in range(100, 70_000, 300) if moments(noise, 0.01, s, 1e-5) <= target][-1]
        found = privacy.epsilon(noise=noise, sample_rate=0.01, steps=steps, delta=1e-5)
        assert 0.6 * target < found < target


def test_tensorflow_privacy_tutorial():
    """Its table has epsilon 2.92 for noise 1.12, lots of 256 of 60000, 60 epochs."""
    pytest.importorskip("dp_accounting")
    run = {"sample_rate": 256 / 60_000, "steps": 60 * 60_000 // 256, "delta": 1e-5}
    assert moments(1.12, run["sample_rate"], int(run["steps"]), 1e-5) == pytest.approx(2.92, abs=0.03)
    found = privacy.epsilon(noise=1.12, **run)
    assert 0.7 * 2.92 < found < 2.92


def test_one_full_step_is_the_gaussian_mechanism():
    """Without sampling, delta = Phi(1/(2s) - e s) - exp(e) Phi(-1/(2s) - e s) (Balle and Wang 2018)."""
    pytest.importorskip("dp_accounting")
    found = privacy.epsilon(noise=1.5, sample_rate=1.0, steps=1, delta=1e-5)

    def phi(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    delta = phi(1 / 3.0 - found * 1.5) - math.exp(found) * phi(-1 / 3.0 - found * 1.5)
    assert delta == pytest.approx(1e-5, rel=0.01)


def test_monotone():
    pytest.importorskip("dp_accounting")

    def eps(**change: float) -> float:
        return privacy.epsilon(**({"noise": 1.0} | RUN | {"steps": 1000} | change))

    assert eps(noise=2.0) < eps() < eps(noise=0.8)
    assert eps(steps=100) < eps() < eps(sample_rate=0.02)
    assert eps(delta=1e-4) < eps() < eps(delta=1e-7)
    assert eps() <= eps(accountant="rdp")


@pytest.mark.parametrize(("target", "accountant"), [(1.0, "pld"), (1.0, "rdp"), (8.0, "rdp")])
def test_noise_for_inverts(target, accountant):
    pytest.importorskip("dp_accounting")
    run = RUN | {"accountant": accountant}
    noise = privacy.noise_for(epsilon=target, **run)
    assert privacy.epsilon(noise=noise, **run) <= target
    assert privacy.epsilon(noise=noise * 0.999, **run) > target


@pytest.mark.parametrize(
    "change",
    [
        {"noise": 0.0},
        {"noise": math.nan},
        {"noise": math.inf},
        {"sample_rate": 0.0},
        {"sample_rate": 1.5},
        {"steps": 0},
        {"steps": 1.5},
        {"delta": 0.0},
        {"delta": 1.0},
        {"accountant": "mine"},
    ],
)
def test_bad_arguments(change):
    with pytest.raises(InputError):
        privacy.epsilon(**({"noise": 1.0} | RUN | change))


def test_bad_target():
    with pytest.raises(InputError):
        privacy.noise_for(epsilon=0.0, **RUN)


def test_without_the_library(monkeypatch):
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(privacy.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match="accountant") as caught:
        privacy.epsilon(noise=1.0, **RUN)
    assert "mlsysim[privacy]" in str(caught.value)
    with pytest.raises(MissingExtraError):
        privacy.noise_for(epsilon=1.0, **RUN)
