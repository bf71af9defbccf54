"""A row as a scenario: model, machine and settings, by the path that a plan takes."""

from __future__ import annotations

import re
from typing import Any

from mlsysim.core.errors import MlsysimError
from mlsysim.core.provenance import Value
from mlsysim.core.resolve import Scenario, Settings, resolve
from mlsysim.core.validation import filling as fill
from mlsysim.core.validation.fields import number_format
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import Row
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.hardware import Hardware
from mlsysim.models import Architecture, Model
from mlsysim.systems import Node, node


class NotPredictedError(Exception):
    """A row that cannot be predicted; the message is the reason."""


_SIZES = ("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "vocab")
_MOE = {
    "experts": "experts",
    "topk": "experts_active",
    "shared": "shared_experts",
    "expert_ffn": "expert_ffn",
    "first_dense_layers": "dense_layers",
}
_MLA = {
    "q_lora": "q_rank",
    "kv_lora": "kv_rank",
    "qk_nope": "nope_dim",
    "qk_rope": "rope_dim",
    "v": "value_dim",
}
_PARTS = (("kv_heads", "heads"), ("dense_layers", "layers"), ("experts_active", "experts"))
_WINDOW = re.compile(r"sliding-window-(\d+)")
# Families whose input and output embeddings are one matrix.
_TIED = ("gpt-dense", "falcon-dense", "palm-dense")
_RMSNORM = ("llama-dense", "moe", "moe-mla")
# Words of a source that mean a server of the registry other than the usual one of the chip.
_SERVERS = (("A100", "omni-path", "Jean_Zay_A100"),)


def model_of(row: Row, filling: Filling) -> Model:
    """Return a row's model as an entry.

    Raises:
        NotPredictedError: its architecture is not known.
    """
    m = row.model
    if "hybrid" in m:
        raise NotPredictedError("layers of several kinds (Mamba and attention) are not modelled")
    if not {"layers", "hidden", "heads"} <= set(m):
        raise NotPredictedError("the row does not record the model's architecture")
    sizes: dict[str, Any] = {name: m[name] for name in _SIZES if name in m}
    sizes["vocab"] = fill.vocab(row, filling)
    if sizes["vocab"] is None:
        raise NotPredictedError("the size of the vocabulary is not recorded")
    # multi-token prediction adds layers; their passes through the vocabulary layer: software.stack
    sizes["layers"] = m["layers"] + row.config.get("mtp", 0)
    sizes |= {_MOE[k]: v for k, v in m.get("moe", {}).items() if k in _MOE}
    sizes |= {_MLA[k]: v for k, v in m.get("mla", {}).items() if k in _MLA}
    if "ffn" not in sizes and "expert_ffn" not in sizes:
        sizes["ffn"] = filling.take("ffn", 4 * m["hidden"], "not recorded: four times the hidden size")
    if window := _WINDOW.search(str(m.get("attention", ""))):
        sizes["window"] = int(window[1])
        sizes["full_layers"] = m["layers"] // 2 if "alternating" in m["attention"] else 0
    for part, whole in _PARTS:
        if sizes.get(part, 0) > sizes.get(whole, 0) > 0:
            raise NotPredictedError(f"the model has more {part} than {whole}")
    mlp, kind = str(m.get("mlp", "")), str(m.get("type", ""))
    values: dict[str, Any] = {name: _value(size) for name, size in sizes.items() if size}
    architecture = Architecture(
        **values,
        gated_mlp="glu" in mlp or ("gated" in mlp and "non-gated" not in mlp),
        parallel_block="parallel" in mlp,
        bias="all" if m.get("bias", kind == "gpt-dense" and fill.old_stack(row)) else "none",
        tied_embeddings=kind in _TIED,
        norm="rmsnorm" if kind in _RMSNORM else "layernorm",
    )
    return Model(
        title=str(m.get("name", row.id)),
        name=str(m.get("name", row.id)),
        group="language",
        kind="transformer",
        architecture=architecture,
        parameters=_value(1.0),  # its layers say how many
    )


def _value(number: float) -> Value:
    return Value(float(number), float(number), "1", "row", "measured", "")


def hardware_of(row: Row) -> Hardware:
    """Return a row's accelerator.

    Raises:
        NotPredictedError: the registry does not have it.
    """
    try:
        return HARDWARE.get(row.chip)
    except MlsysimError as error:
        raise NotPredictedError(f"the registry has no accelerator {row.chip!r}") from error


def server_of(row: Row, hardware: Hardware) -> Node | None:
    """Return the server that a row's source describes, None for the usual one."""
    if "node" in row.hardware:
        return node(str(row.hardware["node"]))
    network = f"{row.hardware.get('inter_node', '')} {row.hardware.get('system', '')}".lower()
    for chip, word, name in _SERVERS:
        if hardware.name == chip and word in network:
            return node(name)
    return None


def precision_of(row: Row, hardware: Hardware, filling: Filling) -> str:
    """Return the number format of a row's matrix work.

    Raises:
        NotPredictedError: not stated in known words, or the chip has no such rate.
    """
    stated = str(row.config.get("precision", ""))
    found = number_format(stated)
    if not found and stated:
        raise NotPredictedError(f"the number format {stated!r} is not known")
    if not found:
        return str(filling.take("precision", hardware.usual_precision, "not stated: the chip's usual one"))
    if found not in hardware.peak.precisions():
        raise NotPredictedError(f"the registry has no {found} rate of {hardware.name}")
    return found


def count_of(row: Row) -> int:
    """Return how many accelerators a row has.

    Raises:
        NotPredictedError: not stated.
    """
    if "count" not in row.hardware:
        raise NotPredictedError("the number of accelerators is not stated")
    return int(row.hardware["count"])


def scenario(row: Row, filling: Filling, **settings: Any) -> Scenario:
    """Return the scenario of a row, its model and machine looked up.

    Args:
        row: the measurement.
        filling: where filled settings are recorded.
        settings: further fields of :class:`mlsysim.core.scenario.Settings`.

    Raises:
        NotPredictedError: the engine cannot run it; the reason.
    """
    hardware = hardware_of(row)
    model = settings.pop("model", None) or model_of(row, filling)
    try:
        return resolve(
            Settings(
                model=model,
                hardware=hardware,
                node=server_of(row, hardware),
                name=row.id,
                precision=precision_of(row, hardware, filling),
                **settings,
            )
        )
    except MlsysimError as error:
        raise NotPredictedError(error.problem) from error
