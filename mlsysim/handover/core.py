"""Settings of Megatron Core, the library under both Megatron-LM and Megatron Bridge.

Names are those of the fields of its configuration; the two emitters spell them their way. None and
False stand for what is not asked for.
"""

from __future__ import annotations

from mlsysim.handover.launch import Launch

Value = int | float | str | bool | None
Settings = dict[str, Value]

POSITIONS = {
    "rope": "rope",
    "learned": "learned_absolute",
    "relative": "relative",
    "none": "none",
    "": "none",
}


def parallel(at: Launch, notes: list[str]) -> Settings:
    """Return the degrees and the pipeline."""
    settings: Settings = {
        "tensor_model_parallel_size": at.tp,
        "pipeline_model_parallel_size": at.pp,
        "context_parallel_size": at.cp,
        "sequence_parallel": at.sequence_parallel,
    }
    if at.model.experts:
        # the plan divides experts by tp as it divides the other matrices
        settings |= {"expert_model_parallel_size": at.ep, "expert_tensor_parallel_size": at.tp}
    if at.cp > 1 and at.seq_len % (2 * at.cp):
        notes.append(f"sequences of {at.seq_len} do not divide by 2 x cp = {2 * at.cp}, as it asks")
    if at.ep > 1 and at.tp > 1 and not at.sequence_parallel:
        notes.append(
            "expert with tensor parallelism asks for sequence parallelism, which the plan leaves out"
        )
    return settings | pipeline(at)


def pipeline(at: Launch) -> Settings:
    """Return how the layers lie on the pipeline."""
    virtual = at.interleave if at.interleave > 1 else None
    settings: Settings = {
        "virtual_pipeline_model_parallel_size": virtual,
        "num_layers_in_first_pipeline_stage": None,
        "num_layers_in_last_pipeline_stage": None,
        "pipeline_model_parallel_layout": None,
    }
    if at.even or at.pp == 1:
        return settings
    first, last = at.first_stage_layers, at.last_stage_layers
    middle = set(at.stages[bool(first) : at.pp - bool(last)])
    if len(middle) == 1 and all(n % at.interleave == 0 for n in at.stages):
        settings["num_layers_in_first_pipeline_stage"] = first or None
        settings["num_layers_in_last_pipeline_stage"] = last or None
        return settings
    # any other split is spelled out: E embedding, t a layer, L the loss, | between chunks
    parts = [f"t*{n}" if n else "" for n in at.chunks]
    parts[0] = "E" + ("," + parts[0] if parts[0] else "")
    parts[-1] = (parts[-1] + "," if parts[-1] else "") + "L"
    settings["pipeline_model_parallel_layout"] = "|".join(parts)
    settings["virtual_pipeline_model_parallel_size"] = None  # follows from the number of chunks
    return settings


def recomputation(at: Launch, notes: list[str]) -> Settings:
    """Return what is computed again in the backward pass."""
    if at.recompute == "none":
        return {"recompute_granularity": None, "recompute_method": None, "recompute_num_layers": None}
    if at.recompute == "selective":
        # the scores and their softmax: what the plan counts
        return {
            "recompute_granularity": "selective",
            "recompute_modules": "core_attn",
            "recompute_method": None,
            "recompute_num_layers": None,
        }
    settings: Settings = {"recompute_granularity": "full", "recompute_method": "uniform"}
    settings["recompute_num_layers"] = 1
    if 0 < at.recompute_layers < max(at.stages):
        per_chunk = -(-at.recompute_layers // at.interleave)
        settings |= {"recompute_method": "block", "recompute_num_layers": per_chunk}
        if per_chunk * at.interleave != at.recompute_layers:
            notes.append(
                f"layers to recompute are counted a model chunk: {per_chunk} of each, "
                f"{per_chunk * at.interleave} a stage instead of {at.recompute_layers}"
            )
    return settings


def overlap(at: Launch, notes: list[str]) -> Settings:
    """Return which traffic runs beside the work."""
    settings: Settings = {"tp_comm_overlap": at.overlap_tensor and at.sequence_parallel}
    if at.overlap_tensor and at.tp > 1 and not at.sequence_parallel:
        notes.append("overlap of tensor-parallel traffic needs sequence parallelism: left out")
    if at.overlap_experts and at.ep > 1:
        lacks = [
            what
            for what, there in (
                ("an interleaved pipeline", at.pp == 1 or at.interleave > 1),
                ("layers that are not recomputed in full", at.recompute != "full"),
            )
            if not there
        ]
        settings["overlap_moe_expert_parallel_comm"] = not lacks
        if lacks:
            notes.append(f"overlap of experts' exchanges needs {' and '.join(lacks)}: left out")
    settings["overlap_p2p_comm"] = at.interleave > 1 and (at.overlap_pipeline or at.pp == 2)
    if at.pp > 1 and at.overlap_pipeline and at.interleave == 1:
        notes.append("traffic between stages overlaps in the interleaved schedule only")
    if at.interleave > 1 and at.pp == 2 and not at.overlap_pipeline:
        notes.append("an interleaved pipeline of two stages always overlaps the traffic between them")
    return settings


def architecture(at: Launch, notes: list[str]) -> Settings:
    """Return the model's sizes, as far as its data state them."""
    m, a = at.model, at.architecture
    if not at.decoder:
        notes.append("the entry point trains causal decoders, and this model is none")
    grouped = not m.kv_rank and m.kv_heads < m.heads
    context = int(a.context.base) if a.context else at.seq_len
    settings: Settings = {
        "num_layers": at.layers,
        "hidden_size": int(m.hidden),
        "ffn_hidden_size": int(m.ffn),
        "num_attention_heads": int(m.heads),
        "num_query_groups": int(m.kv_heads) if grouped else None,
        "kv_channels": None if m.kv_rank else int(m.head_dim),
        "max_position_embeddings": max(context, at.seq_len),
        "position_embedding_type": POSITIONS.get(a.positions, "none"),
        "normalization": "LayerNorm" if m.norm_width > 1.0 else "RMSNorm",
        "add_bias_linear": m.bias,
        "add_qkv_bias": m.qkv_bias,
        "gated_linear_unit": m.gated,
        "share_embeddings_and_output_weights": m.tied,
        "vocab_size": int(m.vocab),
    }
    _unsaid(at, notes)
    return settings | _window(at, notes) | _latent(at) | _experts(at)


def _unsaid(at: Launch, notes: list[str]) -> None:
    m, a = at.model, at.architecture
    if a.positions == "rope":
        notes.append("the base of the rotary positions is not in the model's data: the default is taken")
    if m.gated:
        notes.append("the gated MLP is taken as SwiGLU: the model's data do not name the activation")
    if m.norms < 2.0:
        notes.append(
            "attention and MLP run in parallel in this model, which is not there: one after the other"
        )


def _window(at: Launch, notes: list[str]) -> Settings:
    m = at.model
    if not m.window:
        return {}
    settings: Settings = {"window_size": f"{int(m.window) - 1},0"}
    if m.full_layers:
        every = m.layers / m.full_layers
        if every == int(every):
            settings["window_attn_skip_freq"] = int(every)
        else:
            notes.append(f"which {m.full_layers:g} layers attend to the whole context is not in the data")
    return settings


def _latent(at: Launch) -> Settings:
    m = at.model
    if not m.kv_rank:
        return {}
    return {
        "multi_latent_attention": True,
        "qk_layernorm": True,  # the norms of the latents
        "q_lora_rank": int(m.q_rank) or None,
        "kv_lora_rank": int(m.kv_rank),
        "qk_head_dim": int(m.nope_dim),
        "qk_pos_emb_head_dim": int(m.rope_dim),
        "v_head_dim": int(m.value_dim),
    }


def _experts(at: Launch) -> Settings:
    m = at.model
    if not m.experts:
        return {}
    dense = int(m.dense_layers)
    shared = int(m.shared_experts * m.expert_ffn)
    return {
        "num_moe_experts": int(m.experts),
        "moe_router_topk": int(m.experts_active),
        "moe_ffn_hidden_size": int(m.expert_ffn),
        "moe_shared_expert_intermediate_size": shared or None,
        "moe_layer_freq": f"([0]*{dense}+[1]*{at.layers - dense})" if dense else None,
        "moe_grouped_gemm": True,
        "moe_token_dispatcher_type": "alltoall",
    }
