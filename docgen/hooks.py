"""What MkDocs calls while it builds the site."""

from __future__ import annotations

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docgen.mathml import MATH_FONT, math_font, rendered
from docgen.nav import GENERATED, nav
from docgen.shown import with_output


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation."""
    config.nav = nav()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for path, make in GENERATED.items():
        files.append(File.generated(config, path, content=make()))
    files.append(File.generated(config, MATH_FONT, content=math_font()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Show what commands print, where a page asks for it."""
    return with_output(f"docs/{page.file.src_uri}", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show mathematics."""
    return rendered(html)
