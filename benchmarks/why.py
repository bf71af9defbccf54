"""What an explanation costs: CPU time of each command over that of a single ``optimize``.

``python -m benchmarks.why [INSTANCE ...]``; without names, the library's median instance, by the CPU time of
``optimize``, and its neighbours. ``--median`` times ``optimize`` on every instance and says which those are.
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

# The median of the library's 99, and the instances next to it (``--median``, November 2026).
MIDDLE = ("gpt3-175b-a100-27720", "megatron-310b-a100-1920", "llama3-70b-h100-512-limits")
SINGLE = ["optimize", "parallelism", "PLAN"]
COMMANDS = {
    "explain": ["explain", "PLAN"],
    "sensitivity": ["solve", "sensitivity", "PLAN"],
    "synthesis": ["solve", "synthesis", "PLAN", "--target", "performance.latency <= TARGET ms"],
    "pareto": ["optimize", "parallelism", "PLAN", "--pareto", "time,feasibility.memory"],
    "robust": ["optimize", "parallelism", "PLAN", "--robust", "20%"],
}
REPEATS = 3


def seconds(arguments: list[str], repeats: int = REPEATS) -> float:
    """Return the CPU time of a command, the least of several runs [s]."""
    found = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "mlsysim", *arguments], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 2, 3):
            raise RuntimeError(done.stderr.decode())
        found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(found)


def median() -> None:
    """Print the instances in the middle of the library by the CPU time of a single ``optimize``."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        for instance in chosen([]):
            plan.write_text(json.dumps(instance.plan), encoding="utf-8")
            single = [str(plan) if a == "PLAN" else a for a in SINGLE]
            found.append((seconds(single, repeats=1), instance.name))
            print(f"{found[-1][0]:8.2f} s  {instance.name}", flush=True)
    found.sort()
    middle = len(found) // 2
    print("median and its neighbours:", *(name for _, name in found[middle - 1 : middle + 2]))


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
    median() if sys.argv[1:] == ["--median"] else main(sys.argv[1:])
