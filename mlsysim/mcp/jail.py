"""What a process that answers for others may touch: its own code and data, and nothing else.

:mod:`mlsysim.core.sealed` refuses the files that a plan names, with a message. This is the second lock:
the interpreter asks here before it opens a file, lists a folder, starts a program or connects, so that a
place which the first forgets refuses as well.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import zoneinfo
from contextlib import suppress
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
READS = ("os.listdir", "os.scandir")
NEVER = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.bind",
)


def close(memory: int) -> None:
    """Lock this process, for good.

    Args:
        memory: that it may take [B].
    """
    from mlsysim.core import sealed

    sealed.seal()
    _bound(memory)
    roots = _roots()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = given
            if isinstance(path, int) or _own(path, roots, writing=_writes(mode, flags)):
                return
        elif event in READS:
            if isinstance(given[0], int) or _own(given[0] or ".", roots, writing=False):
                return
        elif event == "subprocess.Popen":
            if given[0] == sys.executable:  # the solver's own process: formulations.engines.child
                return
        elif event not in NEVER:
            return
        raise PermissionError(1, "a plan given as text can name no file and no download")

    sys.addaudithook(hook)


def _roots() -> tuple[str, ...]:
    """Return the folders that may be read: Python, packages, the registry, time zones."""
    import formulations
    import mlsysim
    from mlsysim.core.registry import root

    paths = sysconfig.get_paths()
    found = [Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [Path(module.__path__[0]) for module in (mlsysim, formulations)]
    found += [Path(root()), *map(Path, zoneinfo.TZPATH)]
    found += [Path(entry) for entry in sys.path if entry.endswith((".zip", "-packages"))]
    return tuple({os.path.realpath(path) for path in found} | {os.path.realpath(os.devnull)})


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return isinstance(flags, int) and bool(flags & WRITING)


def _own(path: Any, roots: tuple[str, ...], *, writing: bool) -> bool:
    """Whether a path is one of the process's own."""
    real = os.path.realpath(os.fsdecode(path))
    if writing:
        return real == os.devnull
    return any(real == root or real.startswith(root + os.sep) for root in roots)


def _bound(memory: int) -> None:
    """Let the process and those that it starts take no more memory, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        if soft == resource.RLIM_INFINITY or soft > most:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
