"""What the software of a run does beside its layout, which sources seldom say: rules by when and by what."""

from __future__ import annotations

import re
from dataclasses import replace

from mlsysim.core import registry
from mlsysim.core.validation.filling import OLD_STACK, Filling, old_stack, year
from mlsysim.core.validation.rows import Row
from mlsysim.physics.job import LOSS_BYTES, MODULES, Stack
from mlsysim.physics.lora import Lora

# Since 2021 Megatron's and DeepSpeed's stages send what tensor-parallel ranks hold alike in shares.
SCATTERING = 2021
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
_FLASH_2 = (
    0.47,
    "FlashAttention-2, as the source states: 335 TFLOP/s both ways on H100 (Dao 2023, section 4.1), 0.41 of "
    "the peak at any length, over 0.88 of kernels timed alone",
)
# Runs by PyTorch's checkpoints that are not reentrant (submit_benchmarks.py of llm-foundry) or by JAX.
_JAX = ("maxtext", "paxml")
_STOPPING = ("llm-foundry", *_JAX)
# Sources that say that every launch blocks (BigScience, chronicles-prequel, "dealing with JZ hanging").
_BLOCKING = ("bigscience_chronicles",)
# The set whose recipes all make the loss in a kernel of Transformer Engine.
_LOSS_KERNEL = "Megatron-Bridge"
# Sources of 2022 whose sums are fused: they introduced it, or use what did.
_FUSED = ("korthikanti_2022",)
# Runs with a bias on their scores, which were no kernel of their own (BigScience, tr11-200B-ml.slurm).
_ALIBI = ("bigscience_chronicles",)
# Runs by scripts of Megatron-LM, which in bf16 sets --accumulate-allreduce-grads-in-fp32 by itself.
_MEGATRON = ("megatron_core_readme_2024",)
# Runs by PyTorch's FullyShardedDataParallel.
_FSDP = ("llm_foundry_benchmarks",)
# "A100s PCI-Express/NUMA was improved today so all TFLOPs have changed for the better (1-5%)": a day of
# February 2022, which ids end with (BigScience, chronicles-prequel, "GBS Variations"). Three layouts were
# measured before and after: 5.6% (mean of two), 5.6% and 3.7% slower before.
_DAY = re.compile(r"-02-(\d\d)(?:-r\d+)?$")
_IMPROVED = ("bigscience_chronicles", 25, 0.05)


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
    narrow = str(row.config.get("narrow", ""))
    return replace(
        _reductions(row, filling),
        fused_sums=fused,
        early_stop=stops,
        scattered_sends=scattered_sends(row, filling),
        attention_gain=registry.default("attention_narrow").base if "attention" in narrow else 1.0,
        narrow_head="head" in narrow,
        blocking=_blocking(row, filling),
        score_bias=_score_bias(row, filling),
        loss_bytes=LOSS_BYTES[loss(row, filling)],
        deferred=float(row.config.get("deferred", 0)),
        predictions=1.0 + row.config.get("mtp", 0),
        repeated=repeated(row),
        in_turns="experts" in str(row.config.get("overlap", "")) and row.config.get("graph") != "step",
        copies=copies(row, filling),
    )


def _blocking(row: Row, filling: Filling) -> float:
    """Return what the host adds to every operator [s]."""
    if row.source not in _BLOCKING:
        return 0.0
    filling.take("launches", "blocking", "the source: CUDA_LAUNCH_BLOCKING=1, or large runs hang")
    return registry.default("host_operator", "s").base


def _score_bias(row: Row, filling: Filling) -> bool:
    """Return whether a bias is added to scores."""
    if row.source not in _ALIBI:
        return False
    return bool(filling.take("scores", "biased", "the source's script: --position-embedding-type alibi"))


def _reductions(row: Row, filling: Filling) -> Stack:
    """Return how gradients are added up over microbatches and over ranks."""
    wide = "fp16" not in str(row.config.get("precision"))
    if row.source in _BLOCKING:
        # sums are in 16 bits in fp16; in bf16 a gradient is converted, added in 32 bits, and cleared
        if not wide:
            return Stack(sum_bytes=4.0)
        rule = "DeepSpeed's BF16_Optimizer: all ranks get the sums of all gradients (_bf16_reduce_grads)"
        filling.take("gradients", "all-reduced", rule)
        return Stack(sum_bytes=18.0, whole_sums=True)
    if row.source in _MEGATRON and wide:
        filling.take("gradients", "in fp32", "Megatron-LM in bf16: gradients are added and reduced in fp32")
        return Stack(reduced_bytes=4.0)
    if row.source in _FSDP:
        share = registry.default("fsdp_share").base
        filling.take("shard_share", share, "FSDP of PyTorch: hidden gathers slow the work down (Lee 2025)")
        return Stack(shard_share=share)
    return Stack()


def slowness(row: Row, filling: Filling) -> float:
    """Return the time of a step over what it is without a handicap that the source states."""
    source, day, share = _IMPROVED
    found = _DAY.search(row.id)
    if row.source != source or found is None or int(found[1]) >= day:
        return 1.0
    rule = f"the source: before {day} February 2022 its servers were 1 to 5% slower (PCIe, NUMA)"
    return 1.0 + float(filling.take("handicap", share, rule))


def loss(row: Row, filling: Filling) -> str:
    """Return how the loss is made, a key of :data:`mlsysim.physics.job.LOSS_BYTES`."""
    stated = str(row.config.get("loss", ""))
    if stated in LOSS_BYTES:
        return stated
    if _LOSS_KERNEL in row.set:
        # every recipe from v0.1.0 to v0.6.0: cross_entropy_fusion_impl "te"
        return str(filling.take("loss", "kernel", "recipes of Megatron-Bridge: the loss is one kernel"))
    return "compiled"


def repeated(row: Row) -> tuple[str, ...]:
    """Return the modules of a layer that a source says are computed again."""
    if row.config.get("recompute") not in (None, "none", "selective"):
        return ()
    stated = str(row.config.get("recompute_modules", "")).split()
    return tuple(name for name in MODULES if name in stated)


def copies(row: Row, filling: Filling) -> bool:
    """Return whether a token is sent to each of its experts, rather than once to each of their ranks."""
    if int(row.config.get("ep", 1)) == 1:
        return False
    stated = str(row.config.get("dispatch", ""))
    if stated:
        return stated == "experts"
    # moe_token_dispatcher_type: alltoall, unless a recipe names DeepEP or HybridEP
    rule = "not stated: a copy of a token for each of its experts, Megatron-LM's default"
    return bool(filling.take("dispatch", True, rule))


def fused_attention(row: Row, filling: Filling) -> bool:
    """Return whether attention runs as one kernel; no source says it."""
    old = old_stack(row)
    rule = "published by 2022: scores are stored" if old else "published after 2022: FlashAttention"
    filling.take("attention", "unfused" if old else "fused", rule)
    return not old


def dropout(row: Row, filling: Filling) -> bool:
    """Return whether activations are dropped at random."""
    if not old_stack(row):
        return False
    return bool(filling.take("dropout", True, "published by 2022: dropout of 0.1, the default of Megatron"))


def attention_share(row: Row, filling: Filling) -> float | None:
    """Return the share of peak that fused attention reaches where its kernels are older than the chip."""
    if row.config.get("kernel") == "flash-2" and "H100" in row.chip:
        # the source switches cuDNN's kernels off: NVTE_FUSED_ATTN=0
        return float(filling.take("attention_share", *_FLASH_2))
    published = year(row)
    if published is None or not OLD_STACK < published <= OLD_ATTENTION:
        return None
    for chip, (share, rule) in _KERNELS.items():
        if chip in row.chip:
            return float(filling.take("attention_share", share, f"published by {OLD_ATTENTION}: {rule}"))
    return None


def scattered_sends(row: Row, filling: Filling) -> bool:
    """Return whether tensor-parallel ranks share what stages of a pipeline exchange."""
    published = year(row)
    alone = 1 in (row.config.get("tp", 1), row.config.get("pp", 1))
    if published is None or published < SCATTERING or alone:
        return False
    rule = "since 2021: tensor-parallel ranks send a share each (Megatron, DeepSpeed's PartitionedTensor)"
    return bool(filling.take("sends", "scattered", rule))


def scanned(row: Row) -> bool:
    """Return whether the layers of a model are a scan, each with the same policy of recomputation."""
    return any(name in row.id for name in _JAX)
