"""Finding and reading the files of a registry folder that somebody else made.

Nothing here trusts a file: its size, its kind, where a link leads, its encoding, and what its YAML
would expand to are all looked at before it is parsed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlsysim.core import yamlfile
from mlsysim.core.check.guard import MAX_DEPTH, refusal
from mlsysim.core.check.report import Notes, listed
from mlsysim.core.errors import InputError

# The groups of each kind, as registry/README.md has them; "" admits any (one folder a provider).
GROUPS: dict[str, tuple[str, ...]] = {
    "hardware": ("cloud", "workstation", "edge", "mobile", "tiny"),
    "models": ("language", "vision", "diffusion", "speech", "recommendation", "statespace", "tiny"),
    "infra": (),
    "systems": ("nodes", "fabrics", "storage", "reliability", "scenarios"),
}
ROOT_FILES = (
    "aliases.yaml",
    "cities.yaml",
    "defaults.yaml",
    "economics.yaml",
    "egress.yaml",
    "profiles.yaml",
    "sources.yaml",
)
LOOSE = "measurements"  # files of any shape; only their sources are looked at
MAX_FILES = 20_000
_PLACE = re.compile(r":(\d+)(?:: (.*))?")  # what follows the file in an error's place: line, field


@dataclass(frozen=True)
class File:
    """A file to read: its place on disk and its path below the folder."""

    path: Path
    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and the file name of :attr:`name`."""
        return tuple(self.name.split("/"))


def walk(folder: Path, notes: Notes) -> list[File]:
    """Return the files of a registry folder that belong there, in order; log what does not."""
    found: list[File] = []
    real = os.path.realpath(folder)
    for file in _tree(folder, "", real, notes):
        if len(found) >= MAX_FILES:
            notes.error(".", "", f"more than {MAX_FILES} files; is this a registry?")
            break
        if _belongs(file, notes):
            found.append(file)
    return found


def _tree(folder: Path, prefix: str, real: str, notes: Notes) -> Iterator[File]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        notes.error(prefix.rstrip("/") or ".", "", f"cannot be listed: {error.strerror}")
        return
    for name in names:
        if name.startswith(".") and not name.endswith(".yaml"):
            continue  # what editors, systems and git leave behind
        path, shown = folder / name, prefix + name
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            notes.error(shown, "", f"cannot be looked at: {error.strerror}")
            continue
        if stat.S_ISLNK(mode):
            if not _stays(path, real):
                notes.error(shown, "", "this link leads out of the folder (or nowhere): not followed")
                continue
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                notes.error(shown, "", "a linked folder is not followed: copy it")
                continue
        if stat.S_ISDIR(mode):
            if _descends(shown, notes):
                yield from _tree(path, shown + "/", real, notes)
        elif stat.S_ISREG(mode):
            yield File(path, shown)
        else:
            notes.error(shown, "", "neither a file nor a folder (a pipe, socket or device): not read")


def _stays(path: Path, real: str) -> bool:
    """Return whether a link ends at something inside the folder."""
    target = os.path.realpath(path)
    return target.startswith(real + os.sep) and Path(target).exists()


def _descends(name: str, notes: Notes) -> bool:
    """Return whether a folder belongs to the layout; log it if not."""
    parts = name.split("/")
    if parts[0] == LOOSE:
        return len(parts) < MAX_DEPTH
    if parts[0] not in GROUPS:
        notes.warn(name, "", f"unexpected folder, not read; a registry has {listed(GROUPS)}")
        return False
    if len(parts) > 2:
        notes.error(name, "", "entries lie at KIND/GROUP/NAME.yaml; a deeper folder is not read")
        return False
    groups = GROUPS[parts[0]]
    if len(parts) == 2 and groups and parts[1] not in groups:
        notes.warn(name, "", f"unexpected group of {parts[0]}; the engine knows {listed(groups)}")
    return True


def _belongs(file: File, notes: Notes) -> bool:
    """Return whether a file is one that a registry reads; log it if not."""
    parts = file.parts
    stem, dot, suffix = parts[-1].rpartition(".")
    suffix = dot + suffix
    if len(parts) == 1 and parts[0] in ROOT_FILES:
        return True
    if parts[0] == LOOSE:
        return suffix == ".yaml"
    if suffix.lower() in (".md", ".txt") and len(parts) < 3:
        return False
    if suffix != ".yaml":
        say = notes.error if suffix.lower() in (".yml", ".yaml", ".json") else notes.warn
        say(file.name, "", "not read: entries end in .yaml")
        return False
    if len(parts) != 3:
        where = f"one of {listed(ROOT_FILES)}" if len(parts) == 1 else "at KIND/GROUP/NAME.yaml"
        notes.error(file.name, "", f"not read: a file of a registry is {where}")
        return False
    if not (stem.isidentifier() and stem.isascii()):
        notes.error(
            file.name,
            "",
            f"the file's name is the entry's name, and {stem!r} is no identifier "
            "(letters, digits and _, beginning with a letter)",
        )
        return False
    return True


def load(file: File, notes: Notes) -> Any:
    """Return the parsed content of a file, or None after logging why it cannot be read."""
    try:
        text = yamlfile.read_text(file.path)
        refused = refusal(text)
        if refused is not None:
            notes.error(file.name, *refused)
            return None
        return yamlfile.load(text, file.name).data
    except InputError as error:
        place = _PLACE.fullmatch(error.where.removeprefix(file.name))
        line, field = (place[1], place[2] or "") if place else ("", "")
        notes.error(file.name, field, (f"line {line}: " if line else "") + error.problem)
        return None
