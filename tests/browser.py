"""A headless Chromium for the tests: what a page says wrong is kept, and so is its picture.

``tab`` is a page of its own in a browser that all tests of a process share. Nothing but this machine can
be reached from it. It fails the test that leaves an error on the console or a request unanswered.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
HERE = ("127.0.0.1", "localhost", "[::1]", "::1")
# How long a page may take for anything [ms]; a machine that runs other tests beside is slow.
PATIENCE = 60_000


def artifacts() -> Path:
    """Return the folder of what tests leave to be looked at: ``MLSYSIM_ARTIFACTS`` or tests/artifacts."""
    folder = Path(os.environ.get("MLSYSIM_ARTIFACTS") or Path(__file__).parent / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def executable() -> str | None:
    """Return the path of a Chromium that is installed here."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """A page that is watched.

    Attributes:
        page: the page of Playwright.
        errors: what it wrote to the console as an error, and exceptions that nothing caught.
        failed: requests that failed or were refused, by address.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.failed: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.failed.append(_short(request.url)))
        page.on("response", lambda answer: answer.status >= 400 and self.failed.append(_short(answer.url)))

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, what: str | Path) -> Tab:
        """Open a file or an address and wait until it is loaded."""
        self.page.goto(what.resolve().as_uri() if isinstance(what, Path) else what)
        return self

    def wait(self, condition: str, argument: object = None) -> Any:
        """Wait until a JavaScript expression or function is true, and return its value."""
        return self.page.wait_for_function(condition, arg=argument).json_value()

    def plots(self) -> int:
        """Return how many Plotly figures have been drawn."""
        return int(
            self.page.evaluate(
                "document.querySelectorAll('.js-plotly-plot .main-svg').length && "
                "document.querySelectorAll('.js-plotly-plot').length"
            )
        )

    def shot(self, name: str, *, grey: bool = False, of: str | None = None, full: bool = True) -> Path:
        """Keep a picture among the artifacts.

        Args:
            name: of the file, without its ending.
            grey: as a printer without colour shows it.
            of: a CSS selector, for a part of the page.
            full: the whole page, or what the window shows.
        """
        path = artifacts() / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.png"
        value = "grayscale(1)" if grey else ""
        self.page.evaluate("value => { document.documentElement.style.filter = value }", value)
        if of is None:
            self.page.screenshot(path=path, full_page=full)
        else:
            self.page.locator(of).first.screenshot(path=path)
        self.page.evaluate("() => { document.documentElement.style.filter = '' }")
        return path

    def check(self) -> None:
        """Fail on errors of the console and on requests that failed."""
        assert not self.errors, "\n".join(self.errors)
        assert not self.failed, "\n".join(self.failed)


def _short(address: str) -> str:
    return address if len(address) < 200 else address[:200] + "..."


def _local_only(route: Any) -> None:
    """Let a request go to this machine and refuse every other."""
    to = urlsplit(route.request.url)
    if to.scheme in ("file", "data", "blob", "about") or to.hostname in HERE:
        route.continue_()
    else:
        route.abort("internetdisconnected")


@contextmanager
def started() -> Iterator[Any]:
    """Start a Chromium; skip the test where none is installed."""
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[test]'"
    )
    path = executable()
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Give the browser of this process, started when the first test asks."""
    with started() as browser:
        yield browser


@pytest.fixture
def new_tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Give a function that opens watched pages: ``new_tab(width=1280, height=800)``."""
    contexts = []
    tabs = []

    def make(width: int = 1280, height: int = 800, **settings: Any) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        context.route("**/*", _local_only)
        tabs.append(Tab(context.new_page()))
        return tabs[-1]

    yield make
    for context in contexts:
        context.close()
    for one in tabs:
        one.check()


@pytest.fixture
def tab(new_tab: Callable[..., Tab]) -> Tab:
    """Give one watched page of 1280 x 800."""
    return new_tab()
