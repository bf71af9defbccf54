"""A share as people write it."""

from __future__ import annotations

import math

from mlsysim.core.errors import InputError


def share(given: str | float, where: str) -> float:
    """Return ``"20%"``, ``"0.2"`` or ``0.2`` as a number.

    Raises:
        InputError: it is no share.
    """
    word = str(given).strip()
    try:
        found = float(word.removesuffix("%")) / (100.0 if word.endswith("%") else 1.0)
    except ValueError:
        found = math.nan
    if not 0.0 < found < 1.0:  # also refuses NaN
        raise InputError(f"{word!r} is not a share", where=where, hint="give 20% or 0.2")
    return found
