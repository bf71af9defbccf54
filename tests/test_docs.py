"""The page of the walls is complete, and so is every wall."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlsysim.core.registry import sources
from mlsysim.walls import WALLS, Wall

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "walls.md").read_text(encoding="utf-8")
HEAD = re.compile(r'^<a id="(w\d\d)"></a>\n\n## (\d+)\. (.+)$', re.MULTILINE)
wall_cases = pytest.mark.parametrize("wall", WALLS, ids=lambda w: w.tag)


def section(wall: Wall) -> str:
    """Return a wall's section without its heading."""
    starts = {m[1]: m for m in HEAD.finditer(PAGE)}
    begin = starts[wall.tag].end()
    return PAGE[begin : min((m.start() for m in starts.values() if m.start() > begin), default=len(PAGE))]


def cited_in_words(source: str, text: str) -> bool:
    """Whether a text names a source by its first author and year."""
    record = sources()[source]
    author = re.split(r",| and | et ", str(record["authors"]))[0].split()[-1]
    return author in text and str(record["year"]) in text


def test_the_sections_are_those_of_the_walls_in_order():
    assert [(m[1], int(m[2]), m[3]) for m in HEAD.finditer(PAGE)] == [
        (w.tag, w.number, w.name) for w in WALLS
    ]
    assert [w.number for w in WALLS] == list(range(1, 23))


def test_the_contents_lead_to_every_section():
    links = re.findall(r"\[(\d+) ([^]]+)\]\(#(w\d\d)\)", PAGE)
    assert sorted((int(n), name, tag) for n, name, tag in links) == [(w.number, w.name, w.tag) for w in WALLS]


@wall_cases
def test_a_section_names_domain_and_sources(wall):
    stated = section(wall).split("\n\n")[1]
    assert stated.startswith(f"*{wall.domain}*; registry: ")
    assert tuple(re.findall(r"`(\w+)`", stated)) == wall.sources
    assert set(wall.sources) <= set(sources())


@wall_cases
def test_a_section_cites_in_words(wall):
    """At least one of the wall's own sources, by author and year."""
    told = section(wall).partition("**Sources")[2]
    assert any(cited_in_words(source, told) for source in wall.sources)


@wall_cases
def test_a_section_has_equation_assumptions_limits_and_defaults(wall):
    text = section(wall)
    assert re.search(r"^    \S", text, re.MULTILINE)
    for part in ("Assumes", "Stops holding", "Sources", "Defaults"):
        assert len(re.findall(rf"^\*\*{part}\.?\*\*", text, re.MULTILINE)) == 1, part


@wall_cases
def test_a_wall_has_its_module_and_its_tests(wall):
    (module,) = (ROOT / "mlsysim" / "walls").glob(f"{wall.tag}_*.py")
    assert type(wall).__module__ == f"mlsysim.walls.{module.stem}"
    assert (ROOT / "tests" / "walls" / f"test_{module.stem}.py").is_file()


@wall_cases
def test_a_wall_says_what_it_is(wall):
    assert wall.equation
    assert wall.sources
    assert wall.modelled


def test_tables_are_whole():
    for block in PAGE.split("\n\n"):
        if block.startswith("|"):
            widths = {line.replace("\\|", "").count("|") for line in block.splitlines()}
            assert len(widths) == 1, block
