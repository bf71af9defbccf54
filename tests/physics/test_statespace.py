"""Parameters of Mamba models against the released checkpoints (Gu and Dao 2023)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlsysim.physics.statespace import StateSpace, block_params, total_params


def mamba(layers: int, hidden: int) -> StateSpace:
    """E 2, N 16, convolution of 4, R = D / 16, vocabulary padded to 50280 (Gu and Dao 2023, section E)."""
    return StateSpace(
        layers=float(layers),
        hidden=float(hidden),
        inner=2.0 * hidden,
        state=16.0,
        conv=4.0,
        dt_rank=float(math.ceil(hidden / 16)),
        vocab=50_280.0,
    )


@pytest.mark.parametrize(
    ("layers", "hidden", "count"),
    [
        (24, 768, 129_135_360),
        (48, 1024, 371_516_416),
        (48, 1536, 793_204_224),
        (48, 2048, 1_372_178_432),
        (64, 2560, 2_768_345_600),
    ],
)
def test_released_checkpoints(layers, hidden, count):
    assert total_params(mamba(layers, hidden)) == count


def test_a_block_by_hand():
    # D 2, inner 4, N 3, convolution 2, R 1: in 2x8, convolution 4x2+4, select 4x(1+6),
    # step 1x4+4, A 4x3, D 4, out 4x2, norm 2
    tiny = StateSpace(layers=1.0, hidden=2.0, inner=4.0, state=3.0, conv=2.0, dt_rank=1.0, vocab=5.0)
    assert block_params(tiny) == 16 + 12 + 28 + 8 + 12 + 4 + 8 + 2
    assert total_params(tiny) == 90 + 5 * 2 + 2
    assert total_params(replace(tiny, tied=False)) == 90 + 2 * 5 * 2 + 2
    # biases of both projections, no bias of the convolution
    assert block_params(replace(tiny, bias=True, conv_bias=False)) == 90 + 8 + 2 - 4
