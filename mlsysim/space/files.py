"""Campaign files: a design space in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, nearest
from mlsysim.core.yamlfile import Document
from mlsysim.space.design import DesignSpace

Json = dict[str, Any]
KEYS = (
    "version",
    "plan",
    "dimensions",
    "parameters",
    "minimize",
    "maximize",
    "constraints",
    "sampling",
    "each",
    "metrics",
)
_SAMPLING = ("method", "points", "seed")
MOST_NODES = 2_000_000


def load(path: str | Path) -> DesignSpace:
    """Return the design space of a campaign file; the plan is a path beside it, or written out in it.

    Raises:
        InputError: with the place in the file, the problem and the remedy.
    """
    path = Path(path)
    document = yamlfile.load(yamlfile.read_text(path), str(path), MOST_NODES)
    data = _checked(document)
    plan = data["plan"]
    if isinstance(plan, str):
        plan = str(path.parent / Path(plan).expanduser())
    how = data.get("sampling") or {}
    try:
        return DesignSpace(
            plan,
            data["dimensions"],
            parameters=data.get("parameters"),
            minimize=data.get("minimize") or (),
            maximize=data.get("maximize") or (),
            constraints=data.get("constraints") or (),
            sample=how.get("method", "grid"),
            points=how.get("points"),
            seed=how.get("seed", 0),
            each=data.get("each") or (),
            metrics=data.get("metrics") or (),
        )
    except InputError as error:
        _place(error, document, inline=not isinstance(data["plan"], str))
        raise


def _checked(document: Document) -> Json:
    """Return the file's keys, none unknown and none missing."""
    data = document.data
    if not isinstance(data, dict):
        raise InputError(
            "a campaign is a mapping of keys to values",
            where=document.where(()) or document.name,
            hint="it has version, plan and dimensions",
        )
    for key in data:
        if key not in KEYS:
            close = nearest(str(key), KEYS)
            hint = f"Nearest: {', '.join(close)}." if close else f"Known here: {', '.join(KEYS)}."
            raise InputError(f"unknown key {key!r}", where=document.where((key,)), hint=hint)
    for key in ("version", "plan", "dimensions"):
        if key not in data:
            raise InputError(f"{key!r} is missing", where=document.where(()) or document.name)
    if data["version"] != "1.0":
        raise InputError(
            f"{data['version']!r} is no version of the campaign format",
            where=document.where(("version",)),
            hint='write version: "1.0"',
        )
    if not isinstance(data["plan"], str | dict):
        raise InputError("a plan is a path or a mapping", where=document.where(("plan",)))
    how = data.get("sampling") or {}
    if not isinstance(how, dict) or set(how) - set(_SAMPLING):
        raise InputError(
            "sampling has method, points and seed",
            where=document.where(("sampling",)),
            hint="sampling: {method: sobol, points: 1024}",
        )
    return data


def _place(error: InputError, document: Document, *, inline: bool) -> None:
    """Give an error that names a key of the file its line."""
    head = error.where.split("[")[0]
    keys = _keys(head, document.data, inline)
    if keys is not None and ":" not in error.where:
        place = document.where(keys)
        rest = error.where[len(head) :]
        error.where = place + rest


def _keys(where: str, data: Json, inline: bool) -> tuple[str | int, ...] | None:
    """Return the keys that a place in words means; None where it is none of this file's."""
    head, _, rest = where.partition(".")
    if head not in KEYS:
        return ("plan", *where.split(".")) if inline and where else None
    owner = data.get(head)
    if isinstance(owner, dict) and rest:
        given = next((k for k in owner if rest == k or rest.startswith(f"{k}.")), None)
        short = next((k for k in owner if rest.endswith(f".{k}")), None)
        if (found := given or short) is not None:
            return (head, found)
    return (head, *([rest] if rest else []))
