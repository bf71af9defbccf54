"""Pipes, terminals and ``NO_COLOR``: what is printed is the same text everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import CLUSTER

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
COMMANDS = [
    ["eval", CLUSTER],
    ["--help"],
    ["optimize", "parallelism", "--help"],
    ["zoo", "walls"],
    ["eval", "nosuch.yaml"],
]


def in_terminal(arguments: list[str], **environment: str) -> tuple[int, str]:
    """Run a command whose three streams are a terminal of 80 columns."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlsysim", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment,
    )
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 65536):
            said += chunk
    except OSError:  # Linux: the other side is closed
        pass
    os.close(leader)
    return process.wait(60), said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: Path(a[0]).name + a[-1][-8:])
def test_a_terminal_shows_what_a_pipe_gets(arguments):
    piped = subprocess.run(
        [sys.executable, "-m", "mlsysim", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert "\x1b" not in piped.stdout
    code, shown = in_terminal(arguments, NO_COLOR="1")
    assert "\x1b" not in shown
    assert (code, shown) == (piped.returncode, piped.stdout)
