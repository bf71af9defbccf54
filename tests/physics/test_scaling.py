"""Scaling laws against the tables of their papers, and their own laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import scaling
from mlsysim.physics.scaling import Fit

# Hoffmann 2022, section D.2, as printed; the same with the digits before rounding and the corrected
# fit of Besiroglu 2024, table 1.
PRINTED = Fit(1.69, 406.4, 410.7, 0.34, 0.28)
UNROUNDED = Fit(1.6934, 406.4, 410.7, 0.3392, 0.2849)
BESIROGLU = Fit(1.8172, 482.01, 2085.43, 0.3478, 0.3658)

# Hoffmann 2022, table 3: parameters, FLOP, tokens of approach 1.
TABLE_3 = [
    (400e6, 1.92e19, 8.0e9),
    (1e9, 1.21e20, 20.2e9),
    (10e9, 1.23e22, 205.1e9),
    (67e9, 5.76e23, 1.5e12),
    (175e9, 3.85e24, 3.7e12),
    (280e9, 9.90e24, 5.9e12),
    (520e9, 3.43e25, 11.0e12),
    (1e12, 1.27e26, 21.2e12),
    (10e12, 1.30e28, 216.2e12),
]
# Table A3, approach 3. The paper prints 1.26e24 FLOP for 175 billion parameters, a slip of the
# exponent: 6 x 175e9 x 12.0e12 is 1.26e25.
TABLE_A3 = [
    (400e6, 2.21e19, 9.2e9),
    (1e9, 1.62e20, 27.1e9),
    (10e9, 2.46e22, 410.1e9),
    (67e9, 1.71e24, 4.1e12),
    (175e9, 1.26e25, 12.0e12),
    (280e9, 3.52e25, 20.1e12),
    (520e9, 1.36e26, 43.5e12),
    (1e12, 5.65e26, 94.1e12),
    (10e12, 8.55e28, 1425.5e12),
]

params = st.floats(1e6, 1e14)
tokens = st.floats(1e7, 1e16)
budgets = st.floats(1e16, 1e29)
fits = st.sampled_from([PRINTED, UNROUNDED, BESIROGLU])


@pytest.mark.parametrize(("n", "c", "d"), TABLE_3 + TABLE_A3)
def test_operations_of_the_tables(n, c, d):
    assert scaling.training_flops(n, d) == pytest.approx(c, rel=0.05)


@pytest.mark.parametrize(
    ("n", "d", "c"),
    [
        (70e9, 1.4e12, 5.88e23),  # Chinchilla
        (280e9, 300e9, 5.04e23),  # Gopher
        (174.6e9, 300e9, 3.14e23),  # GPT-3 (Brown 2020, table D.1)
    ],
)
def test_operations_of_known_models(n, d, c):
    assert scaling.training_flops(n, d) == pytest.approx(c, rel=2e-3)


@pytest.mark.parametrize(("n", "c", "d"), TABLE_3)
def test_about_20_tokens_a_parameter(n, c, d):
    found_n, found_d = scaling.split_by_ratio(c, 20.0)
    assert found_n == pytest.approx(n, rel=0.06)
    assert found_d == pytest.approx(d, rel=0.08)


@pytest.mark.parametrize(("n", "c", "d"), TABLE_A3)
def test_split_of_approach_3(n, c, d):
    # four digits of the coefficients do not carry further
    assert scaling.optimal_params(c, UNROUNDED) == pytest.approx(n, rel=0.08)
    assert scaling.optimal_tokens(c, UNROUNDED) == pytest.approx(d, rel=0.12)


@pytest.mark.parametrize(("fit", "a", "b"), [(UNROUNDED, 0.46, 0.54), (BESIROGLU, 0.5126, 0.4874)])
def test_exponents_of_the_papers(fit, a, b):
    digits = len(str(a)) - 2
    n = np.log10(scaling.optimal_params(1e24, fit) / scaling.optimal_params(1e23, fit))
    d = np.log10(scaling.optimal_tokens(1e24, fit) / scaling.optimal_tokens(1e23, fit))
    assert round(float(n), digits) == a
    assert round(float(d), digits) == b


def test_corrected_fit_agrees_with_20_tokens_a_parameter():
    c = 5.76e23  # the compute of Gopher and Chinchilla
    ratio = scaling.optimal_tokens(c, BESIROGLU) / scaling.optimal_params(c, BESIROGLU)
    assert 15 < ratio < 25
    assert scaling.optimal_tokens(c, PRINTED) / scaling.optimal_params(c, PRINTED) > 80


def test_chinchilla_beats_gopher():
    chinchilla = scaling.loss(70e9, 1.4e12, PRINTED)
    assert chinchilla == pytest.approx(1.937, abs=1e-3)
    assert chinchilla < scaling.loss(280e9, 300e9, PRINTED)


@given(budgets, fits)
def test_split_uses_the_budget_and_is_optimal(c, fit):
    n, d = scaling.optimal_params(c, fit), scaling.optimal_tokens(c, fit)
    assert scaling.training_flops(n, d) == pytest.approx(c, rel=1e-9)
    least = scaling.loss(n, d, fit)
    assert least == pytest.approx(float(scaling.optimal_loss(c, fit)), rel=1e-9)
    for off in (0.5, 0.9, 1.1, 2.0):
        assert scaling.loss(n * off, d / off, fit) > least


@given(budgets, fits)
def test_compute_for_a_loss_inverts(c, fit):
    assert scaling.flops_for_loss(scaling.optimal_loss(c, fit), fit) == pytest.approx(c, rel=1e-5)


@given(params, tokens, fits)
def test_tokens_for_a_loss_invert(n, d, fit):
    reached = scaling.loss(n, d, fit)
    assert scaling.tokens_for_loss(n, reached, fit) == pytest.approx(d, rel=1e-4)


@given(params, tokens, fits)
def test_more_of_either_lowers_the_loss(n, d, fit):
    here = scaling.loss(n, d, fit)
    assert scaling.loss(2 * n, d, fit) < here
    assert scaling.loss(n, 2 * d, fit) < here
    assert here > fit.irreducible


def test_what_cannot_be_reached_takes_forever():
    assert scaling.flops_for_loss(BESIROGLU.irreducible, BESIROGLU) == np.inf
    assert scaling.flops_for_loss(1.0, BESIROGLU) == np.inf
    assert scaling.tokens_for_loss(1e6, 1.9, BESIROGLU) == np.inf


@given(st.lists(st.tuples(params, tokens), min_size=1, max_size=20), fits)
def test_scalar_equals_array(points, fit):
    n, d = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    c = scaling.training_flops(n, d)
    whole = (
        scaling.loss(n, d, fit),
        scaling.optimal_params(c, fit),
        scaling.optimal_tokens(c, fit),
        scaling.optimal_loss(c, fit),
        scaling.flops_for_loss(2.0 + n / n, fit),
        scaling.tokens_for_loss(n, 3.0, fit),
        *scaling.split_by_ratio(c, 20.0),
    )
    for i in range(len(points)):
        x, y, z = float(n[i]), float(d[i]), float(c[i])
        one = (
            scaling.loss(x, y, fit),
            scaling.optimal_params(z, fit),
            scaling.optimal_tokens(z, fit),
            scaling.optimal_loss(z, fit),
            scaling.flops_for_loss(3.0, fit),
            scaling.tokens_for_loss(x, 3.0, fit),
            *scaling.split_by_ratio(z, 20.0),
        )
        for single, table in zip(one, whole, strict=True):
            assert single == table[i]


def test_dimensions():
    q = ureg().Quantity
    n, d = q(70e9, "param"), q(1.4e12, "token")
    work = scaling.training_flops(n, d) * q(1.0, "FLOP/param/token")
    assert work.check("[compute]")
    assert scaling.training_time(q(10.0, "s"), d, q(4e6, "token")).check("[time]")
    size, data = scaling.split_by_ratio(work / q(1.0, "FLOP/param/token"), q(20.0, "token/param"))
    assert size.check("[parameter]")
    assert data.check("[token]")


def test_time_of_a_run_is_linear_in_the_step():
    assert scaling.training_time(12.0, 1e9, 4e6) == 250 * 12.0
