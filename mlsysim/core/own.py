"""Entries of the user's own: YAML files of the registry's schema, outside the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from mlsysim.core import sealed, yamlfile
from mlsysim.core.errors import InputError, RegistryError
from mlsysim.core.records import Entry, read
from mlsysim.core.registry import Catalog

E = TypeVar("E", bound=Entry)
GROUP = "own"
YAML = (".yaml", ".yml")
SUFFIXES = (*YAML, ".json")


def is_path(reference: str) -> bool:
    """Whether a reference means a file: it has a slash, or ends as a YAML or JSON file does."""
    return "/" in reference or os.sep in reference or reference.lower().endswith(SUFFIXES)


def locate(reference: str, folder: str | Path = "", hint: str = "") -> Path:
    """Return the file or folder that a reference names.

    Args:
        reference: a path; ``~`` is the home folder.
        folder: where a relative path starts; the working folder if empty.
        hint: what to do if it is not there.

    Raises:
        InputError: no such file, or something that is neither a file nor a folder.
        SealedError: this process reads no files of plans.
    """
    sealed.check(reference, hint)
    try:
        path = Path(folder) / Path(reference).expanduser()
        if path.is_file() or path.is_dir():
            return path
        problem = "neither a file nor a folder" if path.exists() else "no such file"
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null byte, no home folder
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"no such file: {reason}", where=reference[:200], hint=hint) from error
    raise InputError(problem, where=str(path), hint=hint)


def own_entry(path: Path, cls: type[E]) -> E:
    """Read an entry of the user's own; its name is that of the file, its group ``own``.

    Raises:
        RegistryError: naming file, line and field.
    """
    name = str(path)
    try:
        document = yamlfile.load(yamlfile.read_text(path), name)
    except InputError as error:
        raise RegistryError(error.problem, where=error.where, hint=error.hint) from error
    if isinstance(document.data, dict) and {"workload", "hardware"} <= set(document.data):
        raise InputError(
            "this is a plan, not an entry",
            where=name,
            hint="a plan names its hardware itself: mlsysim eval PLAN",
        )
    try:
        return read(cls, document.data, name, name=path.stem, group=GROUP, reference=str(path.resolve()))
    except RegistryError as error:
        field = error.where.removeprefix(name).lstrip(":. ")
        error.where = document.where(tuple(field.split(".")) if field else ())
        raise


def resolve(reference: str, catalog: Catalog[E], cls: type[E], folder: str | Path = "") -> E:
    """Return the entry that a reference means: a YAML file, or a name in the registry.

    Args:
        reference: a path (see :func:`is_path`) or a name.
        catalog: the registry's entries of this kind.
        cls: the type of an entry.
        folder: where a relative path starts; the working folder if empty.

    Raises:
        InputError: no such file.
        RegistryError: a malformed entry.
        UnknownNameError: no such name.
    """
    if not is_path(reference):
        return catalog.get(reference)
    path = locate(reference, folder, hint=f"for a name of the registry see: {catalog.see}")
    if path.is_dir() or path.suffix.lower() not in YAML:
        raise InputError("an entry is a YAML file", where=str(path), hint="name a .yaml or .yml file")
    return own_entry(path, cls)
