"""Experts: how far a token goes, what may hide the way, and a host that cannot keep up."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import MIXTRAL_8X7B
from test_training import WIRE, ideal

from mlsysim.physics import traffic
from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf
from mlsysim.physics import work as ly
from mlsysim.physics.job import Stack

BIG = replace(MIXTRAL_8X7B, experts=64.0, experts_active=4.0)


def layer(model=MIXTRAL_8X7B, *, ep=8, chip=None, stack=Stack(), **options):  # noqa: B008 (frozen)
    j = replace(ideal(network=WIRE, model=model, accelerators=8.0, batch=8.0, overlap=1.0), stack=stack)
    j = j if chip is None else replace(j, chip=replace(j.chip, **chip))
    return tr.layer_part(
        j, tp=1, cp=1, ep=ep, microbatch=1, selective=False, sequence_parallel=False, **options
    )


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_chosen_by_counting(ranks):
    """Every choice of 3 of 8 experts, spread over ranks."""
    m = replace(MIXTRAL_8X7B, experts_active=3.0)
    each = 8 // ranks
    found = [len({e // each for e in chosen}) for chosen in combinations(range(8), 3)]
    assert tf.ranks_chosen(m, float(ranks)) == pytest.approx(np.mean(found), rel=1e-12)


def test_a_rank_for_each_expert_is_a_copy_for_each():
    assert tf.ranks_chosen(MIXTRAL_8X7B, 8.0) == pytest.approx(2.0, rel=1e-12)


@given(ep=st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]))
def test_no_more_copies_than_ranks_and_experts(ep):
    assert 1.0 - 1e-12 <= tf.ranks_chosen(BIG, ep) <= min(ep, 4.0) + 1e-12


def test_hidden_exchanges_cost_the_units_that_move_them():
    j = ideal(network=WIRE, model=MIXTRAL_8X7B, accelerators=8.0, batch=8.0, overlap=1.0)
    j = replace(j, sender_share=0.15)
    way = traffic.exchange(j, MIXTRAL_8X7B, 4096.0, 1.0, 1.0, 8.0)
    assert traffic.exchange_left(j, way, 2.0 * way, True) == pytest.approx(0.15 * way)
    assert traffic.exchange_left(j, way, 0.0 * way, True) == pytest.approx(way)
    assert traffic.exchange_left(j, way, 2.0 * way, False) == way


@given(ep=st.sampled_from([1, 2, 4, 8]), slow=st.floats(1e-3, 1e3))
def test_hiding_exchanges_is_never_slower(ep, slow):
    shown, hidden = (layer(ep=ep, chip={"peak": 1e15 / slow}, overlap_experts=o) for o in (False, True))
    assert hidden.exposed <= shown.exposed * (1 + 1e-12)
    assert hidden.matmul == shown.matmul


def test_a_host_that_issues_experts_one_by_one_sets_the_pace():
    """Three operators forward and four backward for each of two products of an expert, and the others."""
    slow = {"narrow": 1.0, "host": 1.0}
    free, held = layer(BIG, chip={"narrow": 1.0}), layer(BIG, chip=slow)
    others = tf.operators(BIG, fused_attention=False)
    whole = held.matmul + held.elementwise + held.exposed
    assert whole == pytest.approx(7 * 2 * 64 / 8 + 3 * others, rel=1e-9)
    forward = held.again_matmul + held.again_elementwise + held.again_exposed
    assert forward == pytest.approx(3 * 2 * 8 + others)
    # half of the ranks, twice the experts of each
    alone = layer(BIG, ep=4, chip=slow)
    found = alone.matmul + alone.elementwise + alone.exposed
    assert found == pytest.approx(7 * 2 * 64 / 4 + 3 * others, rel=1e-9)
    # and no wait where there is work enough, or in 16 bits
    quick = layer(BIG, chip=slow | {"host": 1e-12})
    assert quick.elementwise == free.elementwise
    assert layer(BIG, chip={"host": 1.0}).elementwise == layer(BIG).elementwise
    assert ly.ISSUED + ly.ISSUED_BACKWARD == 7


def test_a_forward_pass_stops_at_the_routing():
    """The host is not ahead there: experts wait for it, however long the rest of the layer takes."""
    j = ideal(network=WIRE, model=BIG, accelerators=8.0, batch=8.0)
    j = replace(j, chip=replace(j.chip, narrow=1.0, host=1.0))
    products = tf.layer_matmuls(BIG, 4096.0, 1.0, 8.0)
    experts = ly.products(j, [p for p in products if p.grouped])[0]
    behind = 3 * 2 * 8 - experts.compute - experts.excess
    assert ly.host_waits(j, BIG, products, 8.0, 1e3, 2e3) == (pytest.approx(behind), pytest.approx(behind))
    # in turns with a backward pass, nothing that is issued hides
    turns = replace(j, stack=Stack(in_turns=True))
    others = tf.operators(BIG, fused_attention=False)
    found = ly.host_waits(turns, BIG, products, 8.0, 1e3, 2e3)
    assert found == (pytest.approx(7 * 2 * 8 + 3 * others), pytest.approx(3 * 2 * 8 + others))


def test_a_copy_for_each_expert_is_sent_more_often_than_one_for_each_rank():
    j = ideal(network=WIRE, model=MIXTRAL_8X7B, accelerators=8.0, batch=8.0)
    once = traffic.exchange(j, MIXTRAL_8X7B, 4096.0, 1.0, 1.0, 2.0)
    each = traffic.exchange(replace(j, stack=Stack(copies=True)), MIXTRAL_8X7B, 4096.0, 1.0, 1.0, 2.0)
    assert each / once == pytest.approx(2.0 / tf.ranks_chosen(MIXTRAL_8X7B, 2.0), rel=1e-9)
