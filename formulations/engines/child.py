"""A Python process that solves problems for this one.

The wheels of OR-Tools and of highspy each bring a HiGHS of their own under one file name, and a
process can load only one of them (google/or-tools#5246). So CP-SAT lives in a process of its own, and what
needs another HiGHS in another. Each is started when it is first needed and kept; it ends with its parent.

Messages are pickles, and both ends are this package. To the child: a request, and ``"stop"`` while it
works on it. From the child: ``("progress", objective, bound)`` any number of times, then
``("done", outcome)`` or ``("failed", error)``.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

PROGRAM = "from formulations.engines.child import main; main()"


class ChildDied(Exception):
    """The child ended without an answer.

    Attributes:
        code: its exit status; negative for the signal that ended it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the solver's process ended with status {code}")
        self.code = code


class Child:
    """The other process, seen from this one.

    Attributes:
        library: whose wheel it may load.
    """

    def __init__(self, library: str) -> None:
        self.library = library
        paths = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        self.parent = os.getpid()
        self._write = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # the terminal's Ctrl-C is for the parent, which then says "stop"
        )

    def ask(self, request: Any) -> Iterator[tuple[Any, ...]]:
        """Send a request and yield the messages that answer it.

        Raises:
            ChildDied: it ended without an answer.
        """
        self._send(request)
        while True:
            try:
                message = pickle.load(self._process.stdout)  # type: ignore[arg-type]
            except EOFError as error:
                raise ChildDied(self._process.wait()) from error
            yield message
            if message[0] != "progress":
                return

    def stop(self) -> None:
        """Tell the child to answer with what it has."""
        self._send("stop")

    def _send(self, message: Any) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            with self._write:
                pickle.dump(message, pipe)
                pipe.flush()
        except BrokenPipeError as error:
            raise ChildDied(self._process.wait()) from error

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was not yet written has no reader
                    pipe.close()


_kept: list[Child] = []


def borrow(library: str) -> Child:
    """Return a child for a library that nobody uses, started if there is none."""
    for i, child in enumerate(_kept):
        # after a fork both processes would write into one pipe
        if child.library == library and child.parent == os.getpid():
            return _kept.pop(i)
    return Child(library)


def give_back(child: Child) -> None:
    """Keep a child that has answered for the next request."""
    _kept.append(child)


@atexit.register
def end_all() -> None:
    """End the children that nobody uses."""
    while _kept:
        child = _kept.pop()
        if child.parent == os.getpid():
            child.end()


# -- in the child ---------------------------------------------------------------------------------


def main() -> None:
    """Answer requests until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where Ctrl-C reaches every process of a console
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not print into the answers
    requests: list[Any] = []
    arrived = threading.Semaphore(0)
    current: list[Any] = []

    def read() -> None:
        while True:
            try:
                message = pickle.load(sys.stdin.buffer)
            except EOFError:  # the parent is gone, and with it whoever wanted an answer
                os._exit(0)
            if message == "stop":
                for options in current:
                    options.interrupted.set()
            else:
                current[:] = [message.options()]
                requests.append(message)
                arrived.release()

    threading.Thread(target=read, daemon=True).start()
    while True:
        arrived.acquire()
        send(answers, requests.pop(), current[0])


def send(answers: Any, request: Any, options: Any) -> None:
    """Work on one request and write what comes of it."""
    writing = threading.Lock()

    def say(*message: Any) -> None:
        with writing:
            pickle.dump(message, answers)
            answers.flush()

    try:
        say("done", request.answer(options, lambda objective, bound: say("progress", objective, bound)))
    except Exception as error:  # raised again in the parent
        say("failed", error)
