"""Who may import whom, read from the source; and what importing the package loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOLVERS = {"highspy", "ortools", "pyomo", "gurobipy", "scipy"}
OURS = {"mlsysim", "formulations"}


@dataclass(frozen=True)
class Import:
    """One imported module. ``lazy`` inside a function, ``typing`` only for the type checker."""

    file: str
    line: int
    module: str
    lazy: bool
    typing: bool

    @property
    def top(self) -> str:
        """The distribution it comes from."""
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def imports() -> tuple[Import, ...]:
    """All imports of the package and of the formulations."""
    return tuple(
        i
        for package in sorted(OURS)
        for path in sorted((ROOT / package).rglob("*.py"))
        for i in in_source(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    )


def in_source(text: str, file: str) -> Iterator[Import]:
    """The imports of one file, of names as well: ``from a import b`` may be the module ``a.b``."""

    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, lazy, typing)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: relative import"
            yield Import(file, node.lineno, node.module or "", lazy, typing)
            for alias in node.names:
                yield Import(file, node.lineno, f"{node.module}.{alias.name}", lazy, typing)
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield Import(file, node.lineno, str(node.args[0].value), lazy, typing)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, lazy, typing)
        elif isinstance(node, ast.If) and _called(node.test) == "TYPE_CHECKING":
            for child in node.body:
                yield from visit(child, lazy, True)
            for child in node.orelse:
                yield from visit(child, lazy, typing)
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside, typing)

    yield from visit(ast.parse(text, file), False, False)


def _called(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def within(module: str, *packages: str) -> bool:
    """Whether a module is one of the packages or inside one."""
    return any(module == p or module.startswith(p + ".") for p in packages)


def of(folder: str) -> list[Import]:
    """The imports of the files in a folder (or one file)."""
    found = [i for i in imports() if i.file == folder or i.file.startswith(folder.rstrip("/") + "/")]
    assert found, folder
    return found


def told(broken: list[Import]) -> list[str]:
    """The offending lines, for the message of a failing test."""
    return [str(i) for i in broken]


# -- the reader itself ----------------------------------------------------------------------------


def test_the_reader_sees_every_way_to_import():
    text = """
import os, mlsysim.cli.main as m
from mlsysim import cli
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import pint
else:
    import yaml
def f():
    import highspy
    from importlib import import_module
    import_module("pyomo.environ")
try:
    import ortools
except ImportError:
    pass
"""
    found = {(i.module, i.lazy, i.typing) for i in in_source(text, "x.py")}
    for expected in [
        ("os", False, False),
        ("mlsysim.cli.main", False, False),
        ("mlsysim.cli", False, False),
        ("pint", False, True),
        ("yaml", False, False),
        ("highspy", True, False),
        ("pyomo.environ", True, False),
        ("ortools", False, False),
    ]:
        assert expected in found
    with pytest.raises(AssertionError, match="relative"):
        list(in_source("from . import physics", "x.py"))


# -- the rules ------------------------------------------------------------------------------------


def test_physics_imports_nothing_of_ours_but_physics():
    broken = [i for i in of("mlsysim/physics") if i.top in OURS and not within(i.module, "mlsysim.physics")]
    assert not told(broken)


def test_physics_needs_numpy_and_the_standard_library_only():
    allowed = sys.stdlib_module_names | {"numpy", "mlsysim"}
    assert not told([i for i in of("mlsysim/physics") if i.top not in allowed])


def test_walls_import_physics_and_walls_only():
    broken = [
        i
        for i in of("mlsysim/walls")
        if i.top in OURS and not within(i.module, "mlsysim.physics", "mlsysim.walls")
    ]
    assert not told(broken)
    allowed = sys.stdlib_module_names | {"numpy", "mlsysim"}
    assert not told([i for i in of("mlsysim/walls") if i.top not in allowed])


def test_only_engines_import_solvers():
    broken = [
        i
        for i in imports()
        if i.top in SOLVERS
        and not i.file.startswith("formulations/engines/")
        and not (within(i.module, "scipy.stats") and i.lazy)  # draws samples, solves nothing
    ]
    assert not told(broken)


def test_engines_import_solvers_lazily():
    """So that one engine's absence does not keep the others from loading."""
    broken = [i for i in of("formulations/engines") if i.top in SOLVERS and not (i.lazy or i.typing)]
    assert not told(broken)


def test_engines_know_no_recipe():
    """An engine sees a problem, not what it is about."""
    about = (
        "mlsysim.physics",
        "mlsysim.walls",
        "mlsysim.models",
        "mlsysim.hardware",
        "mlsysim.systems",
        "formulations.parallelism",
        "formulations.placement",
    )
    assert not told([i for i in of("formulations/engines") if within(i.module, *about)])


def test_formulations_do_not_import_the_command_line():
    assert not told([i for i in of("formulations") if within(i.module, "mlsysim.cli", "mlsysim.entry")])


def test_nothing_imports_the_command_line_but_the_entry():
    entries = ("mlsysim/cli/", "mlsysim/entry.py", "mlsysim/__main__.py")
    broken = [i for i in imports() if within(i.module, "mlsysim.cli") and not i.file.startswith(entries)]
    assert not told(broken)


def test_the_package_imports_formulations_lazily():
    """Importing mlsysim, and evaluating with it, needs no solver."""
    broken = [i for i in of("mlsysim") if i.top == "formulations" and not (i.lazy or i.typing)]
    at_top = {i.file for i in broken}
    # tier 3 may name them at its top, as long as nothing imports tier 3 at its own top
    assert all(f.startswith("mlsysim/core/solver/") or f == "mlsysim/optimize.py" for f in at_top), told(
        broken
    )


# -- what is loaded -------------------------------------------------------------------------------


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after some code."""
    show = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], capture_output=True, text=True, timeout=60, check=True
    )
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = SOLVERS | {"numpy", "pint", "pydantic", "typer", "rich", "click", "formulations", "hypothesis"}
    assert not loaded("import mlsysim") & heavy
    assert "mlsysim" in loaded("import mlsysim")


def test_evaluating_loads_no_solver():
    code = "import mlsysim; mlsysim.SystemEvaluator.evaluate('x', 'Llama3_8B', 'H100')"
    assert not loaded(code) & (SOLVERS | {"formulations", "typer", "rich"})


def test_looking_an_entry_up_loads_no_solver_nor_pint():
    assert not loaded("import mlsysim; mlsysim.Hardware.Cloud.H100") & (SOLVERS | {"pint", "pydantic"})
