"""Mathematics as MathML, at build time: browsers show it without scripts or a network."""

from __future__ import annotations

import html
import re
from importlib import resources

_TEX = re.compile(
    r'<span class="arithmatex">\\\((?P<inline>.+?)\\\)</span>'
    r'|<div class="arithmatex">\s*\\\[(?P<block>.+?)\\\]\s*</div>',
    re.DOTALL,
)

# With the tables that mathematics needs; a reader's system may have none such.
MATH_FONT = "assets/STIXTwoMath-Regular.ttf"


def math_font() -> bytes:
    """Return STIX Two Math (SIL Open Font License 1.1), which ziamath brings."""
    return (resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf").read_bytes()


def rendered(page: str) -> str:
    """Return a page's HTML with MathML in place of the LaTeX that arithmatex marked."""
    return _TEX.sub(_one, page)


def _one(match: re.Match[str]) -> str:
    inline, block = match["inline"], match["block"]
    if inline is not None:
        return mathml(html.unescape(inline))
    return f'<div class="formula">{mathml(html.unescape(block), display="block")}</div>'


def mathml(tex: str, display: str = "inline") -> str:
    """Return LaTeX as MathML; ``display`` is ``inline`` or ``block``.

    Raises:
        ValueError: the LaTeX has a command that is not known.
    """
    from latex2mathml.converter import convert

    found: str = convert(tex.strip(), display=display)
    unknown = re.search(r"<m[io]>(\\\w+)</m[io]>", found)
    if unknown:
        raise ValueError(f"LaTeX that is not known: {unknown[1]} in {tex}")
    return found
