"""Layer A: models, and their lowering to what the physics needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, Record, flag, number, part, text
from mlsysim.core.registry import Catalog

if TYPE_CHECKING:
    from mlsysim.physics.opaque import Operations
    from mlsysim.physics.transformer import Transformer

KINDS = ("transformer", "encoder_decoder", "mamba", "operations")


@dataclass(frozen=True, repr=False)
class Architecture(Record):
    """Sizes of a layered model; which of them apply depends on the model's kind."""

    layers: Value | None = number("1")
    encoder_layers: Value | None = number("1")
    decoder_layers: Value | None = number("1")
    hidden: Value | None = number("1")
    ffn: Value | None = number("1")
    heads: Value | None = number("1")
    kv_heads: Value | None = number("1")
    head_dim: Value | None = number("1")
    vocab: Value | None = number("1")
    context: Value | None = number("token")
    window: Value | None = number("token")
    full_layers: Value | None = number("1")
    experts: Value | None = number("1")
    experts_active: Value | None = number("1")
    expert_ffn: Value | None = number("1")
    shared_experts: Value | None = number("1")
    dense_layers: Value | None = number("1")
    q_rank: Value | None = number("1")
    kv_rank: Value | None = number("1")
    rope_dim: Value | None = number("1")
    nope_dim: Value | None = number("1")
    value_dim: Value | None = number("1")
    state: Value | None = number("1")
    expand: Value | None = number("1")
    conv: Value | None = number("1")
    dt_rank: Value | None = number("1")
    gated_mlp: bool = flag(True)
    tied_embeddings: bool = flag(False)
    causal: bool = flag(True)
    parallel_block: bool = flag(False)
    norm: str = text(choices=("rmsnorm", "layernorm"))
    bias: str = text(choices=("none", "qkv", "all"))
    positions: str = text(choices=("rope", "learned", "alibi", "none", "relative"))


@dataclass(frozen=True, repr=False)
class Model(Entry):
    """A model of the zoo."""

    family: str = text()
    task: str = text()
    kind: str = text(required=True, choices=KINDS)
    sample: str = text()
    released: Value | None = number("year")
    architecture: Architecture | None = part(Architecture)
    parameters: Value = number("param", required=True)
    parameters_active: Value | None = number("param")
    training_tokens: Value | None = number("token")
    flops_per_sample: Value | None = number("FLOP")
    activations_per_sample: Value | None = number("1")
    bytes_per_sample: Value | None = number("byte")

    @property
    def is_transformer(self) -> bool:
        """Whether the model lowers to a :class:`Transformer`."""
        return self.kind in ("transformer", "encoder_decoder")

    @cached_property
    def transformer(self) -> Transformer:
        """The model as the transformer equations take it.

        Raises:
            RegistryError: a size that the equations need is missing.
        """
        from mlsysim.models.lower import transformer

        return transformer(self)

    def operations(self, seq_len: float) -> Operations:
        """Return the model by its totals over ``seq_len`` tokens, for kinds without such layers.

        Raises:
            RegistryError: its compute is not known.
        """
        from mlsysim.models.lower import operations

        return operations(self, seq_len)


CATALOG: Catalog[Model] = Catalog("models", "models", {"": Model})
