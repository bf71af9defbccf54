"""Every snippet of every page runs: a page is one session, in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from docgen.snippets import LANGUAGES, PLAIN, ROOT, Session, SnippetError, commands, session, snippets

PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
# Of all snippets together: a reason is told at each.
FEW = 12


@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p, TEXTS[p]) and p != "README.md"])
def test_a_page_runs(page):
    """The README has a test of its own."""
    with session(page, TEXTS[page]) as running:
        for s in snippets(page, TEXTS[page]):
            running.run(s)


def test_each_block_says_what_it_is():
    """A block of another language would go unnoticed, and so would a comment that is misspelt."""
    for page, text in TEXTS.items():
        found = snippets(page, text)
        assert text.count("\n```") == 2 * len(found), page
        assert {s.language for s in found} <= {*LANGUAGES, *PLAIN}, page
        assert text.count("\n<!-- not run") == sum(bool(s.why) for s in found), page
        assert text.count("\n<!-- output") == sum(s.shown is not None for s in found), page


def test_few_are_left_out_and_each_says_why():
    left = [s for page, text in TEXTS.items() for s in snippets(page, text) if s.why]
    assert 0 < len(left) <= FEW
    assert all(len(s.why) > 10 for s in left)


def test_a_command_is_read_with_its_exit_code():
    text = "mlsysim a b   # exit 3: why\nmlsysim c \\\n  --d 'x # y'\n# nothing\n\n"
    assert list(commands(text)) == [("mlsysim a b", 3), ("mlsysim c    --d 'x # y'", 0)]


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nmlsysim eval nothing.yaml\n```",
        "```sh\nmlsysim eval Llama3_8B H100 # exit 3\n```",
        "```sh\nfalse\n```",
        "```sh\nmlsysim eval Llama3_8B H100 -o json | grep nowhere\n```",
        "```python\nassert 1 == 2\n```",
        '```yaml\nversion: "1.0"\nworkload: {name: Llama3_8B, batch_size: 8, colour: red}\n'
        "hardware: {name: H100, accelerators: 8}\n```",
    ],
)
def test_a_wrong_snippet_is_noticed(block, tmp_path, monkeypatch):
    from mlsysim import MlsysimError

    monkeypatch.chdir(tmp_path)
    (s,) = snippets("page.md", block)
    with pytest.raises((SnippetError, AssertionError, MlsysimError)):
        Session("page.md").run(s)


def test_names_and_files_are_those_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "\n\n".join(
        (
            "```python\nx = 2\n```",
            "<!-- not run: it never ends -->\n```python\nwhile True: ...\n```",
            '```yaml title="a.yaml"\nb: 1\n```',
            "- in a list:",
            "    ```python\n    from pathlib import Path\n    print(x, Path('a.yaml').read_text())\n    ```",
            "<!-- output -->",
        )
    )
    running = Session("page.md")
    found = snippets("page.md", text)
    assert [running.run(s) for s in found] == ["", "", "", "2 b: 1\n\n"]
    assert [s.shown for s in found] == [None, None, None, 0]
    assert [s.line for s in found] == [1, 6, 10, 16]
    assert Path("a.yaml").is_file()
