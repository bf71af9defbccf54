"""The expression language: what it means, what it refuses and where, and that it cannot reach Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.metrics import METRICS
from mlsysim.space.expression import Variable, compare, compiled, conjuncts
from mlsysim.space.powers import powers_of
from mlsysim.space.syntax import DEEPEST, LONGEST, ExpressionError, read

SCOPE = {name: Variable(name, m.unit) for name, m in METRICS.items()}
SCOPE |= {"latency": SCOPE["performance.latency"], "mfu": SCOPE["performance.mfu"]}
SCOPE |= {
    "tax": Variable("tax", "USD/tCO2e"),
    "region": Variable("ops.region", "", "text"),
    "n": Variable("n"),
}
VALUES = {
    "performance.latency": np.array([0.04, 30.0]),  # s
    "performance.bubble_time": np.array([0.01, 3.0]),
    "performance.mfu": np.array([0.45, 0.3]),
    "macro.tco_usd": np.array([1e6, 3e6]),
    "macro.carbon_tco2e": np.array([2e3, 4e4]),  # kg
    "tax": np.array([0.1, 0.1]),  # USD/kg
    "ops.region": np.array(["Quebec", "Iowa"]),
    "n": np.array([3.0, 4.0]),
}


def value(text):
    return compiled(text, SCOPE).value(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macro.tco_usd < 2e6", [True, False]),
        ("macro.tco_usd < 2 MUSD", [True, False]),
        ("performance.mfu > 0.4", [True, False]),
        ("0.4 < mfu <= 0.45", [True, False]),
        ("latency < 50", [True, False]),  # the metric's own unit is ms
        ("latency < 50 s", [True, True]),
        ("50 > latency", [True, False]),
        ("latency + 10 < 60", [True, False]),
        ("2 * latency < 90", [True, False]),
        ("max(latency, performance.bubble_time) < 50", [True, False]),
        ("performance.bubble_time / latency < 0.2", [False, True]),
        ("region == 'Quebec'", [True, False]),
        ('region != "Quebec" and n == 4', [False, True]),
        ("not (mfu > 0.4) or n < 2", [False, True]),
        ("n ** 2 == 9", [True, False]),
        ("-n < -3.5", [False, True]),
        ("log(n) > 1.2", [False, True]),
        ("abs(n - 4) >= 1", [True, False]),
        ("macro.tco_usd * latency < 1 MUSD*s", [True, False]),
        ("1 + 2 * 3 - 4 / 2 < n + 2.5", [True, True]),
    ],
)
def test_conditions(text, expected):
    assert compiled(text, SCOPE).kind == "condition"
    assert value(text).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected", "unit"),
    [
        ("macro.tco_usd + tax * macro.carbon_tco2e", [1e6 + 200.0, 3e6 + 4000.0], "USD"),
        ("macro.tco_usd + 150 USD/tCO2e * macro.carbon_tco2e", [1e6 + 300.0, 3e6 + 6000.0], "USD"),
        ("150 USD/tCO2e*macro.carbon_tco2e + macro.tco_usd", [1e6 + 300.0, 3e6 + 6000.0], "USD"),
        ("latency", [40.0, 30_000.0], "ms"),
        ("latency / 2", [20.0, 15_000.0], "ms"),
        ("min(latency, 1 s)", [40.0, 1000.0], "ms"),
        ("macro.tco_usd / latency", [25e6, 1e5], "USD/s"),
        ("2 ** 3 * n", [24.0, 32.0], "1"),
        ("-(-n)", [3.0, 4.0], "1"),
    ],
)
def test_numbers_in_the_unit_in_which_people_read_them(text, expected, unit):
    e = compiled(text, SCOPE)
    assert (e.kind, e.unit) == ("number", unit)
    assert e.shown(VALUES).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "character", "said"),
    [
        # malformed
        ("performance.mfu >", 18, "missing at the end"),
        ("", 1, "missing at the end"),
        ("(mfu > 0.4", 1, "not closed"),
        ("max(mfu, 1", 4, "not closed"),
        ("mfu mfu", 5, "cannot stand here"),
        ("mfu > > 1", 7, "cannot stand here"),
        ("'Quebec", 1, "no end"),
        ("mfu > 0.4;", 10, "means nothing"),
        ("mfu = 0.4", 5, "means nothing"),
        # unknown
        ("performance.mfuu > 0.4", 1, "performance.mfuu"),
        ("mfu > 0.4 and cost < 3", 15, "'cost'"),
        ("latency < 50 parsecs", 14, "unknown unit"),
        ("sqrt(mfu) > 1", 1, "'sqrt'"),
        # dimensions
        ("macro.tco_usd + macro.carbon_tco2e", 15, "USD and tCO2e"),
        ("latency < 50 GB", 9, "ms and GB"),
        ("latency < macro.tco_usd", 9, "ms and USD"),
        ("latency * macro.tco_usd < 4", 27, "needs a unit"),
        ("max(latency, 3 GB) < 4", 1, "ms and GB"),
        ("log(latency) < 1", 5, "plain number"),
        ("mfu ** latency < 1", 8, "exponent"),
        ("mfu ** 99 < 1", 8, "exponent"),
        # kinds
        ("mfu and latency < 4", 1, "no condition"),
        ("not mfu", 5, "no condition"),
        ("region + 1 < 2", 1, "no number"),
        ("region < 'Quebec'", 8, "cannot be compared"),
        ("(mfu > 1) + 2 < 3", 2, "no number"),
        ("max(mfu)", 1, "arguments"),
        # Python
        ("__import__('os').system('true')", 17, "means nothing"),
        ("__import__('os')", 1, "'__import__'"),
        ("().__class__", 3, "means nothing"),
        ("mfu.__class__ > 0", 1, "mfu.__class__"),
        ("lambda: 0", 7, "means nothing"),
        ("[x for x in mfu]", 1, "means nothing"),
        ("mfu if True else 0", 5, "cannot stand here"),
        ("eval('1') > 0", 1, "'eval'"),
        ("{}", 1, "means nothing"),
        ("mfu := 3", 5, "means nothing"),
        ("f'{mfu}' == 'x'", 2, "cannot stand here"),
        ("mfu\\n", 4, "means nothing"),
    ],
)
def test_errors_point_at_the_character(text, character, said):
    with pytest.raises(ExpressionError) as caught:
        compiled(text, SCOPE, where="constraints[0]")
    e = caught.value
    assert f"at character {character}" in str(e)
    assert said in str(e)
    assert e.where == "constraints[0]"
    line, mark = e.excerpt
    assert mark == " " * (character - 1) + "^"
    assert line == text
    assert all(shown in str(e) for shown in e.excerpt)


def test_long_expressions_are_cut_around_the_character():
    text = " + ".join(["mfu"] * 100) + " + nothing"
    with pytest.raises(ExpressionError) as caught:
        compiled(text, SCOPE)
    line, mark = caught.value.excerpt
    assert len(line) < 80
    assert line[mark.index("^") :].startswith("nothing")


@pytest.mark.parametrize(
    "text", ["(" * (DEEPEST + 1), "-" * 100 + "1", "not " * 100 + "mfu", "mfu" * LONGEST]
)
def test_endless_expressions_are_refused(text):
    with pytest.raises(ExpressionError):
        read(text)


@given(
    st.text(alphabet="mfulatency.<>=+-*/()'\" 0123456789eE_,andornot\n[]{}:;@$%^&~`|\\x\u00b5", max_size=60)
)
def test_any_text_is_an_expression_or_refused_at_a_character(text):
    position = 0
    try:
        compiled(text, SCOPE)
    except ExpressionError as error:
        position = error.position
    except InputError:  # a unit that cannot be
        pass
    assert 0 <= position <= len(text)


NUMBERS = st.integers(1, 9)


@st.composite
def arithmetic(draw, depth=3):
    """An expression over plain numbers and what Python makes of it."""
    if depth == 0 or draw(st.booleans()):
        name = draw(st.sampled_from(["n", "mfu", None]))
        if name is None:
            number = draw(NUMBERS)
            return str(number), np.full(2, float(number))
        return name, np.asarray(VALUES[SCOPE[name].name])
    (a, x), (b, y) = draw(arithmetic(depth=depth - 1)), draw(arithmetic(depth=depth - 1))
    sign = draw(st.sampled_from("+-*/"))
    if sign == "/" and not y.all():
        sign = "*"
    return f"({a} {sign} {b})", {"+": x + y, "-": x - y, "*": x * y, "/": x / np.where(y, y, 1)}[sign]


@given(arithmetic())
def test_arithmetic_is_that_of_numbers(pair):
    text, expected = pair
    found = compiled(text, SCOPE).value(VALUES)
    assert np.broadcast_to(found, (2,)).tolist() == pytest.approx(expected.tolist())


@given(NUMBERS, NUMBERS, NUMBERS)
def test_precedence(a, b, c):
    for text in (
        f"{a} + {b} * {c}",
        f"{a} - {b} - {c}",
        f"{a} / {b} / {c}",
        f"-{a} ** 2 + {b}",
        f"2 ** {a % 3} ** 2",
    ):
        assert compiled(text, {}).value({}) == pytest.approx(eval(text))


@given(st.sampled_from(sorted(METRICS)), st.floats(1e-3, 1e6))
def test_a_bare_number_has_the_unit_of_its_metric(name, number):
    """The same bound written bare, with the unit, and turned around."""
    unit = METRICS[name].unit
    at = {name: np.array([0.5, 1.0, 2.0]) * units.to_base(number, unit, unit)}
    bare = compiled(f"{name} < {number!r}", SCOPE).value(at)
    turned = compiled(f"{number!r} > {name}", SCOPE).value(at)
    assert bare.tolist() == turned.tolist() == [True, True, False]
    if unit != "1" and not any(ch in unit for ch in "/"):
        assert compiled(f"{name} < {number!r} {unit}", SCOPE).value(at).tolist() == bare.tolist()


def test_comparisons_hold_to_the_solvers_tolerance():
    assert compare("<", 1.0 + 1e-7, 1.0)
    assert compare(">=", 1.0 - 1e-7, 1.0)
    assert compare("==", 1.0 + 1e-7, 1.0)
    assert not compare("<=", 1.0 + 1e-5, 1.0)
    assert not compare("!=", 1.0, 1.0 + 1e-7)
    assert not compare("<", math.nan, 1.0)
    assert not compare(">", math.nan, 1.0)


def test_conditions_come_apart_for_a_solver():
    e = compiled("mfu > 0.4 and 50 s > latency and n + 1 < 8", SCOPE)
    found = conjuncts(e, SCOPE)
    assert [(s, sorted(a.names), sorted(b.names)) for s, a, b in found] == [
        (">", ["performance.mfu"], []),
        (">", [], ["performance.latency"]),
        ("<", ["n"], []),
    ]
    assert found[1][1].value({}) == 50.0
    assert conjuncts(compiled("mfu > 0.4 or n < 3", SCOPE), SCOPE) is None
    assert conjuncts(compiled("n == 3", SCOPE), SCOPE) is None


def test_dimensions_are_read_as_pint_writes_them():
    assert powers_of("dimensionless") == ()
    assert powers_of("1 / [time]") == (("time", -1.0),)
    assert powers_of("[currency] * [time] / [energy] ** 2") == (
        ("currency", 1.0),
        ("energy", -2.0),
        ("time", 1.0),
    )
