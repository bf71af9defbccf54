"""The form of a statement. Mathematics is LaTeX; ``code`` is a name as the code has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A symbol and what it is called in the code.

    Attributes:
        tex: the symbol.
        code: a name that the code has: of an attribute of a cell, of a variable, or of a table as
            ``module:Type.field`` or ``module:function``.
        text: what it is.
        unit: in base units; empty for counts and ratios.
    """

    tex: str
    code: str
    text: str
    unit: str = ""


@dataclass(frozen=True)
class Decision:
    """A choice (one cell is taken) or a family of variables.

    Attributes:
        tex: a cell, or a variable.
        code: the choice's or the variables' name.
        text: what is decided.
        attributes: of a cell, by their names in the code.
        where: what it is there with only; empty for always.
    """

    tex: str
    code: str
    text: str
    attributes: tuple[Named, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Formula:
    """A displayed formula, with the function that has it."""

    text: str
    tex: str
    code: str = ""


@dataclass(frozen=True)
class RowOf:
    """A row of the problem.

    Attributes:
        name: as an exported model has it, without its index: ``w02``, ``agree``, ``assert``.
        wall: the number of its wall; None for what is no wall.
        tex: the row.
        text: what it says.
        where: what it is there with only; empty for always.
    """

    name: str
    wall: int | None
    tex: str
    text: str
    where: str = ""


@dataclass(frozen=True)
class Statement:
    """A formulation.

    Attributes:
        name: of its page.
        title: of its page.
        command: that asks it.
        guide: the page that says how to use it, from the folder of pages.
        modules: where it is written.
        asks: the question in words.
        sets: index sets.
        decisions: what is decided.
        tables: what is given, filled by the physics.
        derived: formulas between the tables and the rows.
        objectives: what is made least.
        rows: what must hold.
        remarks: how it becomes linear, and how it is proven.
        sources: ids of ``registry/sources.yaml``.
    """

    name: str
    title: str
    command: str
    guide: str
    modules: tuple[str, ...]
    asks: str
    sets: tuple[Named, ...]
    decisions: tuple[Decision, ...]
    tables: tuple[Named, ...]
    derived: tuple[Formula, ...]
    objectives: tuple[Formula, ...]
    rows: tuple[RowOf, ...]
    remarks: tuple[str, ...]
    sources: tuple[str, ...] = ()
