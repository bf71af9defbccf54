"""Start-up time of the commands, against ``python -c pass`` in the same run.

``python -m benchmarks.startup`` prints medians over several rounds, each round running every command
once in turn, so that a machine that slows down slows all of them. Compiled modules are kept between
the runs, as Python does unless told otherwise; the warm-up round writes them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "example_cluster.yaml"
MLSYSIM = [sys.executable, "-m", "mlsysim"]
COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import mlsysim": ([sys.executable, "-c", "import mlsysim"], 0.10),
    "mlsysim --help": ([*MLSYSIM, "--help"], 0.15),
    "mlsysim eval Llama3_8B H100": ([*MLSYSIM, "eval", "Llama3_8B", "H100"], 0.45),
    "mlsysim zoo infra": ([*MLSYSIM, "zoo", "infra"], 0.15),
    "mlsysim zoo hardware": ([*MLSYSIM, "zoo", "hardware"], 0.15),
    "mlsysim optimize parallelism": ([*MLSYSIM, "optimize", "parallelism", str(EXAMPLE)], 1.5),
    "mlsysim optimize placement": (
        [*MLSYSIM, "optimize", "placement", str(EXAMPLE), "--carbon-tax", "150"],
        1.5,
    ),
    "mlsysim validate": ([*MLSYSIM, "validate"], 10.0),
}


def measure(runs: int) -> dict[str, list[float]]:
    """Return the wall seconds of each command, ``runs`` times, after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        for round_ in range(runs + 1):
            for name, (command, _) in COMMANDS.items():
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, check=False, env=environment)
                spent = time.perf_counter() - begin
                if done.returncode not in (0, 3):
                    raise SystemExit(f"{name}: exit {done.returncode}\n{done.stderr.decode()}")
                if round_:
                    seconds[name].append(spent)
    return seconds


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seconds = measure(given.runs)
    base = statistics.median(seconds["python -c pass"])
    rows = {
        name: {
            "median_s": statistics.median(times),
            "over_interpreter_s": statistics.median(times) - base,
            "aim_s": COMMANDS[name][1],
        }
        for name, times in seconds.items()
    }
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'command':32}{'median':>9}{'over python':>13}{'aim':>8}")
    for name, row in rows.items():
        aim = "" if row["aim_s"] is None else f"{row['aim_s']:.2f} s"
        print(f"{name:32}{row['median_s']:>7.3f} s{row['over_interpreter_s']:>11.3f} s{aim:>8}")


if __name__ == "__main__":
    main()
