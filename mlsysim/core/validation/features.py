"""What runs have in common: by which features errors are grouped."""

from __future__ import annotations

from collections.abc import Callable

from mlsysim.core.validation.fields import number_format
from mlsysim.core.validation.judge import Judged, chip_of
from mlsysim.core.validation.rows import Row

SERVER = 8  # accelerators of the usual server


def _degree(row: Row, name: str) -> int:
    return int(row.config.get(name, 1))


def _width(row: Row) -> str:
    return number_format(str(row.config.get("precision", "")))


# A training run has a feature where its function says so.
FEATURES: dict[str, Callable[[Row], bool]] = {
    "one server": lambda r: int(r.hardware.get("count", 1)) <= SERVER,
    "more than 512 accelerators": lambda r: int(r.hardware.get("count", 1)) > 512,
    "tensor parallel": lambda r: _degree(r, "tp") > 1,
    "context parallel": lambda r: _degree(r, "cp") > 1,
    "pipeline": lambda r: _degree(r, "pp") > 1,
    "interleaved pipeline": lambda r: _degree(r, "vpp") > 1,
    "fully sharded (FSDP, ZeRO 3)": lambda r: "fsdp" in r.config or r.config.get("zero_stage") == 3,
    "full recomputation": lambda r: r.config.get("recompute") == "full",
    "recomputation not stated": lambda r: "recompute" not in r.config,
    "mixture of experts": lambda r: "moe" in r.model,
    "sequences of 8192 and more": lambda r: int(r.model.get("seq_len", 0)) >= 8192,
    "16-bit": lambda r: _width(r) in ("bf16", "fp16"),
    "8-bit": lambda r: _width(r) == "fp8",
    "4-bit": lambda r: _width(r) == "fp4",
    "one sequence a microbatch": lambda r: r.config.get("microbatch") == 1,
}


def by_feature(rows: list[Judged]) -> list[tuple[str, list[Judged]]]:
    """Return training rows by what they have in common; a row may have several features."""
    found = [(name, [j for j in rows if has(j.row)]) for name, has in FEATURES.items()]
    return [(name, group) for name, group in found if group]


def by_chip(rows: list[Judged]) -> list[tuple[str, list[Judged]]]:
    """Return rows by accelerator, the most frequent first."""
    found: dict[str, list[Judged]] = {}
    for j in rows:
        found.setdefault(chip_of(j.row), []).append(j)
    return sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
