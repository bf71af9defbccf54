"""What each extra installs: the packages it needs, those that these need, and no others.

The lists are read from the metadata of what is installed here; ``.ci/install.py`` compares them with
real installations into fresh environments.
"""

from __future__ import annotations

import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXPECTED: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "packages.json").read_text(encoding="utf-8")
)


def declared(extra: str) -> list[Requirement]:
    """Return what the project asks for: without extras, and of an extra."""
    more = PROJECT["optional-dependencies"][extra] if extra else []
    return [Requirement(line) for line in [*PROJECT["dependencies"], *more]]


def closure(extra: str) -> set[str]:
    """Return the names of the packages that an extra installs on this machine.

    Raises:
        PackageNotFoundError: one of them is not installed here.
    """
    found: set[tuple[str, str]] = set()
    waiting = declared(extra)
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for part in ("", *wanted.extras):
            if (name, part) in found:
                continue
            found.add((name, part))
            if name == "mlsysim":
                waiting += declared(part)
                continue
            needs = map(Requirement, metadata.requires(name) or ())
            waiting += [n for n in needs if n.marker is None or n.marker.evaluate({"extra": part})]
    return {name for name, _ in found} - {"mlsysim"}


@pytest.mark.parametrize("extra", sorted(EXPECTED))
def test_an_extra_installs_what_it_needs_and_no_more(extra):
    try:
        found = closure(extra)
    except metadata.PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed here")
    assert found - set(EXPECTED[extra]) == set()
    assert {canonicalize_name(r.name) for r in declared(extra)} - {"mlsysim"} <= set(EXPECTED[extra])


def test_every_extra_for_users_is_listed():
    assert set(EXPECTED) == {"", *PROJECT["optional-dependencies"]} - {"test", "dev", "docs"}


def test_nothing_is_needed_twice_as_large_as_it_must_be():
    """The physics needs four packages; what solves, draws or serves comes with an extra."""
    assert {canonicalize_name(r.name) for r in declared("")} == {"pint", "pydantic", "numpy", "pyyaml"}
    assert not set(EXPECTED[""]) & {"typer", "rich", "highspy", "ortools", "plotly", "marimo", "mcp", "scipy"}
    assert not set(EXPECTED["solvers"]) & {"typer", "rich", "plotly", "marimo", "mcp"}
    assert not set(EXPECTED["cli"]) & {"plotly", "marimo", "mcp", "scipy", "pyarrow"}
