"""Every lab in a browser: questions keep answers back, plots are there, a slider changes the result.

One server for all labs, started as people start it; the browser reaches nothing but this machine, and an
error on its console fails the test.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass

import pytest

from mlsysim.labs import LABS, find

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends the server by its group of processes")
COMMIT = "This is my prediction"
# What each question keeps back: words that are on the page only after its answer.
KEPT_BACK = {
    "roofline": ["It reaches", "The weights are read once", "Each answer brings a KV cache"],
    "memory": ["a gradient for each weight", "one more forward pass", "which is the fastest"],
    "parallelism": ["Your turn", "The proof."],
    "serving": ["Nobody waits for a place", "people queue", "The solver went through"],
    "carbon": ["Divide one by the other", "The grids there resemble", "Against starting at once"],
    "design": ["Each line is planned anew", "The solver's design costs"],
}
# A number on the page that the first slider changes; Marimo leaves the old one until the new is there.
RESULT = {
    "roofline": r"A batch of \d+ with [^]*? A pass takes ([\d.]+ \w+)",
    "memory": r"It (?:fits|does not fit): ([\d.]+)",
    "parallelism": r"It (?:runs|cannot run)[^]*? A step takes ([\d.]+)",
    "serving": r"It takes ([\d.]+) requests a second",
    "carbon": r"With the tax that is \$ ([\d,]+)",
    "design": r"Your accelerator costs ([\d.]+)",
}
PLOTS = {"roofline": 2, "memory": 2, "parallelism": 4, "serving": 2, "carbon": 3, "design": 2}


@dataclass(frozen=True)
class Server:
    """All labs, on this machine."""

    port: int

    def address(self, name: str) -> str:
        """Return where a lab is."""
        return f"http://127.0.0.1:{self.port}/?file={name}.py"


def end(process) -> None:
    """End the server as Ctrl-C does."""
    for how in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "mlsysim", "lab", "all", "--headless", "--port", str(port)]
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, start_new_session=True)
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    time.sleep(0.1)
            yield Server(port)
        finally:
            end(process)
    assert sorted(p.name for p in folder.iterdir()) == ["log"]


def questions(tab) -> int:
    """How many questions are on the page."""
    return tab.page.get_by_role("button", name=COMMIT).count()


def answer(tab, n: int) -> None:
    """Commit to the first option of a question."""
    form = tab.page.locator("marimo-form").nth(n)
    form.get_by_role("radio").first.click()
    form.get_by_role("button", name=COMMIT).click()


def picture(tab, name: str) -> None:
    """Keep a picture of the whole page; Marimo scrolls within the window, so it is made as high."""
    height = tab.page.evaluate(
        """() => {
          const at = [...document.querySelectorAll('.marimo-cell')].map(e => e.getBoundingClientRect());
          return Math.max(...at.map(r => r.bottom)) - Math.min(...at.map(r => r.top));
        }"""
    )
    tab.page.set_viewport_size({"width": 1000, "height": min(12_000, int(height) + 120)})
    tab.page.wait_for_timeout(300)  # plots are laid out anew
    tab.shot(name, full=False)


@pytest.mark.parametrize("name", [lab.name for lab in LABS])
def test_a_lab_in_a_browser(name, server, new_tab):
    tab = new_tab(width=1000, height=1400)
    tab.open(server.address(name))
    page = tab.page
    page.get_by_role("button", name=COMMIT).first.wait_for()
    page.get_by_role("heading", name=find(name).title).wait_for()

    # the question is there, and nothing of what comes after it
    assert questions(tab) == 1
    assert page.locator(".js-plotly-plot").count() == 0
    assert page.get_by_role("heading", name="Exercise").count() == 0
    picture(tab, f"lab-{name}-asks")
    for n, words in enumerate(KEPT_BACK[name]):
        assert page.get_by_text(words).count() == 0
        answer(tab, n)
        page.get_by_text(words).first.wait_for()
    page.get_by_role("heading", name="Exercise").wait_for()
    assert questions(tab) == len(KEPT_BACK[name])
    assert page.get_by_text(re.compile("Your prediction")).count() >= len(KEPT_BACK[name])

    plots = page.locator(".js-plotly-plot .main-svg")
    plots.nth(2 * PLOTS[name] - 1).wait_for(state="attached")
    picture(tab, f"lab-{name}-answers")

    # a slider that is moved changes the result
    shown = "pattern => (document.body.innerText.match(new RegExp(pattern)) ?? [])[1]"
    before = page.evaluate(shown, RESULT[name])
    assert before
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    changed = f"([pattern, before]) => {{ const now = ({shown})(pattern); return now && now !== before; }}"
    tab.wait(changed, [RESULT[name], before])
    picture(tab, f"lab-{name}-moved")
