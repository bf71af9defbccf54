"""The expression language, with meaning: names looked up, dimensions checked, values computed.

Everything is computed in base units. A bare number beside a quantity has that quantity's own unit, as
in a plan's assertions: ``performance.latency < 50`` means 50 ms. Where a quantity has no unit of its
own (a product of metrics), the number needs one. Comparisons hold to the tolerance of the solvers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlsysim.core.errors import InputError
from mlsysim.space.compiler import Compiler, Values, Variable, compare
from mlsysim.space.powers import written
from mlsysim.space.syntax import Binary, Call, Name, Node, Unary, read

__all__ = ["Expression", "Side", "Variable", "compare", "compiled", "conjuncts"]


@dataclass(frozen=True)
class Expression:
    """An expression that is sound.

    Attributes:
        text: as written.
        kind: ``number``, ``condition`` or ``text``.
        unit: in which people read it.
        names: full names of the variables that it needs.
        value: from values in base units, numbers or arrays, to its own in base units.
        node: the tree.
    """

    text: str
    kind: str
    unit: str
    scale: float
    names: frozenset[str]
    value: Callable[[Values], Any]
    node: Node

    def shown(self, values: Values) -> Any:
        """Return the value in the unit in which people read it."""
        return self.value(values) / self.scale


def compiled(text: str, scope: Mapping[str, Variable], *, where: str = "") -> Expression:
    """Return an expression over a scope of variables.

    Args:
        text: the expression.
        scope: variables by every name that an expression may use for them.
        where: what the expression is, for messages.

    Raises:
        ExpressionError: malformed, an unknown name, or dimensions that do not go together.
    """
    try:
        node = read(text)
        reader = Compiler(text, scope)
        found = reader.typed(node)
    except InputError as error:
        error.at(where)
        raise
    return Expression(
        text,
        found.kind,
        found.unit if found.unit is not None else written(found.powers),
        found.scale,
        frozenset(reader.names),
        found.value,
        node,
    )


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its value in base units, and the variables that it needs."""

    value: Callable[[Values], Any]
    names: frozenset[str]
    node: Node


def conjuncts(e: Expression, scope: Mapping[str, Variable]) -> list[tuple[str, Side, Side]] | None:
    """Return a condition as comparisons of numbers that must all hold; None where it is no such thing."""
    found: list[tuple[str, Side, Side]] = []
    pending = [e.node]
    while pending:
        node = pending.pop()
        if not isinstance(node, Binary) or node.sign in ("or", "==", "!="):
            return None
        if node.sign == "and":
            pending += [node.right, node.left]
            continue
        left, right = Compiler(e.text, scope).sides(node)
        found.append(
            (
                node.sign,
                Side(left.value, _names(node.left, scope), node.left),
                Side(right.value, _names(node.right, scope), node.right),
            )
        )
    return found


def _names(node: Node, scope: Mapping[str, Variable]) -> frozenset[str]:
    """Return the full names of the variables in a part of an expression."""
    if isinstance(node, Name):
        return frozenset({scope[node.value].name})
    if isinstance(node, Call):
        return frozenset().union(*(_names(x, scope) for x in node.args))
    if isinstance(node, Unary):
        return _names(node.of, scope)
    return _names(node.left, scope) | _names(node.right, scope) if isinstance(node, Binary) else frozenset()
