"""Docstrings on the site: cross-references are written as Sphinx has them, and shown as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:\w+:)?\w+:`~?([^`]+)`")


class Roles(griffe.Extension):
    """Shows ``:class:`Name``` as ``Name``."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the roles of a docstring."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
