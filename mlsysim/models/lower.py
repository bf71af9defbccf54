"""Lowering: a model of the zoo as the numbers that the physics takes."""

from __future__ import annotations

from mlsysim.core.errors import RegistryError
from mlsysim.core.provenance import Value
from mlsysim.models import Architecture, Model
from mlsysim.physics.opaque import Operations
from mlsysim.physics.statespace import StateSpace
from mlsysim.physics.transformer import Transformer


def base(value: Value | None) -> float:
    """Return a value in base units, 0 where it is absent."""
    return value.base if value is not None else 0.0


def transformer(model: Model) -> Transformer:
    """Return a transformer entry as numbers, checked to have all that its kind needs."""
    where = f"{model.group}/{model.name}.yaml"
    a = model.architecture
    if a is None:
        raise RegistryError("'architecture' is missing", where=where)

    def need(name: str) -> float:
        value: Value | None = getattr(a, name)
        if value is None:
            raise RegistryError(f"architecture.{name} is missing", where=where)
        return value.base

    if model.kind == "encoder_decoder":
        layers = need("encoder_layers") + need("decoder_layers")
        blocks = 1.0 + need("decoder_layers") / layers  # decoders attend to the encoder too
    else:
        layers, blocks = need("layers"), 1.0
    experts = base(a.experts)
    latent = base(a.kv_rank)
    return Transformer(
        layers=layers,
        hidden=need("hidden"),
        ffn=base(a.ffn) or need("expert_ffn"),
        heads=need("heads"),
        kv_heads=base(a.kv_heads) or need("heads"),
        head_dim=base(a.head_dim) or need("hidden") / need("heads"),
        vocab=need("vocab"),
        positions=base(a.context) if a.positions == "learned" else 0.0,
        gated=a.gated_mlp,
        tied=a.tied_embeddings,
        causal=a.causal,
        norm_width=2.0 if a.norm == "layernorm" else 1.0,
        norms=1.0 if a.parallel_block else 2.0,
        qkv_bias=a.bias == "qkv",
        bias=a.bias == "all",
        relative=a.positions == "relative",
        attention_blocks=blocks,
        window=base(a.window),
        full_layers=base(a.full_layers),
        experts=experts,
        experts_active=need("experts_active") if experts else 0.0,
        expert_ffn=need("expert_ffn") if experts else 0.0,
        shared_experts=base(a.shared_experts),
        dense_layers=base(a.dense_layers),
        q_rank=base(a.q_rank),
        kv_rank=latent,
        rope_dim=need("rope_dim") if latent else 0.0,
        nope_dim=need("nope_dim") if latent else 0.0,
        value_dim=need("value_dim") if latent else 0.0,
    )


def operations(model: Model, seq_len: float) -> Operations:
    """Return a model by its totals, for kinds without transformer layers.

    Raises:
        RegistryError: its compute is not known.
    """
    if model.kind == "mamba":
        return _mamba(model, seq_len)
    if model.flops_per_sample is None:
        raise RegistryError(
            f"{model.name} has no flops_per_sample",
            where=f"{model.group}/{model.name}.yaml",
            hint="its compute is not known; choose another model or add it",
        )
    return Operations(
        model.parameters.base,
        model.flops_per_sample.base,
        base(model.activations_per_sample),
        base(model.bytes_per_sample),
        read=base(model.parameters_active),
    )


def _mamba(model: Model, seq_len: float) -> Operations:
    """Return a selective state-space model by its totals over ``seq_len`` tokens.

    Two operations a parameter and token, plus about 9 a state element for the scan (Gu and Dao
    2023, section 3.3 and appendix D).
    """
    a = model.architecture
    params = model.parameters.base
    if a is None or a.layers is None or a.hidden is None or a.state is None:
        raise RegistryError(
            "a mamba model needs layers, hidden and state", where=f"{model.group}/{model.name}.yaml"
        )
    inner = (base(a.expand) or 2.0) * a.hidden.base
    scan = 9.0 * a.layers.base * inner * a.state.base
    kept = a.layers.base * (2.0 * a.hidden.base + 5.0 * inner)
    return Operations(params, seq_len * (2.0 * params + scan), seq_len * kept, 0.0, seq_len)


def state_space(a: Architecture | None, where: str) -> StateSpace:
    """Return a state-space architecture in numbers.

    Raises:
        RegistryError: a size that the equations need is missing.
    """

    def size(name: str) -> float:
        value: Value | None = getattr(a, name, None)
        if value is None:
            raise RegistryError(f"architecture.{name} is missing", where=where)
        return value.base

    return StateSpace(
        layers=size("layers"),
        hidden=size("hidden"),
        inner=size("expand") * size("hidden"),
        state=size("state"),
        conv=size("conv"),
        dt_rank=size("dt_rank"),
        vocab=size("vocab"),
        tied=a is not None and a.tied_embeddings,
        bias=a is not None and a.bias == "all",
    )
