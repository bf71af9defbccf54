"""What commands print, put below them when the site is built: it is never out of date."""

from __future__ import annotations

from docgen.snippets import Snippet, session, snippets


def with_output(page: str, text: str) -> str:
    """Return a page with the output of the snippets that ask for it."""
    found = snippets(page, text)
    if all(s.shown is None for s in found):
        return text
    parts, at = [], 0
    with session(page, text) as running:
        for s in found:
            printed = running.run(s)
            if s.shown is not None:
                parts += [text[at : s.span[1]], "\n\n", _block(s, printed)]
                at = s.span[1]
    return "".join([*parts, text[at:]])


def _block(s: Snippet, printed: str) -> str:
    lines = printed.rstrip().splitlines()
    if s.shown and len(lines) > s.shown:
        lines = [*lines[: s.shown], "..."]
    return "\n".join(["```text", *lines, "```"])
