"""What a source does not state, and the rule that fills it in.

Each rule is about how such runs are made, never about a single row, and every use is recorded: a
reader of an error sees what was assumed for it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mlsysim.core import registry
from mlsysim.core.validation.rows import Row
from mlsysim.physics.job import Stack
from mlsysim.physics.lora import Lora
from mlsysim.physics.transformer import Transformer

# Until 2022 Megatron had no FlashAttention, no sequence parallelism and no distributed optimizer.
OLD_STACK = 2022
# Since 2021 Megatron's and DeepSpeed's stages send what tensor-parallel ranks hold alike in shares.
SCATTERING = 2021
# Tokens of a sequence of SQuAD, many of which this source packs into one.
PACKED = 256
_PACKING = "nemo_performance_2024"
# Until 2023 attention on H100 ran by kernels that were written for A100.
OLD_ATTENTION = 2023
# What attention reaches of the peak by kernels of then: of the first FlashAttention 30 to 50% forward.
_KERNELS = {
    "H100": (
        0.23,
        "FlashAttention: 40/60 of what FlashAttention-2 reaches of an H100, 35% (Dao 2023, Shah 2024)",
    ),
    "A100": (0.40, "FlashAttention, which reaches 30 to 50% of an A100 forward (Dao 2023, section 2.3)"),
}
# Sets whose recipes overlap tensor-parallel traffic unless they say otherwise (NeMo, tp_comm_overlap).
_OVERLAPPING = ("NeMo", "DGX", "Megatron-Bridge")
# Runs by PyTorch's checkpoints that are not reentrant (submit_benchmarks.py of llm-foundry) or by JAX.
_JAX = ("maxtext", "paxml")
_STOPPING = ("llm-foundry", *_JAX)
# Sources that say that every launch blocks (BigScience, chronicles-prequel, "dealing with JZ hanging").
_BLOCKING = ("bigscience_chronicles",)
# Sources of 2022 whose sums are fused: they introduced it, or use what did.
_FUSED = ("korthikanti_2022",)
# Release 0.x of TensorRT-LLM; the first one in which query heads of a group share reads, how many and how
# wide.
_RELEASE = re.compile(r"TensorRT-LLM v0\.(\d+)")
XQA = 8
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


def lora(row: Row, filling: Filling) -> Lora | None:
    """Return the adapters of a run that trains such."""
    if "LoRA" not in str(row.config.get("task", "")) and not row.id.endswith("-lora"):
        return None
    # NeMo, lora_tuning: target_modules [attention_qkv], adapter_dim 32; Megatron-Bridge, perf_recipes
    filling.take("lora", "rank 32, qkv", "not stated: adapters as in the recipes of NeMo and Megatron-Bridge")
    return Lora(32.0, ("qkv",))


def stack(row: Row, filling: Filling) -> Stack:
    """Return what the software of a run does beside its layout; no source says it."""
    published = year(row)
    # Megatron-LM adds sums in the product's kernel since 2022; BLOOM's search ran on DeepSpeed's optimizer
    fused = published is None or published > OLD_STACK or row.source in _FUSED
    if not fused:
        filling.take("sums", "not fused", "published by 2022: gradients are added by a kernel of their own")
    words = f"{row.set} {row.cited} {row.id}".lower()
    stops = any(name in words for name in _STOPPING)
    if stops:
        rule = "checkpoints of FSDP and JAX: recomputed up to the last tensor that is needed"
        filling.take("early_stop", True, rule)
    blocking, width = 0.0, 8.0
    if row.source in _BLOCKING:
        blocking = registry.default("host_operator", "s").base
        filling.take("launches", "blocking", "the source: CUDA_LAUNCH_BLOCKING=1, or large runs hang")
        # sums are in 16 bits in fp16; in bf16 a gradient is converted, added in 32 bits, and cleared
        width = 4.0 if "fp16" in str(row.config.get("precision")) else 18.0
    narrow = str(row.config.get("narrow", ""))
    return Stack(
        fused_sums=fused,
        early_stop=stops,
        sum_bytes=width,
        scattered_sends=scattered_sends(row, filling),
        attention_gain=registry.default("attention_narrow").base if "attention" in narrow else 1.0,
        narrow_head="head" in narrow,
        blocking=blocking,
    )


def fused_attention(row: Row, filling: Filling) -> bool:
    """Return whether attention runs as one kernel; no source says it."""
    old = old_stack(row)
    rule = "published by 2022: scores are stored" if old else "published after 2022: FlashAttention"
    filling.take("attention", "unfused" if old else "fused", rule)
    return not old


def scattered_sends(row: Row, filling: Filling) -> bool:
    """Return whether tensor-parallel ranks share what stages of a pipeline exchange."""
    published = year(row)
    alone = 1 in (row.config.get("tp", 1), row.config.get("pp", 1))
    if published is None or published < SCATTERING or alone:
        return False
    rule = "since 2021: tensor-parallel ranks send a share each (Megatron, DeepSpeed's PartitionedTensor)"
    return bool(filling.take("sends", "scattered", rule))


def dropout(row: Row, filling: Filling) -> bool:
    """Return whether activations are dropped at random."""
    if not old_stack(row):
        return False
    return bool(filling.take("dropout", True, "published by 2022: dropout of 0.1, the default of Megatron"))


def attention_share(row: Row, filling: Filling) -> float | None:
    """Return the share of peak that fused attention reaches where its kernels are older than the chip."""
    published = year(row)
    if published is None or not OLD_STACK < published <= OLD_ATTENTION:
        return None
    for chip, (share, rule) in _KERNELS.items():
        if chip in row.chip:
            return float(filling.take("attention_share", share, f"published by {OLD_ATTENTION}: {rule}"))
    return None


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


def shared_reads(row: Row, m: Transformer, filling: Filling) -> bool:
    """Return whether query heads that share a KV head read its cache once in decode."""
    release = _RELEASE.search(row.set)
    if m.heads == m.kv_heads or m.kv_rank or release is None:
        return True
    # NVIDIA/TensorRT-LLM, decoderXQARunner.h of these releases; before them none (NVIDIA, "New
    # XQA-kernel", 2023: 2.4 times the throughput of Llama 70B)
    known = int(release[1]) >= XQA and (m.heads / m.kv_heads, m.head_dim) == XQA_SHAPE
    heads, width = XQA_SHAPE
    rule = f"TensorRT-LLM shares reads from 0.{XQA} on, in groups of {heads} heads {width} wide (XQA)"
    return bool(filling.take("shared_reads", known, rule))


def seq_len(row: Row, filling: Filling) -> int | None:
    """Return the tokens of a sequence, None where nothing tells."""
    stated = row.model.get("seq_len")
    if stated is None and row.model.get("type") == "gpt-dense" and year(row) == 2020:
        return int(filling.take("seq_len", 1024, "GPT models of Megatron in 2020 have 1024 tokens"))
    return stated


def packed(row: Row, length: int, filling: Filling) -> int:
    """Return how many sequences are packed into one of the row's, each attending to itself alone."""
    if row.kind != "finetuning" or row.source != _PACKING or length % PACKED:
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
        rule = "single modules of a layer at most: counted as none"
        return str(filling.take("recompute", "none", rule))
    if "offload" in row.config:
        return str(filling.take("recompute", "none", "activations go to the host instead, beside the work"))
    return None


def scanned(row: Row) -> bool:
    """Return whether the layers of a model are a scan, each with the same policy of recomputation."""
    return any(name in row.id for name in _JAX)


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
