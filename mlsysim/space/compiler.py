"""From the tree of an expression to a function: names looked up, dimensions checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.tolerance import TOLERANCE
from mlsysim.physics.types import Array
from mlsysim.space.powers import Powers, powers_of, written
from mlsysim.space.syntax import COMPARISONS, Binary, Call, ExpressionError, Name, Node, Number, Text, Unary

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Variable:
    """What a name stands for: a number in a unit, or ``text``.

    Attributes:
        name: its full name, by which values are given.
        unit: of a number; empty for text and for numbers without one.
        kind: ``number`` or ``text``.
    """

    name: str
    unit: str = "1"
    kind: str = "number"


@dataclass(frozen=True)
class Typed:
    """A part of an expression: its kind, where it stands, its value, and of a number its dimension."""

    kind: str
    at: int
    value: Callable[[Values], Any]
    powers: Powers = ()
    unit: str | None = "1"  # None where a product has none of its own
    scale: float = 1.0
    bare: float | None = None  # the value of a number without a unit


class Compiler:
    """Compiles one expression over a scope; ``names`` are those that it met."""

    def __init__(self, text: str, scope: Mapping[str, Variable]) -> None:
        self.text = text
        self.scope = scope
        self.names: set[str] = set()

    def refuse(self, problem: str, at: int, hint: str = "") -> ExpressionError:
        """Return the error about a character."""
        return ExpressionError(problem, self.text, at, hint=hint)

    def typed(self, node: Node) -> Typed:
        """Return a part with its meaning."""
        if isinstance(node, Number):
            return self._number(node)
        if isinstance(node, Text):
            text = node.value
            return Typed("text", node.at, lambda values: text)
        if isinstance(node, Name):
            return self._name(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Unary):
            return self._unary(node)
        return self._binary(node)

    def _number(self, node: Number) -> Typed:
        number = node.value
        if node.bare:
            return Typed("number", node.at, lambda values: number, bare=number)
        try:
            scale, dimension = units.factor(node.unit)
        except InputError as error:
            at = self.text.index(node.unit, node.at)
            raise self.refuse(error.problem, at, error.hint) from error
        base = number * scale
        return Typed("number", node.at, lambda values: base, powers_of(dimension), node.unit, scale)

    def _name(self, node: Name) -> Typed:
        variable = self.scope.get(node.value)
        if variable is None:
            error = unknown("metric, dimension or parameter", node.value, self.scope)
            raise self.refuse(error.problem, node.at, error.hint)
        name = variable.name
        self.names.add(name)
        if variable.kind == "text":
            return Typed("text", node.at, lambda values: values[name])
        scale, dimension = units.factor(variable.unit)
        return Typed(
            "number", node.at, lambda values: values[name], powers_of(dimension), variable.unit, scale
        )

    def _numeric(self, node: Node) -> Typed:
        found = self.typed(node)
        if found.kind != "number":
            raise self.refuse(
                f"a {found.kind} is no number", _begin(node), "numbers go with + - * / ** and <"
            )
        return found

    def _condition(self, node: Node) -> Typed:
        found = self.typed(node)
        if found.kind != "condition":
            raise self.refuse(
                f"a {found.kind} is no condition", _begin(node), "compare it: performance.mfu > 0.4"
            )
        return found

    def _alike(self, of: list[Typed], at: int, what: str) -> list[Typed]:
        """Return operands of one dimension; a bare number takes the unit of the others."""
        sized = [x for x in of if x.bare is None]
        if not sized:
            return of
        first = sized[0]
        for x in sized[1:]:
            if x.powers != first.powers:
                raise self.refuse(
                    f"{what} of different dimensions: {_said(first)} and {_said(x)}",
                    at,
                    "convert one of them, e.g. with a price: 150 USD/tCO2e * macro.carbon_tco2e",
                )
        unit = next((x for x in sized if x.unit is not None), None)
        found = []
        for x in of:
            if x.bare is None:
                found.append(x)
                continue
            if unit is None:
                raise self.refuse(
                    f"this number needs a unit: it stands beside {_said(first)}",
                    x.at,
                    f"e.g. {x.bare:g} {written(first.powers)}",
                )
            base = x.bare * unit.scale
            found.append(replace(unit, at=x.at, value=_constant(base), bare=None))
        return found

    def _unary(self, node: Unary) -> Typed:
        if node.sign == "not":
            inner = self._condition(node.of)
            return Typed("condition", node.at, lambda values: np.logical_not(inner.value(values)))
        of = self._numeric(node.of)
        bare = None if of.bare is None else -of.bare
        return replace(of, at=node.at, value=lambda values: -of.value(values), bare=bare)

    def _binary(self, node: Binary) -> Typed:
        sign = node.sign
        if sign in ("and", "or"):
            a, b = self._condition(node.left), self._condition(node.right)
            join = np.logical_and if sign == "and" else np.logical_or
            return Typed("condition", node.at, lambda values: join(a.value(values), b.value(values)))
        if sign in COMPARISONS:
            return self._comparison(node)
        a, b = self._numeric(node.left), self._numeric(node.right)
        if sign in ("+", "-"):
            return self._sum(sign, a, b, node.at)
        if sign == "**":
            return self._power(a, b, node)
        return _product(sign, a, b, node.at)

    def _sum(self, sign: str, a: Typed, b: Typed, at: int) -> Typed:
        bare = None
        if a.bare is not None and b.bare is not None:
            bare = a.bare + b.bare if sign == "+" else a.bare - b.bare
        a, b = self._alike([a, b], at, "a sum" if sign == "+" else "a difference")
        one = a if a.unit is not None else b
        if sign == "+":
            return replace(one, at=at, value=lambda values: a.value(values) + b.value(values), bare=bare)
        return replace(one, at=at, value=lambda values: a.value(values) - b.value(values), bare=bare)

    def _power(self, a: Typed, b: Typed, node: Binary) -> Typed:
        if b.bare is None or abs(b.bare) > 16:
            raise self.refuse(
                "an exponent is a plain number from -16 to 16", _begin(node.right), "e.g. x ** 2"
            )
        exponent = b.bare
        bare = None
        if a.bare is not None:
            try:
                bare = float(a.bare**exponent)
            except (ZeroDivisionError, OverflowError, TypeError) as error:
                raise self.refuse("this power is no finite number", node.at) from error
        powers = tuple((n, p * exponent) for n, p in a.powers)
        return Typed(
            "number",
            node.at,
            lambda values: np.asarray(a.value(values), dtype=float) ** exponent,
            powers,
            "1" if not powers else None,
            bare=bare,
        )

    def _comparison(self, node: Binary) -> Typed:
        left, right = self.typed(node.left), self.typed(node.right)
        kinds = {left.kind, right.kind}
        if kinds == {"text"} and node.sign in ("==", "!="):
            same = node.sign == "=="

            def equal(values: Values) -> Any:
                found = np.asarray(left.value(values)) == np.asarray(right.value(values))
                return found if same else ~found

            return Typed("condition", node.at, equal)
        if kinds != {"number"}:
            raise self.refuse(
                f"a {left.kind} and a {right.kind} cannot be compared with {node.sign}",
                node.at,
                "compare numbers, or texts with == and !=",
            )
        a, b = self._alike([left, right], node.at, "a comparison")
        sign = node.sign
        return Typed("condition", node.at, lambda values: compare(sign, a.value(values), b.value(values)))

    def sides(self, node: Binary) -> list[Typed]:
        """Return the sides of a comparison of numbers."""
        return self._alike([self._numeric(node.left), self._numeric(node.right)], node.at, "a comparison")

    def _call(self, node: Call) -> Typed:
        if node.name not in FUNCTIONS:
            error = unknown("function", node.name, FUNCTIONS)
            raise self.refuse(error.problem, node.at, error.hint)
        function, fewest, most, plain = FUNCTIONS[node.name]
        args = [self._numeric(x) for x in node.args]
        if not fewest <= len(args) <= most:
            said = str(fewest) if fewest == most else f"from {fewest} to {most}"
            raise self.refuse(f"{node.name} takes {said} arguments, not {len(args)}", node.at)
        if plain and args[0].powers:
            raise self.refuse(
                f"{node.name} takes a plain number, not {_said(args[0])}",
                _begin(node.args[0]),
                "divide by a quantity of the same dimension first",
            )
        args = self._alike(args, node.at, f"{node.name}")
        one = next((x for x in args if x.unit is not None), args[0])
        return replace(
            one, at=node.at, value=lambda values: function(*(x.value(values) for x in args)), bare=None
        )


def _constant(value: float) -> Callable[[Values], Any]:
    return lambda values: value


def _largest(*args: Any) -> Any:
    found = args[0]
    for x in args[1:]:
        found = np.maximum(found, x)
    return found


def _least(*args: Any) -> Any:
    found = args[0]
    for x in args[1:]:
        found = np.minimum(found, x)
    return found


# name: the function, the fewest and the most arguments, whether they are plain numbers
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int, bool]] = {
    "abs": (np.abs, 1, 1, False),
    "max": (_largest, 2, 20, False),
    "min": (_least, 2, 20, False),
    "log": (np.log, 1, 1, True),
    "exp": (np.exp, 1, 1, True),
}


def compare(sign: str, a: Array, b: Array) -> Any:
    """Return where a comparison holds, to the tolerance of the solvers, relative to the larger side.

    A strict comparison is the same as one that is not: within the tolerance nobody can tell.
    """
    with np.errstate(invalid="ignore"):
        slack = TOLERANCE * np.maximum(np.abs(a), np.abs(b))
        if sign in ("<", "<="):
            return np.asarray(a <= b + slack)
        if sign in (">", ">="):
            return np.asarray(a >= b - slack)
        near = np.asarray(np.abs(np.subtract(a, b)) <= slack)
        return near if sign == "==" else ~near


def _product(sign: str, a: Typed, b: Typed, at: int) -> Typed:
    turned = 1.0 if sign == "*" else -1.0
    together = dict(a.powers)
    for name, power in b.powers:
        together[name] = together.get(name, 0.0) + turned * power
    powers = tuple(sorted((n, p) for n, p in together.items() if p))
    unit: str | None = None
    scale = 1.0
    if b.bare is not None:  # so many times a quantity: in its own unit
        unit, scale = a.unit, a.scale
    elif a.bare is not None and sign == "*":
        unit, scale = b.unit, b.scale
    elif not powers:
        unit = "1"
    bare = None
    if a.bare is not None and b.bare is not None:
        bare = a.bare * b.bare if sign == "*" else (a.bare / b.bare if b.bare else float("nan"))
    if sign == "*":
        return Typed("number", at, lambda v: a.value(v) * b.value(v), powers, unit, scale, bare)
    return Typed("number", at, lambda v: a.value(v) / b.value(v), powers, unit, scale, bare)


def _said(x: Typed) -> str:
    """Return what something is measured in, for a message."""
    if not x.powers:
        return "a plain number"
    return x.unit if x.unit is not None else written(x.powers)


def _begin(node: Node) -> int:
    """Return the first character of a part of an expression."""
    if isinstance(node, Binary):
        return _begin(node.left)
    return node.at
