"""Models and machines that the physics tests share, typed in from the papers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.memory import StateBytes
from mlsysim.physics.roofline import Chip
from mlsysim.physics.training import Job, weights_of
from mlsysim.physics.transformer import Transformer


def gpt(layers: float, hidden: float, heads: float, **changes: Any) -> Transformer:
    """A GPT as in Narayanan 2021 and Korthikanti 2022: 4h GELU MLP, biases, tied, s 2048, v 51200."""
    model = Transformer(
        layers=layers,
        hidden=hidden,
        ffn=4.0 * hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden / heads,
        vocab=51200.0,
        positions=2048.0,
        gated=False,
        tied=True,
        norm_width=2.0,
        bias=True,
    )
    return replace(model, **changes)


# Korthikanti 2022, table 3: heads, hidden size, layers, tensor-parallel size 8, microbatch
KORTHIKANTI = {
    "22B": (gpt(48.0, 6144.0, 64.0), 4.0),
    "175B": (gpt(96.0, 12288.0, 96.0), 1.0),
    "530B": (gpt(105.0, 20480.0, 128.0), 1.0),
    "1T": (gpt(128.0, 25600.0, 160.0), 1.0),
}

LLAMA2_7B = Transformer(
    layers=32.0, hidden=4096.0, ffn=11008.0, heads=32.0, kv_heads=32.0, head_dim=128.0, vocab=32000.0
)
LLAMA3_8B = Transformer(
    layers=32.0, hidden=4096.0, ffn=14336.0, heads=32.0, kv_heads=8.0, head_dim=128.0, vocab=128256.0
)
LLAMA3_70B = replace(LLAMA3_8B, layers=80.0, hidden=8192.0, ffn=28672.0, heads=64.0)
LLAMA3_405B = replace(LLAMA3_8B, layers=126.0, hidden=16384.0, ffn=53248.0, heads=128.0)
QWEN25_72B = Transformer(
    layers=80.0,
    hidden=8192.0,
    ffn=29568.0,
    heads=64.0,
    kv_heads=8.0,
    head_dim=128.0,
    vocab=152064.0,
    qkv_bias=True,
)
MIXTRAL_8X7B = Transformer(
    layers=32.0,
    hidden=4096.0,
    ffn=14336.0,
    heads=32.0,
    kv_heads=8.0,
    head_dim=128.0,
    vocab=32000.0,
    experts=8.0,
    experts_active=2.0,
    expert_ffn=14336.0,
)
DEEPSEEK_V2 = Transformer(
    layers=60.0,
    hidden=5120.0,
    ffn=12288.0,
    heads=128.0,
    kv_heads=128.0,
    head_dim=128.0,
    vocab=102400.0,
    experts=160.0,
    experts_active=6.0,
    expert_ffn=1536.0,
    shared_experts=2.0,
    dense_layers=1.0,
    q_rank=1536.0,
    kv_rank=512.0,
    rope_dim=64.0,
    nope_dim=128.0,
    value_dim=128.0,
)
DEEPSEEK_V3 = Transformer(
    layers=61.0,
    hidden=7168.0,
    ffn=18432.0,
    heads=128.0,
    kv_heads=128.0,
    head_dim=128.0,
    vocab=129280.0,
    experts=256.0,
    experts_active=8.0,
    expert_ffn=2048.0,
    shared_experts=1.0,
    dense_layers=3.0,
    q_rank=1536.0,
    kv_rank=512.0,
    rope_dim=64.0,
    nope_dim=128.0,
    value_dim=128.0,
)

IDEAL = Chip(peak=1e15, share=1.0, bandwidth=math.inf, bandwidth_share=1.0)
H100 = Chip(
    peak=989.4e12, share=0.8, bandwidth=3.35e12, bandwidth_share=0.9, units=132.0, tile=128.0, launch=2e-6
)
NODES = Network(up=Tier(400e9, 1e-6), out=Tier(50e9, 5e-6), domain=8.0)
ADAM = StateBytes(weights=2.0, gradients=2.0, optimizer=12.0)


def job(**changes: Any) -> Job:
    """A training job of Llama 3 8B on 64 accelerators in nodes of 8."""
    model = changes.get("model", LLAMA3_8B)
    base = Job(
        model=model,
        weights=weights_of(model),
        chip=H100,
        network=NODES,
        accelerators=64.0,
        batch=128.0,
        seq_len=4096.0,
        width=2.0,
        state=ADAM,
        reserve=1e9,
        overlap=1.0,
        sender_share=0.0,
        host_link=64e9,
        host_bandwidth=50e9,
        fused_attention=True,
        dropout=False,
    )
    return replace(base, **changes)
