"""What an explanation costs: CPU time of each command over that of a single ``optimize``.

``python -m benchmarks.why [INSTANCE ...]``; without names, instances in the middle of the library.
Each command is a process of its own, start-up included, as a user runs it.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.library import chosen

MIDDLE = (
    "megatron-1t-a100-512",
    "llama3-405b-h100-16384",
    "gpt3-175b-a100-12288",
    "turing-nlg-530b-a100-280",
)
SINGLE = ["optimize", "parallelism", "PLAN"]
COMMANDS = {
    "explain": ["explain", "PLAN"],
    "sensitivity": ["solve", "sensitivity", "PLAN"],
    "synthesis": ["solve", "synthesis", "PLAN", "--target", "performance.latency <= TARGET ms"],
    "pareto": ["optimize", "parallelism", "PLAN", "--pareto", "time,feasibility.memory"],
    "robust": ["optimize", "parallelism", "PLAN", "--robust", "20%"],
}
REPEATS = 3


def seconds(arguments: list[str]) -> float:
    """Return the CPU time of a command, the least of several runs [s]."""
    found = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "mlsysim", *arguments], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 2, 3):
            raise RuntimeError(done.stderr.decode())
        found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(found)


def main(names: list[str]) -> None:
    """Print a line for each instance, and the median of the ratios."""
    print(f"{'CPU time over a single optimize':32}{'optimize':>9}" + "".join(f"{c:>12}" for c in COMMANDS))
    ratios: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for instance in chosen(list(names or MIDDLE)):
            plan = Path(folder) / "plan.json"
            plan.write_text(json.dumps(instance.plan), encoding="utf-8")
            known = (instance.expected or {}).get("objective") or {}
            expected = known.get("value") or 1e4
            words = {"PLAN": str(plan), "TARGET": f"{0.8 * expected:.6g}"}

            def filled(arguments: list[str], words: dict[str, str] = words) -> list[str]:
                return [words.get(a, a.replace("TARGET", words["TARGET"])) for a in arguments]

            single = seconds(filled(SINGLE))
            cells = []
            for name, arguments in COMMANDS.items():
                ratios[name].append(seconds(filled(arguments)) / single)
                cells.append(f"{ratios[name][-1]:12.1f}")
            print(f"{instance.name:32}{single:8.2f}s" + "".join(cells), flush=True)
    print(f"{'median':41}" + "".join(f"{statistics.median(r):12.1f}" for r in ratios.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
