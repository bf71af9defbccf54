"""Whether a built site is read without a network: ``python -m docgen.offline SITE``.

Links may lead anywhere; what a page loads by itself (scripts, styles, fonts, images, frames) is its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# What a browser loads without being asked.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
# Relations of a link element that load nothing.
NAMED = {"canonical", "next", "prev", "alternate", "license"}
_ABROAD = re.compile(r"(?:https?:)?//")
_IN_STYLE = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


class _Loads(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") in NAMED:
            return
        address = given.get(LOADED.get(tag, ""), "")
        if _ABROAD.match(address):
            self.found.append(address)


def from_elsewhere(site: Path) -> Iterator[tuple[str, str]]:
    """Yield each page or style sheet and the address that it loads from elsewhere."""
    for path in sorted(site.rglob("*.html")):
        reader = _Loads()
        reader.feed(path.read_text(encoding="utf-8"))
        yield from ((path.relative_to(site).as_posix(), address) for address in reader.found)
    for path in sorted(site.rglob("*.css")):
        for match in _IN_STYLE.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(site).as_posix(), match[1] or match[2]


def main() -> int:
    """Print what is loaded from elsewhere; 1 if anything is, or if there is no site."""
    site = Path(sys.argv[1])
    found = [f"{page}: {address}" for page, address in from_elsewhere(site)]
    sys.stderr.write("".join(f"{line}\n" for line in found))
    return 1 if found or not (site / "index.html").is_file() else 0


if __name__ == "__main__":
    sys.exit(main())
