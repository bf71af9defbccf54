"""``mlsysim eval --watch``: again after each change, whatever state the file is in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running import SMALL, call

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")


class Watched:
    """A running ``--watch``; what it prints is read as it comes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "mlsysim", "eval", "plan.yaml", "--watch", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # where the tests run in the background, a shell has had them ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.said = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while text := self.process.stdout.read(1):
            self.said += text

    def next(self) -> str:
        """Wait until it watches again, and return what it has said since the last time."""
        end = time.monotonic() + 60
        while "Ctrl-C ends\n" not in self.said:
            assert time.monotonic() < end, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        told, self.said = self.said, ""
        return told

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(30)
        finally:
            self.process.kill()
        self.reader.join(10)
        self.process.stdout.close()
        return code


def test_changes_are_seen_and_errors_are_waited_out(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(SMALL, encoding="utf-8")
    watched = Watched(tmp_path)
    try:
        first = watched.next()
        assert "Llama3_8B" in first
        assert "\x1b" not in first
        plan.write_text("workload: {name: [", encoding="utf-8")  # half written
        assert "plan.yaml:2: not valid YAML" in watched.next()
        plan.unlink()
        assert "plan.yaml: no such file" in watched.next()
        new = tmp_path / "new"
        new.write_text(SMALL.replace("Llama3_8B", "Llama2_7B"), encoding="utf-8")
        new.replace(plan)  # as editors do
        again = watched.next()
        assert "Llama2_7B" in again
        assert "Traceback" not in again
    finally:
        code = watched.end()
    assert code == 0
    assert "Traceback" not in watched.said


def test_files_that_a_plan_names_are_watched(tmp_path):
    from mlsysim.core.registry import root

    chip = (root() / "hardware" / "cloud" / "H100.yaml").read_text(encoding="utf-8")
    (tmp_path / "chip.yaml").write_text(chip, encoding="utf-8")
    (tmp_path / "plan.yaml").write_text(SMALL.replace("H100", "./chip.yaml"), encoding="utf-8")
    watched = Watched(tmp_path, "-o", "json")
    try:
        assert '"status": "pass"' in watched.next()
        (tmp_path / "chip.yaml").write_text("no: entry\n", encoding="utf-8")
        assert '"status": "error"' in watched.next()
    finally:
        assert watched.end() == 0


@pytest.mark.parametrize("what", [["nosuch.yaml"], ["Llama3_8B", "H100"], ["/dev/stdin"]])
def test_only_files_are_watched(what):
    result = call("eval", *what, "--watch")
    assert result.code == 1
    assert "only a plan file can be watched" in result.err
