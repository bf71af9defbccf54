"""Solved problems on disk, by what they were: plan, registry, code and engines.

What is kept is the decision, its objective and its proof. A hit is evaluated anew and must come to the
same objective, so a damaged or stale entry is a miss, never an answer. Entries are written under
another name and moved into place: any number of processes may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from mlsysim.core import own, registry
from mlsysim.core.errors import InputError

Json = dict[str, Any]
VARIABLE = "MLSYSIM_CACHE"
ENGINES = ("highspy", "ortools", "numpy")


def default_folder() -> Path:
    """Return where solved problems are kept: ``$MLSYSIM_CACHE``, or the user's cache folder."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mlsysim" / "solved"


@cache
def fingerprint() -> str:
    """Return a digest of all that an answer depends on besides its problem.

    The registry's files, our own source, and the versions of the engines.
    """
    from importlib import metadata

    found = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    formulations = package.parent / "formulations"
    for folder, pattern in ((registry.root(), "*.yaml"), (package, "*.py"), (formulations, "*.py")):
        for path in sorted(folder.rglob(pattern)):
            found.update(path.relative_to(folder).as_posix().encode() + b"\0")
            found.update(hashlib.sha256(path.read_bytes()).digest())
    for name in ENGINES:
        try:
            found.update(f"{name} {metadata.version(name)}".encode())
        except metadata.PackageNotFoundError:
            continue
    return found.hexdigest()


def key_of(problem: Json) -> str | None:
    """Return what a problem is kept under; None where it rests on what may change elsewhere.

    Args:
        problem: plain data; files of one's own that its plan names are read, so that a change counts.
    """
    files: Json = {}
    pending: list[Any] = [problem]
    while pending:
        here = pending.pop()
        if isinstance(here, dict):
            pending += here.values()
        elif isinstance(here, list | tuple):
            pending += here
        elif isinstance(here, str) and here.startswith("hf://"):
            return None
        elif isinstance(here, str) and own.is_path(here) and Path(here).is_file():
            files[here] = hashlib.sha256(Path(here).read_bytes()).hexdigest()
    text = json.dumps([problem, files, fingerprint()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder of solved problems.

    Args:
        folder: made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    def get(self, key: str) -> Json | None:
        """Return what is kept under a key; None where nothing is, or it is damaged."""
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
            kept: Json = entry["solution"]
            return kept if entry["digest"] == _digest(kept) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, solution: Json) -> None:
        """Keep a solution.

        Raises:
            InputError: the folder cannot be written.
        """
        path = self._path(key)
        new = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"digest": _digest(solution), "solution": solution}), encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise InputError(
                f"cannot be written: {error.strerror}",
                where=str(self.folder),
                hint=f"set {VARIABLE} to another folder, or do without (--no-cache)",
            ) from error


def _digest(solution: Json) -> str:
    return hashlib.sha256(json.dumps(solution, sort_keys=True).encode()).hexdigest()
