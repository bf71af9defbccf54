"""Parameters of a selective state-space model (Mamba).

Symbols follow Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces":
``D`` model width, ``E`` expansion, ``N`` state size.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StateSpace:
    """A selective state-space model in numbers.

    ``inner`` is ``E D``, the width of a block; ``conv`` the length of its causal convolution;
    ``dt_rank`` the rank of the projection that gives the time step (``R``, section 3.6).
    """

    layers: float
    hidden: float
    inner: float
    state: float
    conv: float
    dt_rank: float
    vocab: float
    tied: bool = True
    bias: bool = False
    conv_bias: bool = True


def block_params(m: StateSpace) -> float:
    """Return the parameters of one block with its norm [param].

    Gu and Dao 2023, figure 3 and sections 3.4 and 3.6: input projection to the two branches,
    convolution, the input-dependent B, C and time step, A and D, and the output projection.
    """
    project = 2.0 * m.hidden * m.inner + m.bias * 2.0 * m.inner
    convolve = m.inner * (m.conv + m.conv_bias)
    select = m.inner * (m.dt_rank + 2.0 * m.state) + (m.dt_rank + 1.0) * m.inner
    scan = m.inner * m.state + m.inner
    out = m.inner * m.hidden + m.bias * m.hidden
    return project + convolve + select + scan + out + m.hidden


def total_params(m: StateSpace) -> float:
    """Return all parameters: blocks, embedding, final norm, and the output unless tied [param]."""
    embeddings = (1.0 if m.tied else 2.0) * m.vocab * m.hidden
    return m.layers * block_params(m) + embeddings + m.hidden
