"""What a source does not state, and the rule that fills it in.

Each rule is about how such runs are made, never about a single row, and every use is recorded: a
reader of an error sees what was assumed for it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mlsysim.core import registry
from mlsysim.core.validation.rows import Row
from mlsysim.physics.transformer import Transformer

# Until 2022 Megatron had no FlashAttention, no sequence parallelism and no distributed optimizer.
OLD_STACK = 2022
# Tokens of a sequence of SQuAD, many of which these sources pack into one.
PACKED = 256
_PACKING = ("nemo_performance_2024", "nemo_performance_vboost")
# Sets whose recipes overlap tensor-parallel traffic unless they say otherwise (NeMo, tp_comm_overlap).
_OVERLAPPING = ("NeMo", "DGX", "Megatron-Bridge")
# Release 0.x of TensorRT-LLM; the first ones in which query heads of a group share reads: groups of so many
# heads so wide, the same on Hopper and Ada at full speed, and groups of any size.
_RELEASE = re.compile(r"TensorRT-LLM v0\.(\d+)")
XQA, FASTER_XQA, EVERY_XQA = 8, 10, 11
XQA_SHAPE = (8, 128)
_YEAR = re.compile(r"\b(20[12]\d)\b")


class Filled(NamedTuple):
    """A setting that a source leaves open, what it was taken as, and by which rule."""

    setting: str
    value: str
    rule: str


class Filling:
    """Collects the settings of one row that were filled in."""

    def __init__(self) -> None:
        self.taken: list[Filled] = []

    def take(self, setting: str, value: Any, rule: str) -> Any:
        """Use a value for a setting and record the rule."""
        self.taken.append(Filled(setting, str(value), rule))
        return value


def year(row: Row) -> int | None:
    """Return the year in which a row's source was published, None where nothing says it."""
    record = registry.sources().get(row.source)
    if record is not None:
        return int(record["year"])
    found = _YEAR.search(f"{row.source} {row.cited} {row.set}")
    return int(found[1]) if found else None


def old_stack(row: Row) -> bool:
    """Return whether a run is from before fused attention and sharded optimizers were usual."""
    published = year(row)
    return published is not None and published <= OLD_STACK


def overlap_tensor(row: Row, tp: int, sharded: bool, filling: Filling) -> bool:
    """Return whether tensor-parallel traffic hides behind the products that it belongs to."""
    if tp > 1 and sharded and "tp-comm" in str(row.config.get("overlap", "")):
        return True
    if tp == 1 or not sharded or not _of_recipes(row):
        return False
    return bool(filling.take("overlap_tensor", True, "recipes of NVIDIA since 2024: overlapped by default"))


def _of_recipes(row: Row) -> bool:
    """Return whether a run is one of NVIDIA's recipes, which overlap what they can."""
    return any(name in f"{row.set} {row.cited}" for name in _OVERLAPPING)


def shared_reads(row: Row, m: Transformer, filling: Filling) -> tuple[bool, str]:
    """Return whether query heads that share a KV head read its cache once in decode.

    With it the default of the share of the level-2 cache's bandwidth that these reads get, nothing where
    the memory alone holds them up.
    """
    release = _RELEASE.search(row.set)
    if m.heads == m.kv_heads or m.kv_rank or release is None:
        return True, ""
    # NVIDIA/TensorRT-LLM, decoderXQARunner.h of these releases; before them none (NVIDIA, "New
    # XQA-kernel", 2023: 2.4 times the throughput of Llama 70B); faster ones in release 0.10.0
    number, (heads, width) = int(release[1]), XQA_SHAPE
    if number >= EVERY_XQA:
        return True, ""
    known = number >= XQA and (m.heads / m.kv_heads, m.head_dim) == XQA_SHAPE
    rule = f"TensorRT-LLM shares reads from 0.{XQA} on, in groups of {heads} heads {width} wide (XQA)"
    filling.take("shared_reads", known, rule)
    if not known:
        return False, "reread_share"
    return True, "early_group_share" if number < FASTER_XQA else ""


def seq_len(row: Row, filling: Filling) -> int | None:
    """Return the tokens of a sequence, None where nothing tells."""
    stated = row.model.get("seq_len")
    if stated is None and row.model.get("type") == "gpt-dense" and year(row) == 2020:
        return int(filling.take("seq_len", 1024, "GPT models of Megatron in 2020 have 1024 tokens"))
    return stated


def packed(row: Row, length: int, filling: Filling) -> int:
    """Return how many sequences are packed into one of the row's, each attending to itself alone."""
    if row.kind != "finetuning" or row.source not in _PACKING or length % PACKED:
        return 1
    # their TFLOP/s over tokens/s are the products' alone, and at most 1% more: attention over short spans
    rule = f"finetuning with NeMo in 2024: packed questions of SQuAD, taken as {PACKED} tokens each"
    filling.take("seq_len", PACKED, rule)
    return length // PACKED


def vocab(row: Row, filling: Filling) -> int | None:
    """Return the size of the vocabulary, None where nothing tells."""
    stated = row.model.get("vocab")
    if stated is None and row.model.get("type") == "gpt-dense":
        return int(filling.take("vocab", 51200, "the vocabulary of GPT-2, padded as Megatron does"))
    return stated


def degrees(row: Row, filling: Filling) -> dict[str, int]:
    """Return the parallel degrees that a row states or that follow from it; open ones are absent."""
    c = row.config
    found: dict[str, int] = {name: int(c[name]) for name in ("tp", "pp", "dp") if name in c}
    size = c.get("model_parallel_size")
    if size is not None and not {"tp", "pp"} & set(found):
        # tensor parallelism first, within the server, then stages (Narayanan 2021, takeaway 1)
        tp = min(size, int(row.hardware.get("per_node", 8)))
        found["tp"] = filling.take("tp", tp, "tensor parallelism up to the server, then pipeline stages")
        found["pp"] = filling.take("pp", size // tp, "model-parallel size over tp")
    if found:
        found["cp"] = int(c.get("cp", 1))
    return found


def experts_over(row: Row, filling: Filling) -> int:
    """Return the expert-parallel size as the engine means it: out of the data-parallel ranks."""
    ep, tp, dp = (int(row.config.get(name, 1)) for name in ("ep", "tp", "dp"))
    if ep > 1 and dp % ep and tp > 1 and ep % tp == 0:
        rule = (
            "groups of experts that take in tensor-parallel ranks: the engine divides experts by tp besides"
        )
        return int(filling.take("ep", ep // tp, rule))
    return ep


def overlap_gradients(row: Row, filling: Filling) -> bool:
    """Return whether gradients are reduced while the backward pass goes on."""
    if not old_stack(row):
        return True
    # Megatron has --overlap-grad-reduce since 2023; DeepSpeed's TrainSchedule reduces after the last pass
    rule = "published by 2022: gradients are reduced after the last backward pass (Megatron, DeepSpeed)"
    return bool(filling.take("overlap_gradients", False, rule))


def stated_overlap(row: Row, pp: int) -> bool:
    """Return whether a source says that sends between stages hide behind compute."""
    return pp > 1 and "pp" in re.split(r"\W+", str(row.config.get("overlap", "")))


def overlap_pipeline(row: Row, pp: int, chunks: int, filling: Filling) -> bool:
    """Return whether sends between stages hide behind compute."""
    if stated_overlap(row, pp):
        return True
    if pp == 1 or chunks == 1 or not _of_recipes(row):
        return False
    # MegatronCommOverlapCallback of NeMo, comm_overlap of Megatron-Bridge: overlap_p2p_comm with vp_size > 1
    rule = "recipes of NVIDIA since 2024: sends of interleaved stages are overlapped"
    return bool(filling.take("overlap_pipeline", True, rule))


def interleave(row: Row, pp: int, filling: Filling) -> int:
    """Return the model chunks of a pipeline stage."""
    stated = row.config.get("vpp")
    if stated is None and stated_overlap(row, pp) and int(row.model.get("layers", 0)) % (2 * pp) == 0:
        rule = "not stated, but overlapped sends, which only an interleaved schedule has: two chunks a stage"
        return int(filling.take("interleave", 2, rule))
    if stated is None and pp > 1 and row.kind == "finetuning" and _of_recipes(row):
        # a table without the column; where recipes of that release state it, it is one layer a chunk
        chunks = max(int(row.model.get("layers", 1)) // pp, 1)
        return int(
            filling.take("interleave", chunks, "recipes of NVIDIA: one layer a chunk, as where stated")
        )
    if stated is None and pp > 1:
        return int(filling.take("interleave", 1, "not stated: one chunk a stage"))
    return int(stated or 1) if pp > 1 else 1


def counts_recomputation(row: Row) -> bool:
    """Return whether a source counts the operations of full recomputation, which it then does."""
    return str(row.measured.get("flops_convention", "")).startswith("hardware_flops_full_recompute")


def recompute(row: Row, filling: Filling) -> str | None:
    """Return what is computed again in the backward pass, None where nothing tells."""
    stated = row.config.get("recompute")
    if stated is not None:
        return str(stated)
    if counts_recomputation(row):
        return str(filling.take("recompute", "full", "not stated: the source counts its operations"))
    if "recompute_modules" in row.config:
        return "none"  # but for those modules
    if "offload" in row.config:
        return str(filling.take("recompute", "none", "activations go to the host instead, beside the work"))
    return None


def sequence_parallel(row: Row, tp: int, filling: Filling) -> bool:
    """Return whether norms and residuals are divided over tensor-parallel ranks."""
    stated = row.config.get("sequence_parallel")
    if stated is not None or tp == 1:
        return bool(stated) and tp > 1
    if old_stack(row):
        return bool(filling.take("sequence_parallel", False, "published by 2022 and not stated: off"))
    return bool(filling.take("sequence_parallel", True, "published after 2022: on with tensor parallelism"))


def zero_stage(row: Row, filling: Filling) -> int:
    """Return the stage of ZeRO."""
    stated = row.config.get("zero_stage")
    if isinstance(stated, int):
        return min(stated, 3)
    if row.config.get("fsdp") is not None:
        return int(filling.take("zero_stage", 3, "fully sharded: weights are gathered layer by layer"))
    if stated is not None:
        return int(filling.take("zero_stage", 1, "a distributed optimizer shards what ZeRO 1 shards"))
    if old_stack(row):
        return int(filling.take("zero_stage", 0, "published by 2022 and not stated: no sharding"))
    return int(filling.take("zero_stage", 1, "published after 2022: the optimizer is distributed"))
