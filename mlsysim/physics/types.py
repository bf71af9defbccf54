"""The number types that the equations take."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# A float, a NumPy array, a Pint quantity, or a table or expression of the formulations' algebra.
Array: TypeAlias = Any


def number(x: Array) -> Array:
    """Return one number as a float; an array over points stays one."""
    return x if np.ndim(x) else float(x)
