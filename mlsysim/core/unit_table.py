"""Writes ``unit_factors.json``: Pint's answers for the units that the package itself uses.

Run ``python -m mlsysim.core.unit_table`` after changing ``units.txt`` or using a new unit.
"""

from __future__ import annotations

import json
import re

from mlsysim.core import registry, units
from mlsysim.core.records import Record


def used_units() -> set[str]:
    """Return every unit that stands in the registry, in a record type or in a metric."""
    from mlsysim import hardware, infra, models, systems  # noqa: F401  (defines the record types)
    from mlsysim.core.metrics import METRICS
    from mlsysim.core.zoo import COLUMNS

    found = {m.unit for m in METRICS.values()} | {c.unit for cs in COLUMNS.values() for c in cs}
    found |= {
        "1",
        "TFLOP",
        "GB",
        "tCO2e",
        "USD/tCO2e",
        "USD/kgCO2e",
        "USD/L",
        "USD/kL",
        "ms",
        "device",
        "day",
        "byte/param",
        "1/s",
        "sample",
        "token",
        "s/token",
        "s/sample",
        "byte/token",
        "byte/sample",
        "min",
        "",
    }
    for path in registry.root().rglob("*.yaml"):
        found |= set(re.findall(r"\bunit: \"?([^,\"}]+?)\"?[,}]", path.read_text(encoding="utf-8")))
    pending: list[type[Record]] = [Record]
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        for f in getattr(cls, "__dataclass_fields__", {}).values():
            if "number" in f.metadata:
                found.add(f.metadata["number"])
    return found


def table() -> dict[str, tuple[float, str]]:
    """Return the factor and dimension of every unit in use."""
    return {unit: units.computed_factor(unit) for unit in sorted(used_units())}


if __name__ == "__main__":
    lines = [f"  {json.dumps(unit)}: {json.dumps(answer)}" for unit, answer in table().items()]
    units.FACTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
