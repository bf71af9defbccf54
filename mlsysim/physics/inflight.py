"""The most that a replica answers where new prompts join running answers in the same pass.

In-flight batching without a bound on prompts a pass (Yu 2022, section 3.2): what published tables of the
highest throughput show, in which all requests are there from the start and nobody waits for a first token.
The schedulers of :mod:`mlsysim.physics.serving` read one prompt at a time, as services under load do.
"""

from __future__ import annotations

import numpy as np

from mlsysim.physics import inference, kvcache, serving
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.serving import Instance
from mlsysim.physics.types import Array


def in_flight_rate(i: Instance, batch: Array, n: Lengths, budget: Array) -> Array:
    """Return the requests that are completed in a second while there are always more [request/s].

    An answer of ``o`` tokens has its first from the pass that reads its prompt of ``p``, and the others
    from ``o - 1`` passes more, so that of ``b`` places ``b / o`` take a new prompt in each pass and the
    others decode. Where these tokens are more than the budget of a pass, it is full, and as many places
    work as it holds.

    Args:
        i: the replica.
        batch: its places.
        n: lengths of the requests.
        budget: tokens of a pass at most.
    """
    batch, output = np.asarray(batch, dtype=float), np.maximum(n.output, 1.0)
    each = (n.prompt + output - 1.0) / output  # tokens of a place and pass, on average
    working = np.minimum(batch, budget / each)
    entering = working / output
    load = inference.prefill_load(i.model, entering, n.prompt)
    if i.model.causal:
        load = load + inference.decode_load(i.model, working - entering, kvcache.held_tokens(n))
    return entering / serving.run(i, load).time
