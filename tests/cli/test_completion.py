"""Completion at the shell, through the protocol that the shells' scripts speak."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from running import EXAMPLES

from mlsysim import hardware, infra, models
from mlsysim.core.metrics import METRICS
from mlsysim.core.supplies import NAMES
from mlsysim.walls import WALLS

PLANS = [f"{EXAMPLES}/{name}.yaml" for name in ("llama3_70b", "long_run")]
CASES = {
    "eval Llama3_": [m.name for m in models.CATALOG],
    "eval Llama3_8B H": [h.name for h in hardware.CATALOG],
    f"eval {EXAMPLES}/l": PLANS,
    "eval Door": ["Doorbell"],
    "eval plan.yaml --wall Com": [w.name for w in WALLS],
    "serve Llama3_8B H100 --draft Qwen": [m.name for m in models.CATALOG],
    "serve Llama3_8B H100 --region Q": [r.name for r in infra.CATALOG],
    f"optimize parallelism {EXAMPLES}/l": PLANS,
    "optimize parallelism plan.yaml --pareto time,macro.t": [f"time,{m}" for m in METRICS],
    "optimize parallelism plan.yaml --emit m": ["megatron"],
    "optimize placement plan.yaml --region Q": [r.name for r in infra.CATALOG],
    "optimize ": ["parallelism", "batching", "placement", "serving"],
    "solve sensitivity plan.yaml --supply cap": list(NAMES),
    "solve synthesis plan.yaml --target performance.l": list(METRICS),
    "zoo hardware B2": [h.name for h in hardware.CATALOG],
    "zoo ": ["hardware", "models", "infra", "systems", "walls", "check"],
    "init --kind ": ["training", "inference", "serving", "mix", "fleet"],
    "init --model Llama3_4": [m.name for m in models.CATALOG],
    "validate --chip A1": [h.name for h in hardware.CATALOG],
}


def completed(line: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """Complete a command line as a shell would: the cursor is at its end."""
    words = ["mlsysim", *line.split(" ")]
    given = {"_MLSYSIM_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        given |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    else:
        given |= {"_TYPER_COMPLETE_ARGS": " ".join(words), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return subprocess.run(
        [sys.executable, "-m", "mlsysim"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("line", CASES)
def test_names_are_completed(line):
    done = completed(line)
    incomplete = line.split(" ")[-1]
    expected = [name for name in CASES[line] if name.startswith(incomplete)]
    assert expected
    assert sorted(done.stdout.split("\n")[:-1]) == sorted(expected)
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_spoken(shell):
    assert "Llama3_70B" in completed("eval Llama3_7", shell).stdout


def test_no_folder_is_no_completion():
    done = completed("eval /no/such/folder/")
    assert (done.stdout, done.stderr) == ("\n", "")


def test_completion_of_the_registry_reads_no_entry():
    code = (
        "import sys; from mlsysim.cli import complete; complete.models('L'); complete.hardware('H');"
        "complete.regions('Q'); print(sorted({'numpy', 'pydantic', 'pint'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(shell):
    done = subprocess.run(
        [sys.executable, "-m", "mlsysim"],
        env=os.environ | {"_MLSYSIM_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
    )
    assert "_MLSYSIM_COMPLETE" in done.stdout
