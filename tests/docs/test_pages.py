"""The pages tell of what is there: names, paths, links, metrics, commands."""

from __future__ import annotations

import re
from inspect import ismodule
from pathlib import Path

import pytest

import mlsysim
from docgen import cli_page, metric_pages, nav, registry_pages, schema_pages
from docgen.names import found
from docgen.offline import from_elsewhere
from docgen.snippets import ROOT
from docgen.tables import anchor, one_line, plain, table
from mlsysim.core.metrics import METRICS
from mlsysim.core.registry import sources
from mlsysim.core.schemas import plan_schema, result_schema
from mlsysim.walls import WALLS

PAGES = {
    **{p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md")},
    "README.md": (ROOT / "README.md").read_text(encoding="utf-8"),
}
each = pytest.mark.parametrize("page", PAGES)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
# Names that are the reader's: what a page says to write.
OWN = {"registry/hardware/GROUP/NAME.yaml", "formulations/NAME.py"}


def in_code(page: str) -> list[str]:
    """What stands in code within the text of a page."""
    return re.findall(r"`([^`\n]+)`", _FENCED.sub("", PAGES[page]))


@each
def test_every_name_of_the_code_is_in_the_code(page):
    names = [n for n in in_code(page) if re.fullmatch(r"(mlsysim|formulations|docgen)(\.\w+)+(:[\w.]+)?", n)]
    assert [n for n in names if not found(n)] == []


@each
def test_every_path_is_there(page):
    roots = "mlsysim|formulations|docgen|registry|tests|benchmarks|examples|docs"
    paths = [n for n in in_code(page) if re.fullmatch(rf"({roots})/[\w./-]*", n) and n not in OWN]
    assert [p for p in paths if not (ROOT / p).exists()] == []


@each
def test_every_command_and_every_option_is_there(page):
    known = {name: {o for p in command.params for o in p.opts} for name, command, _ in cli_page.commands()}
    for line in in_code(page) + re.findall(r"^ *(mlsysim .*)", PAGES[page], re.MULTILINE):
        words = [w.strip("[](),;") for w in line.split("#")[0].split()]
        if words[:1] != ["mlsysim"] or any(w in ("-o", "COMMAND", "KIND") for w in words[1:2]):
            continue
        name = "mlsysim"
        for word in words[1:]:
            name = f"{name} {word}" if f"{name} {word}" in known else name
        if words[1:]:
            assert name != "mlsysim" or words[1].startswith("-"), line
        used = {w.partition("=")[0] for w in words if w.startswith("--")}
        assert used <= known[name] | {"--help"}, line


@each
def test_every_metric_is_there(page):
    names = {n for n in in_code(page) if re.fullmatch(r"(feasibility|performance|macro)\.\w+", n)}
    assert names <= {*METRICS, "performance.bottleneck"}


@each
def test_links_within_the_pages_lead_somewhere(page):
    """The site's build looks at anchors too; this needs no MkDocs."""
    if page == "README.md":
        return
    here = Path(page).relative_to("docs").parent
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", PAGES[page])):
        if "://" in target:
            assert target.startswith("https://"), target
            continue
        path = target.partition("#")[0]
        if path:
            whole = Path("docs", here, path).as_posix()
            clean = re.sub(r"[^/]+/\.\./", "", whole).removeprefix("docs/")
            assert clean in nav.GENERATED or (ROOT / "docs" / clean).is_file(), target


def test_every_page_has_its_place():
    listed = nav.pages()
    assert len(listed) == len(set(listed))
    assert set(listed) == set(nav.GENERATED) | {
        p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")
    }


@pytest.mark.parametrize("path", [p for p in nav.GENERATED if not p.startswith("formulations/")])
def test_a_page_is_made(path):
    text = nav.GENERATED[path]()
    assert re.search(r"^# \S", text, re.MULTILINE)
    for block in text.split("\n\n"):
        if block.startswith("| "):
            widths = {re.sub(r"`[^`]*`", "", line).count("|") for line in block.splitlines()}
            assert len(widths) == 1, block


def test_the_command_line_is_whole():
    text = cli_page.page()
    for name, command, _ in cli_page.commands():
        assert re.search(rf"^##+ {name}$", text, re.MULTILINE)
        for p in command.params:
            if not getattr(p, "hidden", False) and p.param_type_name == "option":
                assert all(f"{o}" in text for o in p.opts if o.startswith("--"))


def test_every_key_of_a_plan_is_told():
    text, schema = schema_pages.plan_page(), plan_schema()
    for block in (schema, *schema["$defs"].values()):
        for key in block.get("properties", {}):
            assert f"| `{key}` |" in text


def test_every_document_of_a_result_has_its_section():
    text = schema_pages.result_page()
    assert text.count("\n## ") == len(result_schema()["anyOf"])
    assert "A document with" not in text


def test_metrics_limits_and_sources_are_told():
    assert all(f"`{name}`" in metric_pages.metrics_page() for name in METRICS)
    assert all(f'<a id="{name}"></a>' in registry_pages.sources_page() for name in sources())
    assert f"walls.md#w{WALLS[-6].number:02d}" in metric_pages.limits_page()
    for code in range(5):
        assert f"\n| {code} |" in metric_pages.exit_page()


def test_public_names_are_documented():
    text = PAGES["docs/api.md"]
    told = set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
    assert all(found(name) for name in told)
    last = {name.rpartition(".")[2] for name in told}
    public = {*mlsysim.__all__, *mlsysim.optimize.__all__, *mlsysim.solve.__all__}
    modules = {name for name in mlsysim.__all__ if ismodule(getattr(mlsysim, name))}
    assert public - last - modules == {"Hardware", "Infra", "Models", "Systems"}
    assert {*mlsysim.optimize.__all__, *mlsysim.solve.__all__} <= last


def test_what_a_site_loads_from_elsewhere_is_found(tmp_path):
    page = '<link rel="canonical" href="https://a"><a href="https://b">b</a><img src="i.png">{}'
    (tmp_path / "index.html").write_text(page.format(""))
    (tmp_path / "a.css").write_text("@font-face { src: url('font.ttf') }")
    assert list(from_elsewhere(tmp_path)) == []
    (tmp_path / "index.html").write_text(
        page.format('<script src="//c/x.js"></script><link rel="preload" href="http://d">')
    )
    (tmp_path / "a.css").write_text("@import 'https://e'; x { background: url(https://f/g.png) }")
    found = [address for _, address in from_elsewhere(tmp_path)]
    assert found == ["//c/x.js", "http://d", "https://e", "https://f/g.png"]


def test_cells_are_of_one_line():
    assert one_line("a | b `c | d`\n e") == "a &#124; b `c | d` e"
    assert plain("a_b <c>") == "a\\_b \\<c>"
    assert anchor("Other supplies: `what_if`") == "other-supplies-what_if"
    assert table(("x",), [("1",)]) == "| x |\n| --- |\n| 1 |\n"
