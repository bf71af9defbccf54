"""Time to load registry entries, in the process.

``python -m benchmarks.loading`` prints, for each kind, the median and the slowest time to read one
entry (aim: under 5 ms) and the time to read all of them.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from mlsysim.core.zoo import KINDS, catalog


def seconds_per_entry(kind: str) -> dict[str, float]:
    """Return the time that each entry of a kind takes to read, check and convert."""
    source = catalog(kind)
    spent = {}
    for name, path in source.paths.items():
        begin = time.perf_counter()
        source.read(Path(path))
        spent[name] = time.perf_counter() - begin
    return spent


def main() -> None:
    """Measure every kind and print a table."""
    print(f"{'kind':10}{'entries':>8}{'median':>11}{'slowest':>11}{'all':>10}   slowest entry")
    for kind in KINDS:
        seconds_per_entry(kind)  # warm-up: imports and the unit table
        spent = seconds_per_entry(kind)
        slowest = max(spent, key=lambda name: spent[name])
        print(
            f"{kind:10}{len(spent):>8}{1e3 * statistics.median(spent.values()):>8.2f} ms"
            f"{1e3 * spent[slowest]:>8.2f} ms{1e3 * sum(spent.values()):>7.0f} ms   {slowest}"
        )


if __name__ == "__main__":
    main()
