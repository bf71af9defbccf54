"""Installs mlsysim as users do, into fresh environments, and has each do what the README says of it.

``python .ci/install.py`` builds the wheel once and installs it without extras, with ``cli`` and with
``labs``, each alone. It needs the package index; where none is to be reached it says so and ends with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = json.loads((ROOT / "tests" / "install" / "packages.json").read_text(encoding="utf-8"))
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
PLAN = str(ROOT / "examples" / "llama3_70b.yaml")
FLEET = str(ROOT / "examples" / "fleet_small.yaml")
BASE = f"""
import mlsysim
from mlsysim.core.errors import MissingExtraError
evaluation = mlsysim.evaluate_plan({PLAN!r})
assert evaluation.status == "pass", evaluation.status
assert "holds: yes" in evaluation.scorecard()
assert mlsysim.optimize.parallelism({PLAN!r}).status == "optimal"  # few enough to try all
try:
    mlsysim.optimize.placement({FLEET!r}, carbon_tax=100)
except MissingExtraError as error:
    assert "mlsysim[solvers]" in error.hint, error.hint
else:
    raise AssertionError("solved without a solver")
"""
NAMES = "from importlib.metadata import distributions; print(*(d.name for d in distributions()))"
LABS = "import marimo, plotly.graph_objects"
# Of each extra: Python code, then commands with the exit code and a word of what they print.
CHECKS: dict[str, tuple[str, list[tuple[list[str], int, str]]]] = {
    "": (BASE, [(["eval", PLAN], 1, "pip install 'mlsysim[cli]'")]),
    "cli": (
        "import mlsysim",
        [
            (["--version"], 0, "mlsysim "),
            (["eval", PLAN], 0, "holds: yes"),
            (["optimize", "parallelism", PLAN], 0, "proven"),
            (["explain", str(ROOT / "examples" / "too_small.yaml")], 2, "Memory"),
            (["zoo", "hardware", "H100"], 0, "989"),
            (["mcp"], 1, "pip install 'mlsysim[mcp]'"),
        ],
    ),
    "labs": (LABS, [(["lab"], 0, "roofline"), (["eval", PLAN], 0, "holds: yes")]),
}


def main() -> int:
    """Check every extra; 1 where one falls short."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        done = subprocess.run(
            [*PIP, "wheel", "--no-deps", "--wheel-dir", folder, str(ROOT)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and any(w in done.stderr for w in ("No matching distribution", "NewConnection")):
            print("no package index: fresh installations are not tried", file=sys.stderr)
            return 0
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        (wheel,) = home.glob("mlsysim-*.whl")
        wrong = [fault for extra in CHECKS for fault in checked(home, wheel, extra)]
    print("\n".join(wrong) or "fresh installations: well", file=sys.stderr)
    return 1 if wrong else 0


def checked(home: Path, wheel: Path, extra: str) -> list[str]:
    """Install one extra and return what is wrong with it."""
    begin = time.monotonic()
    fresh = home / f"with_{extra or 'nothing'}"
    name = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    python = str(fresh / "bin" / "python")
    subprocess.run([*PIP, "--python", python, "install", "--no-compile", name], check=True)
    listed = subprocess.run([python, "-c", NAMES], capture_output=True, text=True, check=True)
    there = {name.lower().replace("_", "-") for name in listed.stdout.split()}
    title = f"mlsysim[{extra}]" if extra else "mlsysim"
    wrong = [f"{title} installs {more}" for more in sorted(there - set(EXPECTED[extra]) - {"mlsysim"})]
    code, commands = CHECKS[extra]
    ran = subprocess.run([python, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    if ran.returncode:
        wrong.append(f"{title}: {code.strip()}\n{ran.stderr}")
    for arguments, status, word in commands:
        ran = subprocess.run(
            [str(fresh / "bin" / "mlsysim"), *arguments],
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != status or word not in ran.stdout + ran.stderr:
            wrong.append(
                f"{title}: mlsysim {' '.join(arguments)}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
            )
    print(f"{title}: {len(there)} packages, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
