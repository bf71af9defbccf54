"""Registry folders to break: shipped entries as plain data, written where a test wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlsysim.core import registry
from mlsysim.core.check import check

ROOT = registry.root()
CHIP, BOX = "hardware/cloud/H100.yaml", "systems/nodes/DGX_H100.yaml"
LLM, MOE = "models/language/Llama3_8B.yaml", "models/language/Mixtral_8x7B.yaml"
MAMBA, NET = "models/statespace/Mamba_130M.yaml", "models/vision/ResNet50.yaml"
TINY, GRID, NOC = "hardware/tiny/RP2040.yaml", "infra/grids/Norway.yaml", "systems/fabrics/NVLink4.yaml"
REGION = "infra/gcp/gcp_us_central1.yaml"


def entry(path: str) -> Any:
    """The parsed content of a shipped file, to change."""
    return yaml.safe_load((ROOT / path).read_text())


def card() -> Any:
    """A small accelerator that stands in no server."""
    data = entry("hardware/cloud/T4.yaml")
    del data["node"]
    return data


def put(folder: Path, path: str, content: Any) -> Path:
    """Write a file: bytes and text as they are, anything else as YAML."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else yaml.safe_dump(content)).encode()
    file.write_bytes(content)
    return file


def found(folder: Path, file: str, field: str, words: str, severity: str = "error") -> None:
    report = check(folder)
    hits = [f for f in report.findings if f.file == file and f.field == field and words in f.problem]
    assert hits, "\n".join(map(str, report.findings))
    assert hits[0].severity == severity
    assert report.ok == (severity == "warning")


def value(number: float, unit: str = "1") -> dict[str, Any]:
    return {
        "value": number,
        "unit": unit,
        "source": "nvidia_t4_datasheet",
        "kind": "datasheet",
        "as_of": 2024,
    }
