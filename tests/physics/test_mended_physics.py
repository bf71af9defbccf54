"""Laws that the physics once broke."""

from dataclasses import replace

import numpy as np
import pytest
from physics_cases import H100, LLAMA3_8B, MIXTRAL_8X7B, NODES, job
from test_training import ideal, run

from mlsysim.core import units
from mlsysim.core.errors import UnitError
from mlsysim.models import CATALOG
from mlsysim.physics import collectives as net
from mlsysim.physics import roofline
from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf
from mlsysim.physics.opaque import Operations


def test_compute_hides_traffic_once():
    """With ZeRO 2 more compute never makes a step shorter."""
    j = job(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B))
    none, full = (run(j, cp=2, dp=32, zero=2, recompute=r).time for r in (0, 2))
    assert none <= full * (1 + 1e-9)


@pytest.mark.parametrize("model", [Operations(params=25.6e6, flops=8.2e9), replace(LLAMA3_8B, layers=2.0)])
def test_a_higher_stage_of_zero_never_holds_more(model):
    j = ideal(model=model, weights=tr.weights_of(model), accelerators=8.0)
    held = [float(run(j, dp=8, zero=z).state) for z in range(4)]
    assert held == sorted(held, reverse=True)


def test_a_grouped_product_is_one_launch():
    p = tf.Matmul(128.0, 128.0, 128.0, 32.0)
    bare = roofline.matmul_time(p, replace(H100, launch=0.0), 2.0)
    assert roofline.matmul_time(p, H100, 2.0) - bare == pytest.approx(H100.launch)


def test_one_round_of_an_interleaved_pipeline_holds_its_own_microbatches():
    j = ideal(fused_attention=True, accelerators=4.0, batch=4.0)
    layer = tr.layer_part(j, tp=1, cp=1, ep=1, microbatch=1, selective=False, sequence_parallel=False)
    shard = tr.shard_part(j, tp=1, cp=1, pp=4, dp=1, ep=1, zero=0)
    first = 8 * shard.layer + shard.first + 32 * layer.kept
    last = 8 * shard.layer + shard.last + 8 * (5 / 2) * layer.kept + layer.head_kept
    assert run(j, pp=4, interleave=2).memory == pytest.approx(max(first, last))


def test_copies_of_tokens_follow_sequence_parallelism():
    """One more copy of h, whole on every rank as other layer inputs are, and one more gated MLP / 8."""
    fewer = replace(MIXTRAL_8X7B, experts_active=1.0)
    kept = [tf.activation_bytes(m, 1.0, 2048.0, 8.0, False, 0) for m in (MIXTRAL_8X7B, fewer)]
    assert kept[0] - kept[1] == pytest.approx(2 * (4096 + 3 * 14336 / 8))


def test_a_group_that_straddles_domains_is_not_inside():
    """Six ranks a group on servers of eight: the second group spans two servers."""
    network = net.Network(NODES.up, NODES.out, 8.0)
    assert net.by_extent(np.array([2, 4, 6, 8, 16]), network, 1, 0).tolist() == [1, 1, 0, 1, 0]


@pytest.mark.parametrize("text", ["1e300 PB", 10**400, "5 _", "1__0 B", "1_ B", "1 1 B", "nan B"])
def test_numbers_that_are_none_are_refused(text):
    with pytest.raises(UnitError):
        units.parse(text, "byte")


@pytest.mark.parametrize("name", ["DeepSeek_V3", "DeepSeek_R1", "DeepSeek_V2", "Kimi_K2"])
def test_counts_that_are_derived_from_the_architecture_are_its_own(name):
    model = CATALOG.get(name)
    assert tf.total_params(model.transformer) == pytest.approx(model.parameters.base, rel=1e-12)
