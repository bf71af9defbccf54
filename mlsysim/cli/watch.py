"""``mlsysim eval --watch``: once more whenever a file of the plan changes, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlsysim.cli.output import Output, emit_error, write
from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, MlsysimError

LOOK = 0.2  # s between looks at the files
SETTLE = 0.1  # s without a change, so that a file is not read while it is written
CLEAR = "\x1b[H\x1b[2J\x1b[3J"

State = tuple[tuple[str, int, int, int] | None, ...]


def watching(plan: str, form: Output, show: Callable[[], int]) -> int:
    """Show a plan now and after each change of its files; an error is shown as well, and waited out.

    Looking at two or three files a few times a second needs no help of the operating system, and works on
    every file system.

    Args:
        plan: the file.
        form: of the result.
        show: prints the evaluation once.

    Returns:
        0, when interrupted.
    """
    if not Path(plan).is_file():
        raise InputError("only a plan file can be watched", where="--watch", hint=f"{plan!r} is none")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    try:
        while True:
            seen = _settled(plan)
            if terminal:
                write(CLEAR)
            try:
                show()
            except MlsysimError as error:
                emit_error(error, form)
            write(f"{time.strftime('%H:%M:%S')} watching {plan}; Ctrl-C ends\n", "stderr")
            while _state(plan) == seen:
                time.sleep(LOOK)
    except KeyboardInterrupt:
        return 0


def _settled(plan: str) -> State:
    """Return the state of the files once they have stopped changing."""
    seen = _state(plan)
    while True:
        time.sleep(SETTLE)
        now = _state(plan)
        if now == seen:
            return now
        seen = now


def _state(plan: str) -> State:
    """Return what tells whether the files of a plan have changed; None for one that is away."""
    return tuple(_of(path) for path in (Path(plan), *_named(plan)))


def _of(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino


_read: dict[Any, list[Path]] = {}


def _named(plan: str) -> list[Path]:
    """Return the files that a plan names: hardware, models, profiles of the user's own."""
    key = _of(Path(plan))
    if key not in _read:
        _read.clear()
        try:
            data = yamlfile.load(yamlfile.read_text(Path(plan)), plan).data
        except InputError:  # half written: shown as an error, and read again when it is whole
            data = None
        folder = Path(plan).parent
        _read[key] = [folder / text for text in _texts(data) if _is_file(folder, text)]
    return _read[key]


def _is_file(folder: Path, text: str) -> bool:
    try:
        return ("/" in text or "." in text) and (folder / text).is_file()
    except (OSError, ValueError):
        return False


def _texts(data: Any) -> Iterator[str]:
    """Yield every text of a document."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _texts(value)
