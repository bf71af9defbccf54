"""docs/sweeps.md is true: its snippet runs, its commands are there, its tables name what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mlsysim.space import paths
from mlsysim.space.compiler import FUNCTIONS
from mlsysim.space.files import KEYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")


def test_the_snippet_runs():
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'status': 'pass'" in done.stdout


def test_every_key_of_a_campaign_is_told():
    told = set(re.findall(r"`(\w+)`", PAGE.partition("## A campaign file")[2].partition("\n\n")[0]))
    assert set(KEYS) <= set(re.findall(r"`(\w+)`", PAGE))
    assert told <= {*KEYS, "latin", "sobol", "points", "seed", "unit"}


def test_what_is_named_is_there():
    language = PAGE.partition("## Expressions")[2].partition("##")[0]
    assert all(re.search(rf"\b{name}\b", language) for name in FUNCTIONS)
    for name in re.findall(r"`((?:workload|parallelism|constraints|hardware)\.\w+)`", PAGE):
        assert name in paths.paths()
    for name in ("model", "hardware", "nodes", "region", "batch", "precision", "tokens", "duration"):
        paths.find(name)
