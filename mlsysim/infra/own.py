"""Regions by reference: a name, or an entry of one's own."""

from __future__ import annotations

from pathlib import Path

from mlsysim.core import own
from mlsysim.infra import CATALOG, Region


def resolve_region(reference: str, folder: str | Path = "") -> Region:
    """Return the region that a plan names, by registry name or by the path of a YAML entry.

    Raises:
        InputError: no such file.
        RegistryError: a malformed entry.
        UnknownNameError: no such name.
    """
    return own.resolve(reference, CATALOG, Region, folder)
