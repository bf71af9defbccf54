"""Kernels as measured: attention, precision of products, casts, depth, tiles; racks of 72."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlsysim.core.machine import network_of
from mlsysim.core.scenario import Assumptions
from mlsysim.physics import collectives as net
from mlsysim.physics import inference, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.roofline import Chip
from mlsysim.physics.transformer import Matmul, Transformer
from mlsysim.systems import node

LLAMA = Transformer(32.0, 4096.0, 14336.0, 32.0, 8.0, 128.0, 128256.0)
BF16 = Chip(
    1000e12, 0.8, 3e12, 1.0, attention=0.6, attention_length=1000.0, attention_width=64.0, kernel_share=0.5
)
FP8 = replace(
    BF16,
    peak=2000e12,
    share=0.6,
    wide_peak=1000e12,
    wide_share=0.8,
    narrow=1.0,
    depth=384.0,
    wide_depth=192.0,
)
NVL72 = Network(Tier(700e9, 1e-6), Tier(48e9, 3e-6), 72.0)


# -- attention ------------------------------------------------------------------------------------


def test_attention_by_hand():
    """Heads 128 wide over as many tokens as the half-length: half of the share."""
    assert roofline.attention_share(BF16, 1000.0, 128.0) == pytest.approx(0.3)
    # heads 64 wide: 64 / (64 + 64) over 128 / (128 + 64)
    assert roofline.attention_share(BF16, 1e12, 64.0) == pytest.approx(0.6 * 0.75)
    assert roofline.attention_time(0.3e15, BF16, 1000.0, 128.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("length", "width", "measured"),
    [(1024, 128, 0.294), (2048, 128, 0.438), (4096, 128, 0.536), (8192, 128, 0.584), (4096, 64, 0.415)],
)
def test_attention_of_h100_as_measured(length, width, measured):
    """Medians of the table of vLLM 0.24.0 on H100 SXM (AIConfigurator): within 8%."""
    h100 = replace(BF16, attention=0.69, attention_length=1300.0, attention_width=62.0)
    assert roofline.attention_share(h100, length, width) == pytest.approx(measured, rel=0.08)


def test_longer_sequences_and_wider_heads_run_faster():
    lengths, widths = np.geomspace(1, 1e6, 50), np.arange(8.0, 512.0, 8.0)
    assert (np.diff(roofline.attention_share(BF16, lengths, 128.0)) > 0).all()
    assert (np.diff(roofline.attention_share(BF16, 4096.0, widths)) > 0).all()


def test_attention_runs_in_16_bits_whatever_the_products_do():
    assert roofline.attention_time(1e15, FP8, 2000.0, 128.0) == roofline.attention_time(
        1e15, BF16, 2000.0, 128.0
    )


def test_without_a_share_of_its_own_attention_is_a_product():
    plain = Chip(1000e12, 0.8, 3e12, 1.0)
    assert roofline.attention_time(8e14, plain, 10.0, 64.0) == roofline.compute_time(8e14, plain)


# -- products -------------------------------------------------------------------------------------


def test_wide_is_the_chip_in_16_bits():
    wide = roofline.wide(FP8)
    assert (wide.peak, wide.share, wide.depth, wide.narrow) == (1000e12, 0.8, 192.0, 0.0)
    assert roofline.wide(BF16) == BF16


def test_half_of_the_rate_at_the_depth():
    deep = replace(BF16, depth=256.0)
    one, bare = (roofline.matmul_compute(Matmul(1e4, 256.0, 1e4), c) for c in (deep, BF16))
    assert one == pytest.approx(2.0 * bare)


def test_a_flatter_tile_fills_the_last_wave():
    """13 x 9 = 117 tiles on 108 units fill two waves by 0.54; 234 half tiles fill three by 0.72."""
    chip = Chip(1e15, 1.0, np.inf, 1.0, units=108.0, tile=128.0, flat=0.9)
    p = Matmul(13 * 128.0, 1024.0, 9 * 128.0)
    assert roofline.tile_share(p, chip) == pytest.approx(0.9 * 234 / 324)
    assert roofline.tile_share(p, replace(chip, flat=0.5)) == pytest.approx(117 / 216)


def test_casts_by_hand():
    """An input of 10 x 20 in 16 bits is read, and written twice in 8; one out of a norm is not read."""
    p = Matmul(10.0, 20.0, 30.0)
    assert roofline.cast_bytes(p, FP8, 2.0) == 10 * 20 * (2 + 1 + 1)
    assert roofline.cast_bytes(p._replace(normed=True), FP8, 2.0) == 0.0
    assert roofline.cast_bytes(p, BF16, 2.0) == 0.0


def test_what_comes_out_of_a_norm():
    products = tf.layer_matmuls(LLAMA, 1.0, 1.0, 1.0)
    assert [p.normed for p in products] == [True, False, True, False]


def test_sums_in_32_bits_are_read_and_written():
    slow = Chip(1e30, 1.0, 1.0, 1.0)
    p = Matmul(2.0, 3.0, 5.0)
    assert roofline.matmul_time(p, slow, 2.0) == 2 * (6 + 15 + 10)
    assert roofline.matmul_time(p, slow, 2.0, summed=8.0) == 2 * (6 + 15) + 8 * 10


# -- memory-bound operators -----------------------------------------------------------------------


def test_gradients_of_memory_bound_operators_by_hand():
    """Llama in 16 bits: gradients of norms 3h and of residuals 3h, twice; of SwiGLU 5 of its width."""
    back = tf.elementwise_bytes(LLAMA, 1.0, 1.0, False, 2.0, backward=True)
    assert back == 2 * (2 * 6 * 4096 + 2 * (4096 + 1024) + 5 * 14336)


def test_token_copies_move_once_more_where_experts_are_spread():
    moe = replace(LLAMA, experts=8.0, experts_active=2.0, expert_ffn=14336.0)
    here, spread = (tf.elementwise_bytes(moe, 1.0, 1.0, False, 2.0, ep=ep) for ep in (1.0, 8.0))
    assert spread - here == 2 * 4 * 2 * 4096


def test_kernels_of_a_layer_reach_less_than_streams():
    assert roofline.kernel_time(3e12, BF16) == 2.0 * roofline.stream_time(3e12, BF16)


# -- racks of 72 ----------------------------------------------------------------------------------


def test_segments():
    assert [net.segment(x) for x in (1.0, 8.0, 36.0, 72.0, 256.0)] == [1.0, 8.0, 32.0, 64.0, 256.0]


@pytest.mark.parametrize(
    ("ranks", "stride", "local"),
    [(64, 1, 64), (32, 2, 32), (72, 1, 72), (128, 1, 64), (16, 4, 16), (9, 8, 9)],
)
def test_groups_that_fit_a_rack_stay_in_it(ranks, stride, local):
    assert net.local_ranks(float(ranks), float(stride), NVL72) == local


def test_experts_over_64_of_a_rack_do_not_leave_it():
    time = net.hierarchical_all_to_all_time(1e9, 64.0, 1.0, NVL72)
    assert time == pytest.approx(net.all_to_all_time(1e9, 64.0, NVL72.up))


def test_domains_of_eight_are_as_before():
    eight = replace(NVL72, domain=8.0)
    assert net.local_ranks(6.0, 1.0, eight) == 2.0
    assert net.by_extent(6.0, eight, 1.0, 2.0) == 2.0
    assert net.by_extent(4.0, eight, 1.0, 2.0) == 1.0


# -- serving --------------------------------------------------------------------------------------


def test_decode_without_shared_reads_takes_as_long_as_with_a_kv_head_for_each_query_head():
    load = inference.decode_load(LLAMA, 64.0, 4096.0)
    chip = replace(BF16, attention=0.0)
    shared, each = (
        inference.forward(LLAMA, chip, load, width=2.0, shared_reads=shared).stream
        for shared in (True, False)
    )
    cache = 64 * 4096 * 2 * 32 * 1024 * 2 / 3e12
    assert each - shared == pytest.approx(3.0 * cache)


def test_heads_of_a_group_read_again_from_the_level_2_cache():
    """64 answers of 4096 tokens hold 34.4 GB: read once 11.5 ms, by 4 heads 137 GB, at 5 TB/s 27.5 ms."""
    load = inference.decode_load(LLAMA, 64.0, 4096.0)
    chip = replace(BF16, attention=0.0)

    def time(**reads):
        return float(inference.forward(LLAMA, chip, load, width=2.0, **reads).time)

    once, slow, fast = time(), time(shared_reads=False, rereads=5e12), time(shared_reads=False, rereads=1e15)
    cache = 64 * 4096 * 2 * 32 * 1024 * 2
    assert slow - once == pytest.approx(4.0 * cache / 5e12 - cache / 3e12)
    assert fast == pytest.approx(once)
    assert roofline.cache_time(cache, chip, 4.0) == pytest.approx(4.0 * cache / 3e12)


def test_products_of_few_rows_start_and_read_at_a_pace_of_their_own():
    p = Matmul(1.0, 4096.0, 4096.0, 10.0, 10.0)
    chip = replace(FP8, launch=4e-6, matmul_launch=7e-6, operand_share=0.8)
    moved = 10 * (4096 + 4096 * 4096 + 4096)
    assert roofline.matmul_time(p, chip, 1.0) == pytest.approx(moved / (3e12 * 0.8) + 70e-6)
    # what stays in 16 bits has no operands to scale
    assert roofline.matmul_time(p, roofline.wide(chip), 2.0) == pytest.approx(
        2 * moved / (3e12 * 0.8) + 40e-6
    )
    plain = roofline.matmul_time(p, replace(chip, matmul_launch=0.0, operand_share=0.0), 1.0)
    assert plain == pytest.approx(moved / 3e12 + 40e-6)


@pytest.mark.parametrize(
    ("chip", "ranks", "size", "measured"),
    [
        ("H100", 2, 262144, 3.8),
        ("H100", 4, 262144, 5.5),
        ("H100", 8, 131072, 6.2),
        ("H100", 8, 256, 3.2),
        ("A100", 2, 131072, 5.2),
        ("A100", 4, 65536, 6.0),
        ("A100", 8, 1024, 4.6),
        ("B200", 8, 65536, 6.0),
    ],
)
def test_small_all_reduces_as_measured(chip, ranks, size, measured):
    """Tables of TensorRT-LLM in AIConfigurator, by bytes, in us: within a quarter (NCCL takes 8 to 29)."""
    up = network_of(
        node(f"DGX_{chip}"),
        8,
        Assumptions(),
        inference=True,
    ).up
    time = float(net.all_reduce_time(float(size), float(ranks), up)) * 1e6
    assert time == pytest.approx(measured, rel=0.25)
    assert time <= float(net.all_reduce_time(float(size), float(ranks), replace(up, peer_start=0.0))) * 1e6


def test_one_shot_by_hand_and_only_where_offered():
    tier = Tier(100e9, 1e-6, start=20e-6, peer_start=3e-6)
    assert net.all_reduce_time(1e5, 4.0, tier) == pytest.approx(3e-6 + 3 * 1e-6)
    assert net.all_reduce_time(1e5, 1.0, tier) == 0.0
    assert net.all_reduce_time(1e9, 4.0, tier) == net.all_reduce_time(1e9, 4.0, replace(tier, peer_start=0.0))
    assert network_of(node("DGX_H100"), 8, Assumptions()).up.peer_start == 0.0
