"""A report as a page of its own: no network, readable on paper and without colour."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from mlsysim import __version__
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim

# Nothing is loaded from anywhere, whatever a name in the plan says.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
VERDICTS = {"pass": "good", "yes": "good", "binding": "near", "fail": "bad", "no": "bad"}
JUDGED = ("status", "ok")  # columns that hold verdicts
CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


def page(r: Report) -> str:
    """Return a report as HTML.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    from mlsysim.viz.theme import plotly

    plotly()
    writer = _Writer()
    body = [writer.section(s) for s in r.sections]
    title = escape(r.title)
    links = "".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in writer.anchors)
    lines = "".join(f"<p class=about>{escape(line)}</p>" for line in r.lines)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="mlsysim {__version__}">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}: {escape(r.verdict)}</title>\n'
        f"<style>\n{_file('page.css')}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
        f'<p class="verdict {"good" if r.good else "bad"}">{escape(r.verdict)}</p>\n{lines}</header>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n{"".join(body)}</main>\n'
        f"<footer>mlsysim {__version__}</footer>\n{writer.library()}{writer.scripts()}"
        f"<script>\n{_file('page.js')}</script>\n</body>\n</html>\n"
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


class _Writer:
    """Writes sections, and remembers their anchors and plots."""

    def __init__(self) -> None:
        self.anchors: list[tuple[str, str]] = []
        self.figures: list[tuple[str, Any]] = []
        self.copies = 0

    def section(self, s: Section) -> str:
        blocks = "".join(self.block(b) for b in s.blocks)
        if not blocks:
            return ""
        anchor = re.sub(r"[^a-z0-9]+", "-", s.title.lower()).strip("-")
        if not s.title:
            return f"<section>{blocks}</section>\n"
        self.anchors.append((anchor, s.title))
        if s.folded:
            head = f"<summary><h2>{escape(s.title)}</h2></summary>"
            return f'<section id="{anchor}"><details>{head}{blocks}</details></section>\n'
        return f'<section id="{anchor}"><h2>{escape(s.title)}</h2>{blocks}</section>\n'

    def block(self, b: Block) -> str:
        match b:
            case Text(text):
                return f"<p>{escape(text)}</p>\n"
            case Items(lines, links):
                ends = [*links, *[""] * (len(lines) - len(links))]
                items = "".join(_item(line, link) for line, link in zip(lines, ends, strict=True))
                return f"<ul>{items}</ul>\n"
            case Table():
                return _table(b) if b.rows else ""
            case Verbatim():
                return self.verbatim(b)
            case Plot(draw, told):
                name = f"plot-{len(self.figures) + 1}"
                self.figures.append((name, draw()))
                return f'<figure><div id="{name}" role="img" aria-label="{escape(told)}"></div></figure>\n'

    def verbatim(self, b: Verbatim) -> str:
        self.copies += 1
        name = f"copy-{self.copies}"
        button = f'<button type="button" data-copy="{name}">Copy</button>' if b.copied else ""
        return (
            f'<div class="verbatim"><p class="over">{escape(b.title)} {button}</p>'
            f'<pre id="{name}" tabindex="0">{escape(b.text)}</pre></div>\n'
        )

    def library(self) -> str:
        """Return the plotting library, once."""
        if not self.figures:
            return ""
        from plotly.offline import get_plotlyjs

        return f"<script>{get_plotlyjs()}</script>\n"

    def scripts(self) -> str:
        """Return the drawing of the plots; a name of the user's cannot end the script."""
        drawn = []
        for name, made in self.figures:
            data = made.to_json().replace("<", "\\u003c").replace("\u2028", " ").replace("\u2029", " ")
            drawn.append(f'draw("{name}", {data}, {json.dumps(CONFIG)});')
        if not drawn:
            return ""
        head = "function draw(id, f, config) { Plotly.newPlot(id, f.data, f.layout, config); }"
        return f"<script>{head}\n" + "\n".join(drawn) + "</script>\n"


def _item(line: str, link: str) -> str:
    more = f' <a href="{escape(link)}">{escape(link)}</a>' if link.startswith(("https://", "http://")) else ""
    return f"<li>{escape(line)}{more}</li>"


def _table(t: Table) -> str:
    def cell(text: str, column: int) -> str:
        verdict = VERDICTS.get(text, "") if t.header[column] in JUDGED else ""
        kind = " ".join(c for c in ("number" if column in t.right else "", verdict) if c)
        shown = escape(text)
        name = f' class="{kind}"' if kind else ""
        return f'<th scope="row"{name}>{shown}</th>' if column == 0 else f"<td{name}>{shown}</td>"

    head = "".join(
        f'<th scope="col"{" class=number" if n in t.right else ""}>{escape(h)}</th>'
        for n, h in enumerate(t.header)
    )
    rows = "".join(f"<tr>{''.join(cell(c, n) for n, c in enumerate(row))}</tr>\n" for row in t.rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(t.caption)}"><table>'
        f"<caption>{escape(t.caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{rows}</tbody></table></div>\n"
    )
