"""Completion of names at the shell: the registry's, the plans' in the folder, walls, metrics.

Names of the registry are names of files: no entry is read, and neither NumPy nor Pydantic is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

Complete = Callable[[str], list[str]]
KINDS = ("hardware", "models", "infra", "systems", "walls", "check")


def plans(incomplete: str) -> list[str]:
    """Return the YAML files and the folders that begin so."""
    head, slash, tail = incomplete.rpartition("/")
    begin = head + slash
    found = []
    try:
        for path in sorted(Path(begin or ".").expanduser().iterdir()):
            if path.name.startswith(tail) and (tail or not path.name.startswith(".")):
                if path.is_dir():
                    found.append(f"{begin}{path.name}/")
                elif path.suffix in (".yaml", ".yml"):
                    found.append(f"{begin}{path.name}")
    except OSError:  # no such folder: nothing to offer
        return []
    return found


def plans_and_models(incomplete: str) -> list[str]:
    """Return what ``eval`` takes first: files, models, named scenarios."""
    return [*plans(incomplete), *models(incomplete), *_scenarios(incomplete)]


def models(incomplete: str) -> list[str]:
    """Return models."""
    return _matching(_names("models"), incomplete)


def hardware(incomplete: str) -> list[str]:
    """Return accelerators."""
    return _matching(_names("hardware"), incomplete)


def regions(incomplete: str) -> list[str]:
    """Return regions."""
    return _matching(_names("infra"), incomplete)


def entries(context: typer.Context, incomplete: str) -> list[str]:
    """Return the entries of the kind that stands before."""
    kind = context.params.get("kind")
    if kind == "walls":
        return walls(incomplete)
    return _matching(_names(kind), incomplete) if kind in KINDS[:4] else []


def walls(incomplete: str) -> list[str]:
    """Return walls by number and by name."""
    from mlsysim.walls import WALLS

    return _matching([*(str(w.number) for w in WALLS), *(w.name for w in WALLS)], incomplete)


def metrics(incomplete: str) -> list[str]:
    """Return metrics; of a list with commas, the last."""
    from mlsysim.core.metrics import METRICS

    head, comma, tail = incomplete.rpartition(",")
    return [head + comma + name for name in _matching(METRICS, tail)]


def supplies(incomplete: str) -> list[str]:
    """Return supplies."""
    from mlsysim.core.supplies import NAMES

    return _matching(NAMES, incomplete)


def words(*known: str) -> Complete:
    """Return the completion of one of a few words."""
    return lambda incomplete: _matching(known, incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin so."""
    return [name for name in names if name.startswith(incomplete)]


def _names(kind: str) -> list[str]:
    from mlsysim.core.registry import Catalog

    return sorted(Catalog(kind, kind, {}).names())


def _scenarios(incomplete: str) -> list[str]:
    from mlsysim.core.registry import Catalog

    return _matching(Catalog("systems", "systems", {}).names("scenarios"), incomplete)
