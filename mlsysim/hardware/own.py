"""Accelerators by reference: a name, or an entry of one's own."""

from __future__ import annotations

from pathlib import Path

from mlsysim.core import own
from mlsysim.hardware import CATALOG, Hardware


def resolve_hardware(reference: str, folder: str | Path = "") -> Hardware:
    """Return the accelerator that a plan names, by registry name or by the path of a YAML entry.

    Raises:
        InputError: no such file.
        RegistryError: a malformed entry.
        UnknownNameError: no such name.
    """
    return own.resolve(reference, CATALOG, Hardware, folder)
