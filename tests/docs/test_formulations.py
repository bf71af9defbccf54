"""What a formulation is said to be is what its recipe writes: choices, attributes, rows, tables."""

from __future__ import annotations

import pytest

from docgen.instances import instances
from docgen.names import found
from formulations.statements import STATEMENTS, Statement
from mlsysim.core.registry import sources
from mlsysim.walls import WALLS

each = pytest.mark.parametrize("s", STATEMENTS, ids=lambda s: s.name)


@each
def test_the_decisions_are_those_of_the_problems(s: Statement):
    seen = instances(s.name)
    assert {name for i in seen for name in i.decisions} == {d.code for d in s.decisions}
    for d in s.decisions:
        attributes = {a for i in seen if d.code in i.decisions for a in i.decisions[d.code][1]}
        assert attributes == {a.code for a in d.attributes}, d.code


@each
def test_the_rows_are_those_of_the_problems(s: Statement):
    """A row called ``wall`` stands for those of all other walls."""
    seen = {name for i in instances(s.name) for name in i.rows}
    said = {r.name for r in s.rows}
    others = {w.tag for w in WALLS} - said if "wall" in said else set()
    assert seen - others == said - {"wall"}


@each
def test_a_row_of_a_wall_names_its_number(s: Statement):
    for r in s.rows:
        if r.name in {w.tag for w in WALLS}:
            assert r.wall is not None
            assert WALLS[r.wall - 1].tag == r.name


@each
def test_every_name_is_in_the_code(s: Statement):
    for code in (
        *(n.code for n in (*s.sets, *s.tables)),
        *(f.code for f in (*s.derived, *s.objectives)),
        *s.modules,
    ):
        assert not code or found(code), code
    assert set(s.sources) <= set(sources())


@each
def test_its_mathematics_can_be_shown(s: Statement):
    pytest.importorskip("latex2mathml", reason="the extra docs renders mathematics")
    from docgen.mathml import mathml

    symbols = [n.tex for n in (*s.sets, *s.tables)] + [a.tex for d in s.decisions for a in (d, *d.attributes)]
    formulas = [f.tex for f in (*s.derived, *s.objectives)] + [r.tex for r in s.rows]
    for tex in filter(None, symbols + formulas):
        assert mathml(tex).startswith("<math")
