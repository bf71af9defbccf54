"""Whether a name that a page gives is in the code."""

from __future__ import annotations

import importlib
from typing import Any


def found(name: str) -> bool:
    """Return whether ``module:attribute.attribute``, or the same with dots only, is in the code."""
    module, _, rest = name.partition(":")
    parts = rest.split(".") if rest else []
    at: Any = None
    while at is None:
        try:
            at = importlib.import_module(module)
        except ModuleNotFoundError:
            if rest or "." not in module:
                return False
            module, _, last = module.rpartition(".")
            parts.insert(0, last)
    for part in parts:
        fields = {*getattr(at, "__dataclass_fields__", {}), *getattr(at, "model_fields", {})}
        if not hasattr(at, part) and part not in fields:
            return False
        at = getattr(at, part, None)
    return True
