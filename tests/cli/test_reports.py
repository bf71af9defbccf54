"""Reports, opened in a browser: no errors, no network, the plots are there, the plan can be copied."""

from __future__ import annotations

import builtins
import itertools
import re

import pytest
import yaml
from running import EXAMPLES, SMALL, bad_tables, call, call_json

NASTY = (
    "<script>window.hacked=1</script> </script> \"quotes\" & 'more' | `ticks` @everyone " + "long name " * 11
).strip()
FLEET = str(EXAMPLES / "fleet_small.yaml")
TINY = str(EXAMPLES / "too_small.yaml")
# arguments, exit code, plots on the page
COMMANDS = {
    "eval": (("eval", "NASTY"), 0, 5),
    "eval-assertion": (("eval", str(EXAMPLES / "example_cluster.yaml")), 3, 5),
    "eval-service": (("eval", str(EXAMPLES / "document_chat.yaml")), 3, 4),
    "eval-fleet": (("eval", FLEET), 0, 2),
    "serve": (("serve", "Llama3_8B", "H100", "--qps", "5"), 0, 4),
    "parallelism": (("optimize", "parallelism", "NASTY", "--top", "3"), 0, 5),
    "parallelism-conflict": (("optimize", "parallelism", TINY), 2, 5),
    "frontier": (("optimize", "parallelism", "NASTY", "--pareto", "time,memory"), 0, 1),
    "placement": (("optimize", "placement", "NASTY", "--carbon-tax", "0:300"), 0, 7),
    "placement-frontier": (("optimize", "placement", "NASTY", "--pareto", "cost,carbon,water"), 0, 7),
    "placement-fleet": (("optimize", "placement", FLEET, "--carbon-tax", "0:100"), 0, 3),
    "batching": (
        ("optimize", "batching", str(EXAMPLES / "chat_batching.yaml"), "--tp", "2", "--scheduler", "chunked"),
        0,
        4,
    ),
    "serving": (("optimize", "serving", str(EXAMPLES / "serving_mix.yaml")), 0, 1),
    "sensitivity": (("solve", "sensitivity", "NASTY", "--change", "5%"), 0, 6),
}


@pytest.fixture
def nasty(tmp_path):
    """A plan whose name is not meant well."""
    plan = yaml.safe_load(SMALL) | {"name": NASTY}
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return str(path)


def tame(markdown):
    """Markdown has whole tables, and nothing in it is a tag or calls somebody."""
    assert not bad_tables(markdown)
    head = markdown.splitlines()[0]
    assert "<script" not in head
    assert "@everyone" not in head
    assert markdown.count("<details>") == markdown.count("</details>")
    assert markdown.count("```") % 2 == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_report_opens_and_has_its_plots(name, nasty, tmp_path, tab):
    arguments, code, plots = COMMANDS[name]
    page = tmp_path / f"{name}.html"
    markdown = ("-o", "markdown", "--report", str(page))
    done = call(*(nasty if a == "NASTY" else a for a in arguments), *markdown)
    assert done.code == code, done.err
    tame(done.out)
    assert f"report: {page}" in done.err
    tab.open(page)
    assert tab.plots() == plots
    assert tab.page.evaluate("window.hacked") is None
    assert tab.page.locator("h1").count() == 1
    assert tab.page.locator("figure [role=img][aria-label]").count() == plots
    # headings and tables say what they are of
    levels = tab.page.eval_on_selector_all("h1, h2, h3", "all => all.map(h => +h.tagName[1])")
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert tab.page.locator("table:not(:has(caption))").count() == 0
    # nothing hangs out of the page, on a phone either
    for width in (1280, 400):
        tab.page.set_viewport_size({"width": width, "height": 800})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.page.set_viewport_size({"width": 1100, "height": 800})
    tab.shot(f"report-{name}")
    tab.check()


def test_a_report_reads_in_grey_and_on_paper(nasty, tmp_path, tab):
    page = tmp_path / "page.html"
    call("eval", nasty, "--report", str(page))
    tab.open(page).shot("report-eval-grey", grey=True)
    tab.page.emulate_media(media="print")
    assert tab.page.locator("nav").is_hidden()
    tab.shot("report-eval-print")


def test_the_plan_of_a_report_is_copied_and_holds(nasty, tmp_path, tab):
    page = tmp_path / "page.html"
    _, document = call_json("optimize", "parallelism", nasty, "--report", str(page))
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(page)
    assert NASTY.split()[0] in tab.page.title()
    tab.page.locator("#plan summary").click()
    tab.page.locator("#plan button").click()
    tab.wait("() => document.querySelector('#plan button').textContent === 'Copied'")
    copied = yaml.safe_load(tab.page.evaluate("navigator.clipboard.readText()"))
    assert copied == document["plan"]
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(copied), encoding="utf-8")
    _, evaluated = call_json("eval", str(again))
    assert evaluated["performance"]["metrics"]["latency"] == pytest.approx(
        document["performance"]["metrics"]["latency"], rel=1e-9
    )


def test_a_report_says_what_the_document_says(nasty, tmp_path):
    page = tmp_path / "page.html"
    _, document = call_json("optimize", "parallelism", nasty, "--report", str(page))
    from html import unescape

    text = unescape(
        re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8").split("<main>")[1].split("<script")[0])
    )
    for wall in document["walls"]:
        assert wall["name"] in text
    for reason in document["solution"]["because"]:
        assert reason["text"] in text
    assert document["solution"]["engine"]["version"] in text
    for assumption in document["assumptions"]:
        assert assumption["name"] in text
    assert "http" in text  # sources have their addresses
    assert "<script>window" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere/page.html", "no such folder"),
        (".", "a folder has this name"),
        ("a\0b", "no file"),
        ("x" * 5000, "no file"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_any_work(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("eval", "Llama3_8B", "H100", "--report", path)
    assert done.code == 1
    assert not done.out
    assert said in done.err
    assert "Traceback" not in done.err


def test_without_plotly_a_report_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("plotly"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    done = call("eval", "Llama3_8B", "H100", "--report", str(tmp_path / "page.html"))
    assert (done.code, done.out) == (1, "")
    assert "--report: Plotly is not installed" in done.err
    assert "pip install 'mlsysim[labs]'" in done.err
    assert call("eval", "Llama3_8B", "H100", "-o", "markdown").code == 0
