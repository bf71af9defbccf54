"""The number types that the equations take."""

from __future__ import annotations

from typing import Any, TypeAlias

# A float, a NumPy array, a Pint quantity, or a table or expression of the formulations' algebra.
Array: TypeAlias = Any
