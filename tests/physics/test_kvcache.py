"""Memory of the KV cache: paged and reserved, against the figures of Kwon 2023 and Pope 2023."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import kvcache
from mlsysim.physics.kvcache import Batching, Lengths
from mlsysim.physics.transformer import Transformer, kv_bytes_per_token


def opt(layers: float, hidden: float) -> Transformer:
    heads = hidden / 128
    return Transformer(layers=layers, hidden=hidden, ffn=4 * hidden, heads=heads, kv_heads=heads,
                       head_dim=128.0, vocab=50272.0, positions=2050.0, gated=False)  # fmt: skip


OPT_13B, OPT_66B, OPT_175B = opt(40.0, 5120.0), opt(64.0, 9216.0), opt(96.0, 12288.0)
PALM = Transformer(layers=118.0, hidden=18432.0, ffn=73728.0, heads=48.0, kv_heads=1.0, head_dim=256.0,
                   vocab=256000.0, norms=1.0)  # fmt: skip
# Kwon 2023, figure 11a: means of the requests made from ShareGPT
SHAREGPT = Lengths(prompt=161.31, output=337.99, output_cv=1.0, longest=2048.0)

lengths = st.builds(
    Lengths,
    prompt=st.floats(1.0, 1e5),
    output=st.floats(1.0, 1e4),
    prompt_cv=st.floats(0.0, 3.0),
    output_cv=st.floats(0.0, 3.0),
    longest=st.just(2e5),
)


def batch(n: Lengths = SHAREGPT, **changes: float) -> Batching:
    usual = Batching(requests=30.0, lengths=n, block=16.0, token_bytes=819_200.0, pool=12 * 2.0**30)
    return replace(usual, **changes)


# -- bytes ------------------------------------------------------------------------------------------


def test_a_token_of_opt_13b_takes_800_kb():
    """Kwon 2023, section 3: 2 vectors x 5120 x 40 layers x 2 bytes, so 1.6 GB for 2048 tokens."""
    assert kvcache.token_bytes(OPT_13B, 2.0) == 2 * 5120 * 40 * 2 == 800 * 1024
    assert 2048 * kvcache.token_bytes(OPT_13B, 2.0) / 2**30 == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize(
    ("model", "cards", "room", "slots"),
    [(OPT_13B, 1, 12, 15.7e3), (OPT_66B, 4, 21, 9.7e3), (OPT_175B, 8, 264, 60.1e3)],
)
def test_the_slots_of_kwon_table_1(model, cards, room, slots):
    """Memory for the cache and the tokens that it holds, over all cards; printed in whole GB."""
    pool = room * 2.0**30 / cards
    held = batch(token_bytes=kvcache.token_bytes(model, 2.0, float(cards)), pool=pool)
    assert kvcache.pool_blocks(held) * 16 == pytest.approx(slots, rel=0.02)


def test_what_is_left_on_an_a100_for_opt_13b():
    """Kwon 2023, figure 1: of 40 GB, 26 hold parameters and above 30 percent is left for the cache."""
    capacity, weights = 40 * 2.0**30, 13e9 * 2
    left = kvcache.pool_bytes(capacity, 0.9, weights, 0.0, 0.0)
    assert left == pytest.approx(0.9 * capacity - weights)
    assert 0.28 < left / capacity < 0.35
    assert kvcache.pool_bytes(capacity, 0.5, weights, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("model", "per_chip", "printed"),
    [
        # heads of width 128, padded from 48 to 64 so that each of 64 chips has one
        (replace(PALM, kv_heads=64.0, head_dim=128.0), 64.0, {128: 1320, 512: 330}),
        (PALM, 64.0, {128: 660, 512: 165}),
    ],
)
def test_the_longest_context_of_pope_table_1(model, per_chip, printed):
    """64 chips of 32 GiB, 30 percent of it for the cache: 48 heads or a single one, by heads."""
    room = 0.3 * 32 * 2.0**30
    for requests, context in printed.items():
        fits = room / (requests * kvcache.token_bytes(model, 2.0, per_chip))
        assert fits == pytest.approx(context, rel=0.015)


def test_divided_by_requests_the_single_head_reaches_43000():
    """Pope 2023, table 1, last row: each chip holds the whole cache of its share of requests."""
    room = 0.3 * 32 * 2.0**30
    for requests, context in {128: 43_000, 512: 10_700}.items():
        assert room / (requests / 64 * kvcache.token_bytes(PALM, 2.0)) == pytest.approx(context, rel=0.015)


def test_512_requests_of_multihead_palm_take_3_tb():
    """Pope 2023, section 2: batch 512, context 2048, heads of width 128 as in their table 1."""
    multihead = replace(PALM, kv_heads=48.0, head_dim=128.0)
    assert 512 * 2048 * kvcache.token_bytes(multihead, 2.0) == pytest.approx(3e12, rel=0.02)


def test_a_head_is_never_divided():
    grouped = replace(OPT_13B, kv_heads=8.0)
    whole = kv_bytes_per_token(grouped, 2.0)
    tp = np.array([1.0, 2.0, 3.0, 8.0, 64.0])
    expected = whole * np.array([1.0, 1 / 2, 3 / 8, 1 / 8, 1 / 8])
    np.testing.assert_allclose(kvcache.token_bytes(grouped, 2.0, tp), expected)
    latent = replace(grouped, kv_rank=512.0, rope_dim=64.0)
    assert kvcache.token_bytes(latent, 2.0, 8.0) == kv_bytes_per_token(latent, 2.0)
    assert kvcache.ranks_sharing(latent, 8.0) == 1.0


# -- tokens -----------------------------------------------------------------------------------------


def test_equal_answers_are_half_there_and_exponential_ones_count_in_full():
    assert kvcache.held_tokens(Lengths(100.0, 300.0)) == 250.0
    assert kvcache.held_tokens(Lengths(100.0, 300.0, output_cv=1.0)) == 400.0


def test_the_age_of_a_running_answer_is_uniform_or_exponential():
    """Of equal answers the age is uniform; of exponential ones it is exponential itself."""
    assert kvcache.held_deviation(Lengths(0.0, 300.0)) == pytest.approx(300 / np.sqrt(12))
    assert kvcache.held_deviation(Lengths(0.0, 300.0, output_cv=1.0)) == pytest.approx(300.0)
    assert kvcache.held_deviation(Lengths(100.0, 300.0, prompt_cv=2.0)) == pytest.approx(
        np.hypot(200.0, 300 / np.sqrt(12))
    )


@pytest.mark.parametrize("cv", [0.5, 1.0, 1.5])
def test_a_simulated_replica_holds_as_much(cv):
    """Answers one after another, each growing a token at a time, seen at random moments."""
    random = np.random.default_rng(3)
    shape = 1 / cv**2
    answers = random.gamma(shape, 200.0 / shape, 400_000)
    ends = np.cumsum(answers)
    seen = random.uniform(0.0, ends[-1], 400_000)
    age = seen - np.concatenate(([0.0], ends))[np.searchsorted(ends, seen)]
    n = Lengths(0.0, 200.0, output_cv=cv)
    assert kvcache.held_tokens(n) == pytest.approx(age.mean(), rel=0.02)
    assert kvcache.held_deviation(n) == pytest.approx(age.std(), rel=0.03)


# -- blocks -----------------------------------------------------------------------------------------


def test_paging_wastes_less_than_4_percent():
    """Kwon 2023, figure 2: 96.3 percent of the blocks hold tokens, whatever the lengths do."""
    for cv in (0.0, 1.0):
        assert 0.963 < kvcache.used_share(batch(replace(SHAREGPT, output_cv=cv))) < 1.0


def test_reserving_2048_tokens_leaves_most_of_them_empty():
    """Kwon 2023, figure 2: 20.4 percent in use (Orca, Max); lengths vary less than exponentially."""
    share = [
        kvcache.used_share(batch(replace(SHAREGPT, output_cv=cv), paged=False)) for cv in (0.0, 0.72, 1.0)
    ]
    assert share[0] < 0.204 < share[2]
    assert share[1] == pytest.approx(0.204, abs=0.002)


@given(st.integers(1, 4096), st.integers(1, 128))
def test_the_average_last_block_is_half_empty(tokens, block):
    """Exact for lengths spread evenly over the blocks."""
    spread = np.arange(tokens * block) + 1
    exact = np.ceil(spread / block).mean()
    mean = batch(Lengths(float(spread.mean()), 0.0), block=float(block))
    assert kvcache.blocks_per_request(mean) == pytest.approx(exact, rel=1e-9)


@given(lengths, st.integers(1, 256))
def test_a_block_of_one_token_wastes_nothing(n, block):
    assert kvcache.used_share(batch(n, block=1.0)) == 1.0
    assert kvcache.used_share(batch(n, block=float(block + 1))) < kvcache.used_share(
        batch(n, block=float(block))
    )


@given(lengths, st.integers(1, 512))
def test_paging_never_takes_more_than_reserving_when_all_fits(n, requests):
    longest = kvcache.held_tokens(n) + 16.0
    paged = batch(replace(n, longest=longest), requests=float(requests))
    assert kvcache.demand_blocks(paged) <= kvcache.demand_blocks(replace(paged, paged=False))


@given(lengths, st.integers(1, 512), st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
@settings(max_examples=50)
def test_safety_costs_blocks(n, requests, one, other):
    b = batch(n, requests=float(requests))
    often, rarely = max(one, other), min(one, other)
    assert kvcache.demand_blocks(b) <= kvcache.demand_blocks(b, often) <= kvcache.demand_blocks(b, rarely)


def test_one_percent_is_2_33_deviations_away():
    b = batch(Lengths(0.0, 300.0, output_cv=1.0), requests=100.0)
    beyond = kvcache.demand_blocks(b, 0.01) - kvcache.demand_blocks(b)
    assert beyond == pytest.approx(2.3263 * 10 * 300 / 16, rel=1e-4)


@given(lengths, st.booleans(), st.floats(1e6, 1e12))
def test_the_most_requests_fit_and_one_more_does_not(n, paged, pool):
    b = batch(n, paged=paged, pool=pool)
    most = kvcache.most_requests(b)
    room = kvcache.pool_blocks(b)
    assert kvcache.demand_blocks(replace(b, requests=most)) <= room * (1 + 1e-12)
    assert kvcache.demand_blocks(replace(b, requests=most + 1)) > room * (1 - 1e-12)


def test_a_common_prefix_is_held_once():
    n = Lengths(1000.0, 200.0, shared=800.0)
    own = batch(n, requests=50.0)
    alone = batch(replace(n, shared=0.0), requests=50.0)
    assert kvcache.demand_blocks(alone) - kvcache.demand_blocks(own) == pytest.approx(49 * 800 / 16)


def test_numbers_and_arrays_agree_to_the_bit():
    requests, prompt = np.array([1.0, 17.0, 300.0]), np.array([[33.0], [1500.0]])
    table = batch(Lengths(prompt, 300.0, output_cv=0.7, longest=4096.0), requests=requests)
    for paged in (True, False):
        whole = kvcache.demand_blocks(replace(table, paged=paged), 0.01)
        for i, j in np.ndindex(2, 3):
            n = Lengths(float(prompt[i, 0]), 300.0, output_cv=0.7, longest=4096.0)
            one = batch(n, requests=float(requests[j]), paged=paged)
            assert kvcache.demand_blocks(one, 0.01) == whole[i, j]


def test_dimensions():
    u = ureg()
    n = Lengths(u.Quantity(100.0, "token"), u.Quantity(50.0, "token"), 0.1, 0.5)
    assert kvcache.held_tokens(n).check("[token]")
    assert kvcache.held_deviation(n).check("[token]")
    left = kvcache.pool_bytes(
        u.Quantity(80.0, "GiB"), 0.9, u.Quantity(16.0, "GB"), u.Quantity(1.0, "GB"), u.Quantity(1.0, "GB")
    )
    assert left.check("[information]")
