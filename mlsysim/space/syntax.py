"""The expression language, as text: tokens and a tree. Nothing of Python is ever evaluated.

A recursive-descent reader of arithmetic, comparisons, ``and``, ``or``, ``not``, a few functions,
names of metrics and dimensions, texts in quotes, and numbers with units (``50 ms``, ``2 MUSD``,
``150 USD/tCO2e``). Each node knows the character at which it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from mlsysim.core.errors import InputError

LONGEST = 2000
DEEPEST = 50

_NUMBER = r"(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_WORD = r"(?>[A-Za-zµ][A-Za-z0-9]*)(?:\*\*-?[1-9])?"
# A unit follows its number at once or after a space; within it there is no space, and it is no name
# of a metric, no function and no word of the language.
_UNIT = rf"(?!(?:and|or|not)\b){_WORD}(?:[*/]{_WORD})*(?![A-Za-z0-9_.(])"
_TOKEN = re.compile(
    rf"(?P<number>{_NUMBER})(?![A-Za-z_0-9]*\()(?:[ ]?(?P<unit>{_UNIT}))?"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign><=|>=|==|!=|\*\*|[-+*/<>(),])"
)
_SPACE = re.compile(r"\s*")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class ExpressionError(InputError):
    """An expression is wrong; the excerpt points at the character."""

    code = "bad_expression"

    def __init__(self, problem: str, text: str, at: int, *, hint: str = "", where: str = "") -> None:
        super().__init__(f"{problem}, at character {at + 1}", where=where, hint=hint)
        self.text = text
        self.position = at
        shown = "".join(ch if ch.isprintable() else " " for ch in text)
        begin = max(0, at - 50)
        cut = "... " if begin else ""
        self.excerpt = (cut + shown[begin : begin + 70], " " * (len(cut) + at - begin) + "^")


@dataclass(frozen=True)
class Number:
    """A number, with a unit where one is written; ``bare`` without."""

    value: float
    unit: str
    at: int

    @property
    def bare(self) -> bool:
        """Whether it has no unit of its own."""
        return not self.unit


@dataclass(frozen=True)
class Text:
    """A text in quotes."""

    value: str
    at: int


@dataclass(frozen=True)
class Name:
    """A metric, a dimension or a parameter."""

    value: str
    at: int


@dataclass(frozen=True)
class Call:
    """A function of arguments."""

    name: str
    args: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Binary:
    """``left sign right``; ``not x`` has no left."""

    sign: str
    left: Node
    right: Node
    at: int


@dataclass(frozen=True)
class Unary:
    """``-x`` or ``not x``."""

    sign: str
    of: Node
    at: int


Node: TypeAlias = Number | Text | Name | Call | Binary | Unary


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    unit: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if at == len(text):
            found.append(_Token("end", "", "", at))
            return found
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            quoted = text[at] in "\"'"
            raise ExpressionError(
                "this text has no end" if quoted else f"{text[at]!r} means nothing here",
                text,
                at,
                hint="close the quotes" if quoted else _ALLOWED,
            )
        kind = "number" if match["number"] is not None else match.lastgroup
        found.append(_Token(kind, match[kind], match["unit"] or "", at))
        at = match.end()


_ALLOWED = (
    "an expression has metrics, dimensions, numbers with units, + - * / ** ( ), comparisons, and, or, not"
)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.next = 0
        self.depth = 0

    @property
    def here(self) -> _Token:
        return self.tokens[self.next]

    def refuse(self, problem: str, at: int, hint: str = "") -> NoReturn:
        raise ExpressionError(problem, self.text, at, hint=hint)

    def take(self, *values: str) -> _Token | None:
        token = self.here
        if token.kind in ("sign", "name") and token.value in values:
            self.next += 1
            return token
        return None

    def either(self) -> Node:
        left = self.both()
        while token := self.take("or"):
            left = Binary("or", left, self.both(), token.at)
        return left

    def both(self) -> Node:
        left = self.negated()
        while token := self.take("and"):
            left = Binary("and", left, self.negated(), token.at)
        return left

    def negated(self) -> Node:
        if token := self.take("not"):
            self.deeper(token.at)
            found: Node = Unary("not", self.negated(), token.at)
            self.depth -= 1
            return found
        return self.compared()

    def compared(self) -> Node:
        left = self.total()
        found: Node | None = None
        while token := self.take(*COMPARISONS):
            right = self.total()
            link = Binary(token.value, left, right, token.at)
            found = link if found is None else Binary("and", found, link, token.at)
            left = right
        return found or left

    def total(self) -> Node:
        left = self.product()
        while token := self.take("+", "-"):
            left = Binary(token.value, left, self.product(), token.at)
        return left

    def product(self) -> Node:
        left = self.signed()
        while token := self.take("*", "/"):
            left = Binary(token.value, left, self.signed(), token.at)
        return left

    def signed(self) -> Node:
        if token := self.take("-", "+"):
            self.deeper(token.at)
            inner = self.signed()
            self.depth -= 1
            return Unary("-", inner, token.at) if token.value == "-" else inner
        left = self.atom()
        if token := self.take("**"):
            self.deeper(token.at)
            left = Binary("**", left, self.signed(), token.at)
            self.depth -= 1
        return left

    def atom(self) -> Node:
        token = self.here
        self.next += 1
        if token.kind == "number":
            return Number(float(token.value.replace("_", "")), token.unit, token.at)
        if token.kind == "text":
            return Text(token.value[1:-1], token.at)
        if token.kind == "name" and token.value not in ("and", "or", "not"):
            if self.here.value == "(" and self.here.kind == "sign":
                return Call(token.value, self.arguments(), token.at)
            return Name(token.value, token.at)
        if token.kind == "sign" and token.value == "(":
            self.deeper(token.at)
            inner = self.either()
            if not self.take(")"):
                self.refuse("this parenthesis is not closed", token.at, "add a )")
            self.depth -= 1
            return inner
        if token.kind == "end":
            self.refuse("something is missing at the end", token.at, "add a metric, a dimension or a number")
        self.refuse(f"{token.value!r} cannot stand here", token.at, _ALLOWED)

    def arguments(self) -> tuple[Node, ...]:
        opened = self.here
        self.next += 1
        self.deeper(opened.at)
        found = [self.either()]
        while self.take(","):
            found.append(self.either())
        if not self.take(")"):
            self.refuse("this parenthesis is not closed", opened.at, "add a )")
        self.depth -= 1
        return tuple(found)

    def deeper(self, at: int) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse("the expression nests too deeply", at, f"at most {DEEPEST} levels are read")


def read(text: str) -> Node:
    """Return an expression as a tree.

    Raises:
        ExpressionError: it is malformed; the excerpt points at the character.
    """
    if not isinstance(text, str):
        raise InputError(f"{text!r} is not an expression", hint="write it as text")
    if len(text) > LONGEST:
        raise ExpressionError(
            f"an expression of {len(text):,} characters", text, LONGEST, hint=f"at most {LONGEST:,} are read"
        )
    reader = _Reader(text)
    found = reader.either()
    if reader.here.kind != "end":
        reader.refuse(f"{reader.here.value!r} cannot stand here", reader.here.at, _ALLOWED)
    return found
