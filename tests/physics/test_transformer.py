"""Parameters, operations and activations of transformers against the figures that papers print."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from physics_cases import (
    DEEPSEEK_V2,
    DEEPSEEK_V3,
    KORTHIKANTI,
    LLAMA2_7B,
    LLAMA3_8B,
    LLAMA3_70B,
    LLAMA3_405B,
    MIXTRAL_8X7B,
    QWEN25_72B,
    gpt,
)

from mlsysim.physics import transformer as tf

ZOO = {
    "gpt": gpt(24.0, 2304.0, 24.0),
    "llama": LLAMA3_8B,
    "mixtral": MIXTRAL_8X7B,
    "deepseek": DEEPSEEK_V3,
    "window": replace(LLAMA3_8B, window=4096.0),
    "encoder": gpt(24.0, 1024.0, 16.0, causal=False),
}
NONE, SELECTIVE, FULL = range(3)


# -- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("billions", "hidden", "layers", "heads"),
    [
        # Narayanan 2021, table 1
        (1.7, 2304, 24, 24),
        (3.6, 3072, 30, 32),
        (7.5, 4096, 36, 32),
        (18.4, 6144, 40, 48),
        (39.1, 8192, 48, 64),
        (76.1, 10240, 60, 80),
        (145.6, 12288, 80, 96),
        (310.1, 16384, 96, 128),
        (529.6, 20480, 105, 128),
        (1008.0, 25600, 128, 160),
    ],
)
def test_megatron_models_have_the_printed_parameters(billions, hidden, layers, heads):
    params = tf.total_params(gpt(float(layers), float(hidden), float(heads)))
    assert round(params / 1e9, 1) == billions
    # equation 2, P = 12 l h^2 (1 + 13 / 12h + (V + s) / 12 l h), which leaves out the final norm's 2h
    h, n, extra = Fraction(hidden), Fraction(layers), Fraction(51200 + 2048)
    equation = 12 * n * h**2 * (1 + Fraction(13) / (12 * h) + extra / (12 * n * h))
    assert params == equation + 2 * hidden


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # parameters of the released checkpoints
        (LLAMA2_7B, 6_738_415_616),
        (LLAMA3_8B, 8_030_261_248),
        (LLAMA3_70B, 70_553_706_496),
        (LLAMA3_405B, 405_853_388_800),
        (MIXTRAL_8X7B, 46_702_792_704),
        (QWEN25_72B, 72_706_203_648),
    ],
)
def test_released_checkpoints_have_their_parameters(model, count):
    assert tf.total_params(model) == count


def test_gpt3_has_the_printed_parameters():
    """Brown 2020, tables 2.1 and D.1: 175.0B, 174,600M."""
    gpt3 = gpt(96.0, 12288.0, 96.0, vocab=50257.0)
    assert round(tf.total_params(gpt3) / 1e6, -2) == 174_600


@pytest.mark.parametrize(
    ("printed", "layers", "hidden", "heads"),
    [(8.63, 32, 4096, 16), (62.50, 64, 8192, 32), (540.35, 118, 18432, 48)],
)
def test_palm_models_have_the_printed_parameters(printed, layers, hidden, heads):
    """Chowdhery 2022, table 1: SwiGLU of 4h, one KV head, heads of 256; matrices only."""
    palm = tf.Transformer(
        layers=float(layers),
        hidden=float(hidden),
        ffn=4.0 * hidden,
        heads=float(heads),
        kv_heads=1.0,
        head_dim=256.0,
        vocab=256_000.0,
        tied=True,
        norm_width=0.0,
    )
    # q and output 2 x h x 256 a, key and value 2 x h x 256, gated MLP 3 x h x 4h, embedding once
    by_hand = layers * hidden * (512 * heads + 512 + 12 * hidden) + 256_000 * hidden
    assert tf.total_params(palm) == by_hand
    # the paper rounds to hundredths
    assert tf.total_params(palm) / 1e9 == pytest.approx(printed, abs=0.005)


def test_mixtral_activates_13b():
    """Jiang 2024: 47B parameters, of which a token uses 13B."""
    active = tf.active_params(MIXTRAL_8X7B)
    # six of eight experts idle in 32 layers, 3 x 4096 x 14336 parameters each
    assert tf.total_params(MIXTRAL_8X7B) - active == 6 * 32 * 3 * 4096 * 14336
    assert round(active / 1e9) == 13


def test_deepseek_v3_has_671b_and_activates_37b():
    """DeepSeek-AI 2024 (V3), section 4.2: 671B, 37B for each token (input embedding apart)."""
    total = tf.total_params(DEEPSEEK_V3)
    # by hand: latent attention of a layer with the norms of its latents
    attention = 7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168
    expert = 3 * 7168 * 2048
    layers = 61 * (attention + 2 * 7168) + 3 * 3 * 7168 * 18432 + 58 * (257 * expert + 7168 * 256)
    assert total == layers + 2 * 129280 * 7168 + 7168
    assert round(total / 1e9) == 671
    assert round((tf.active_params(DEEPSEEK_V3) - tf.embedding_params(DEEPSEEK_V3)) / 1e9) == 37


def test_deepseek_v2_has_236b_and_activates_21b():
    """DeepSeek-AI 2024 (V2), section 3.1.2."""
    assert round(tf.total_params(DEEPSEEK_V2) / 1e9) == 236
    assert round(tf.active_params(DEEPSEEK_V2) / 1e9) == 21


def test_a_dense_model_is_wholly_active():
    assert tf.active_params(LLAMA3_8B) == tf.total_params(LLAMA3_8B)


def test_all_experts_active_is_all_parameters():
    everyone = replace(MIXTRAL_8X7B, experts_active=8.0)
    assert tf.active_params(everyone) == tf.total_params(everyone)


@given(ranks=st.integers(1, 4096), heads=st.sampled_from([1.0, 8.0, 128.0]))
def test_latent_attention_without_query_compression(ranks, heads):
    """Without q_rank, queries come straight from the hidden state (V2 Lite)."""
    lite = replace(DEEPSEEK_V3, q_rank=0.0, kv_rank=float(ranks), heads=heads)
    by_hand = 7168 * heads * 192 + 7168 * (ranks + 64) + ranks + ranks * heads * 256 + heads * 128 * 7168
    assert tf.attention_params(lite) == by_hand


# -- operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KORTHIKANTI)
def test_operations_are_those_of_korthikanti_equation_7(name):
    """72 B L s h^2 (1 + s / 6h + v / 12hL) for a step, where attention is not halved for the mask."""
    model, batch = KORTHIKANTI[name]
    s, h, n, v = Fraction(2048), Fraction(int(model.hidden)), Fraction(int(model.layers)), Fraction(51200)
    step = 72 * Fraction(batch) * n * s * h**2 * (1 + s / (6 * h) + v / (12 * h * n))
    assert 3.0 * tf.forward_flops(model, batch * 2048.0, 2048.0) == pytest.approx(float(step), rel=1e-12)


def test_operations_with_recomputation_are_those_of_narayanan_equation_3():
    """96 B s l h^2 (1 + s / 6h + V / 16lh): the layers four times, the output three times."""
    model = gpt(128.0, 25600.0, 160.0)
    tokens, h, n = 3072 * 2048, 25600, 128
    layers = tf.forward_flops(replace(model, vocab=0.0), float(tokens), 2048.0)
    output = tf.forward_flops(model, float(tokens), 2048.0) - layers
    equation = 96 * tokens * n * h * h * (1 + 2048 / (6 * h) + 51200 / (16 * n * h))
    assert 4.0 * layers + 3.0 * output == pytest.approx(equation, rel=1e-12)


def test_two_operations_a_matrix_parameter_and_token():
    """Kaplan 2020: forward 2N without attention. Llama 3 8B less input embedding and 65 norms."""
    matrices = 8_030_261_248 - 128_256 * 4096 - 65 * 4096
    assert tf.forward_flops(LLAMA3_8B, 1.0, 0.0) == 2 * matrices


@pytest.mark.parametrize(
    ("model", "tokens", "printed"),
    [
        (gpt(96.0, 12288.0, 96.0, vocab=50257.0), 300e9, "3.14e+23"),  # Brown 2020, table D.1
        (LLAMA3_405B, 15.6e12, "3.8e+25"),
    ],
)  # Llama team 2024, section 1
def test_training_operations_of_published_runs(model, tokens, printed):
    digits = len(printed.split("e")[0]) - 2
    assert f"{3.0 * tf.forward_flops(model, tokens, 0.0):.{digits}e}" == printed


def test_a_mixture_of_experts_works_as_hard_as_its_active_matrices():
    norms = 65 * 4096
    matrices = tf.active_params(MIXTRAL_8X7B) - 32_000 * 4096 - norms
    assert tf.forward_flops(MIXTRAL_8X7B, 10.0, 0.0) == pytest.approx(2 * 10 * matrices, rel=1e-12)


def test_latent_attention_works_as_hard_as_its_active_matrices():
    norms = 61 * (2 * 7168 + 1536 + 512) + 7168
    matrices = tf.active_params(DEEPSEEK_V3) - 129_280 * 7168 - norms
    assert tf.forward_flops(DEEPSEEK_V3, 3.0, 0.0) == pytest.approx(2 * 3 * matrices, rel=1e-12)


def test_attention_of_one_layer_by_hand():
    # scores 2 s s h, weighted values 2 s s h: 4 s^2 h
    assert tf.attention_flops(gpt(1.0, 1024.0, 16.0), 512.0, 512.0) == 4 * 512 * 512 * 1024
    # latent attention: query and key heads of 192, value heads of 128
    assert tf.attention_flops(DEEPSEEK_V3, 1.0, 100.0) == 2 * 100 * 128 * (192 + 128)


def test_a_causal_token_attends_to_half_the_sequence():
    assert tf.attended(LLAMA3_8B, 2048.0) == 1024.0
    assert tf.attended(replace(LLAMA3_8B, causal=False), 2048.0) == 2048.0


@given(length=st.integers(1, 9000), full=st.integers(0, 32))
def test_layers_without_the_window_are_the_mean_of_both_kinds(length, full):
    """32 layers of which some are full do the work of so many layers of each kind."""
    narrow = replace(LLAMA3_8B, window=1024.0)
    mixed = replace(narrow, full_layers=float(full))
    for reach in (tf.attended, tf.in_reach):
        apart = full * reach(LLAMA3_8B, float(length)) + (32 - full) * reach(narrow, float(length))
        assert 32 * reach(mixed, float(length)) == pytest.approx(apart, rel=1e-12)


@given(length=st.integers(1, 3000), window=st.integers(1, 3000))
def test_a_window_attends_as_counted_one_by_one(length, window):
    """Token i of a causal window sees min(i, w) positions; counting whole ones adds at most a half."""
    model = replace(LLAMA3_8B, window=float(window))
    counted = np.minimum(np.arange(1, length + 1), window).mean()
    assert -1e-9 <= counted - tf.attended(model, float(length)) <= 0.5 + 1e-9


@given(length=st.integers(1, 100_000), window=st.integers(1, 100_000))
def test_a_window_never_attends_to_more(length, window):
    model = replace(LLAMA3_8B, window=float(window))
    assert 0 < tf.attended(model, float(length)) <= min(tf.attended(LLAMA3_8B, float(length)), window)
    both = replace(model, causal=False)
    assert tf.attended(both, float(length)) == min(length, window)


@pytest.mark.parametrize("name", ["gpt", "llama", "mixtral"])
@pytest.mark.parametrize("tp", [2.0, 4.0, 8.0])
def test_tensor_parallel_ranks_share_the_work(name, tp):
    def work(ranks: float) -> float:
        return sum(
            p.rows * p.inner * p.columns * p.count
            for p in tf.layer_matmuls(ZOO[name], 64.0, ranks, 1.0)
            if p.columns != ZOO[name].experts
        )

    assert tp * work(tp) == pytest.approx(work(1.0), rel=1e-12)


@pytest.mark.parametrize("ep", [1.0, 2.0, 8.0])
def test_expert_parallel_ranks_do_the_same_work_on_fewer_experts(ep):
    expert = tf.layer_matmuls(MIXTRAL_8X7B, 64.0, 1.0, ep)[-2:]
    up, down = expert
    # 64 tokens send two copies each, balanced over the 8 / ep experts that the rank hosts
    assert up.count == down.count == 8 / ep
    assert up.rows == 64 * 2 * ep / 8
    assert (up.inner, up.columns, down.inner, down.columns) == (4096, 2 * 14336, 14336, 4096)


@given(tokens=st.floats(1, 1e6), span=st.floats(0, 1e6), name=st.sampled_from(sorted(ZOO)))
def test_operations_are_linear_in_tokens_and_span(tokens, span, name):
    model = ZOO[name]
    one = tf.forward_flops(model, 1.0, span)
    assert tf.forward_flops(model, tokens, span) == pytest.approx(tokens * one, rel=1e-9)
    slope = model.layers * tf.attention_flops(model, 1.0, 1.0)
    assert one - tf.forward_flops(model, 1.0, 0.0) == pytest.approx(slope * span, rel=1e-6, abs=1e-3 * one)


@pytest.mark.parametrize(
    ("model", "tp", "share"),
    [
        (LLAMA3_8B, 8, 1 / 8),
        (LLAMA3_8B, 16, 1 / 8),
        (replace(LLAMA3_8B, kv_heads=1.0), 8, 1.0),
        (DEEPSEEK_V3, 128, 1 / 128),
    ],
)
def test_kv_heads_are_replicated_beyond_one_a_rank(model, tp, share):
    """Pope 2023, section 3.3: a single shared head is on every rank."""
    assert tf.kv_share(model, float(tp)) == share
    if not model.kv_rank:
        qkv = tf.layer_matmuls(model, 1.0, float(tp), 1.0)[0]
        assert qkv.columns == model.heads * 128 / tp + 2 * model.kv_heads * 128 * share


def test_memory_bound_operators_of_a_layer_by_hand():
    """GPT layer in 16 bits: two norms (read and write h), two residual additions (read 2, write 1 of h),
    the activation (read and write 4h); positions counted as one read and one write of queries and keys
    (2 x 2h)."""
    h = 1024
    elements = 2 * 5 * h + 2 * 2 * h + 2 * 4 * h
    assert tf.elementwise_bytes(gpt(1.0, 1024.0, 16.0), 10.0, 1.0, False, 2.0) == 10 * 2 * elements
    # Korthikanti 2022, section 4.2.2: only sequence parallelism divides norms and residuals
    half = 2 * 5 * h + (2 * 2 * h + 2 * 4 * h) / 2
    assert tf.elementwise_bytes(gpt(1.0, 1024.0, 16.0), 10.0, 2.0, False, 2.0) == 10 * 2 * half
    assert tf.elementwise_bytes(gpt(1.0, 1024.0, 16.0), 10.0, 2.0, True, 2.0) == 10 * elements


def test_memory_bound_operators_of_a_mixture_by_hand():
    """Two of eight experts of Mixtral for each token: gates of both, and their copies gathered and
    scattered (read and written twice)."""
    elements = 2 * 5 * 4096 + 2 * (4096 + 1024) + 2 * 3 * 14336 + 2 * 4 * 4096
    assert tf.elementwise_bytes(MIXTRAL_8X7B, 1.0, 1.0, False, 2.0) == 2 * elements


def test_shared_experts_work_for_every_token():
    """DeepSeek-V2: two shared experts of 1536 beside 6 of 160 routed ones, in 59 of 60 layers."""
    norms = 60 * (2 * 5120 + 1536 + 512) + 5120
    matrices = tf.active_params(DEEPSEEK_V2) - 102_400 * 5120 - norms
    assert tf.forward_flops(DEEPSEEK_V2, 3.0, 0.0) == pytest.approx(2 * 3 * matrices, rel=1e-12)
    shared = tf.layer_matmuls(DEEPSEEK_V2, 8.0, 4.0, 1.0)[-2:]
    assert [(p.rows, p.inner, p.columns) for p in shared] == [
        (8, 5120, 2 * 2 * 1536 / 4),
        (8, 2 * 1536 / 4, 5120),
    ]


# -- activations: Korthikanti 2022 ----------------------------------------------------------------


def activations(model: tf.Transformer, batch: float, t: float, sequence: bool, mode: int) -> float:
    """A layer as the paper has it: dropout, scores stored, s 2048, 16 bits."""
    return float(
        tf.activation_bytes(
            model, batch * 2048.0, 2048.0, t, sequence, mode, fused_attention=False, dropout=True
        )
    )


@pytest.mark.parametrize("name", KORTHIKANTI)
def test_activations_of_table_2(name):
    model, batch = KORTHIKANTI[name]
    s, b, h, a, t = 2048, batch, model.hidden, model.heads, 8
    sbh, scores = s * b * h, 5 * a * s / h
    table = {
        (1, False, NONE): sbh * (34 + scores),
        (t, False, NONE): sbh * (10 + 24 / t + scores / t),
        (t, True, NONE): sbh * (34 / t + scores / t),
        (t, False, SELECTIVE): sbh * (10 + 24 / t),
        (t, True, SELECTIVE): sbh * 34 / t,
        (t, False, FULL): 2 * sbh,
    }
    for (ranks, sequence, mode), printed in table.items():
        assert activations(model, b, float(ranks), sequence, mode) == pytest.approx(printed, rel=1e-12)


def test_scores_of_gpt3_and_mt_nlg():
    """Section 5: 5as/h is 80 for GPT-3 and 64 for MT-NLG, so dropping it saves 70% and 65%."""
    for name, scores, saved in (("175B", 80, 70), ("530B", 64, 65)):
        model, batch = KORTHIKANTI[name]
        whole = activations(model, batch, 8.0, True, NONE)
        kept = activations(model, batch, 8.0, True, SELECTIVE)
        assert (whole - kept) / (2048 * batch * model.hidden / 8) == pytest.approx(scores, rel=1e-12)
        assert round(100 * (whole - kept) / whole) == saved


@pytest.mark.parametrize(("name", "times"), [("22B", 6), ("175B", 5), ("530B", 5), ("1T", 5)])
def test_both_techniques_save_five_times(name, times):
    """Abstract: activations shrink five times; by hand 26.33, 23, 21 and 21 sbh against 4.25."""
    model, batch = KORTHIKANTI[name]
    base = activations(model, batch, 8.0, False, NONE)
    both = activations(model, batch, 8.0, True, SELECTIVE)
    assert round(base / both) == times
    # section 6.1: about twice what full recomputation keeps, (34 / 8) / 2
    assert both / activations(model, batch, 8.0, False, FULL) == 2.125


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        # sbhL / 8 x (34 + 5as/h) by hand: sbh of 50,331,648, 25,165,824, 41,943,040 and 52,428,800
        # times 48 x 140.667, 96 x 114, 105 x 98 and 128 x 98, over 8
        ("22B", 42.480),
        ("175B", 34.427),
        ("530B", 53.949),
        ("1T", 82.208),
    ],
)
def test_activations_of_the_first_stage(name, gigabytes):
    """Section 4.2.3: the first stage keeps as many as the whole model, whatever the stages."""
    model, batch = KORTHIKANTI[name]
    total = model.layers * activations(model, batch, 8.0, True, NONE)
    assert total / 1e9 == pytest.approx(gigabytes, abs=0.0006)


def test_output_and_loss_keep_what_section_4_3_says():
    """(4 sbh / t)(1 + v / h) with sequence parallelism."""
    model, batch = KORTHIKANTI["22B"]
    kept = tf.head_activation_bytes(model, batch * 2048.0, 8.0, True)
    assert kept == 4 * 2048 * batch * 6144 / 8 * (1 + 51200 / 6144)


def test_without_dropout_no_masks_are_kept():
    model, batch = KORTHIKANTI["22B"]
    whole = activations(model, batch, 1.0, False, NONE)
    clean = tf.activation_bytes(model, batch * 2048.0, 2048.0, 1.0, False, NONE, fused_attention=False)
    # two masks of sbh and, in the scores, a mask and the dropped-out copy: 3 a s^2 b
    assert whole - clean == 2048 * batch * (2 * 6144 + 3 * 64 * 2048)


def test_a_fused_kernel_keeps_what_selective_recomputation_keeps():
    """Dao 2022: scores are never stored."""
    args = (LLAMA3_8B, 8192.0, 8192.0, 4.0, True)
    assert tf.activation_bytes(*args, NONE) == tf.activation_bytes(*args, SELECTIVE, fused_attention=False)


def test_grouped_queries_and_gates_by_hand():
    """Llama 3 8B, a token in 16 bits: two norm inputs, input of each block; q, k, v and the output
    projection's input; gate, up and their product."""
    elements = 4 * 4096 + (4096 + 2 * 1024 + 4096) + 3 * 14336
    assert tf.activation_bytes(LLAMA3_8B, 1.0, 2048.0, 1.0, False, NONE) == 2 * elements


def test_a_mixture_keeps_the_copies_it_sends():
    """Mixtral, a token in 16 bits: attention as Llama 3 8B, two copies of 4096 and two gated MLPs."""
    elements = 4 * 4096 + (4096 + 2 * 1024 + 4096) + 2 * 4096 + 2 * 3 * 14336
    assert tf.activation_bytes(MIXTRAL_8X7B, 1.0, 2048.0, 1.0, False, NONE) == 2 * elements


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(ZOO)),
    tokens=st.sampled_from([1.0, 100.0, 8192.0]),
    seq_len=st.sampled_from([1.0, 512.0, 65536.0]),
    tp=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    sequence=st.booleans(),
    fused=st.booleans(),
    dropout=st.booleans(),
)
def test_recomputation_and_splitting_never_keep_more(name, tokens, seq_len, tp, sequence, fused, dropout):
    def kept(mode: int, ranks: float = tp, split: bool = sequence) -> float:
        return float(
            tf.activation_bytes(
                ZOO[name], tokens, seq_len, ranks, split, mode, fused_attention=fused, dropout=dropout
            )
        )

    assert 0 < kept(FULL) <= kept(SELECTIVE) <= kept(NONE)
    for mode in (NONE, SELECTIVE, FULL):
        assert kept(mode, 2.0 * tp) <= kept(mode)
        assert kept(mode, split=True) <= kept(mode, split=False)
        assert kept(mode, 1.0, True) == kept(mode, 1.0, False)


def test_arrays_agree_with_scalars():
    tp = np.array([1.0, 2.0, 8.0, 4.0])
    sequence = np.array([False, True, True, False])
    mode = np.array([0, 1, 2, 0])
    for name, model in ZOO.items():
        many = tf.activation_bytes(
            model, 4096.0, 2048.0, tp, sequence, mode, fused_attention=False, dropout=True
        )
        one = [
            float(tf.activation_bytes(model, 4096.0, 2048.0, *p, fused_attention=False, dropout=True))
            for p in zip(tp, sequence, mode, strict=True)
        ]
        assert many.tolist() == one, name


# -- cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (LLAMA2_7B, 512 * 1024),  # half a MiB a token: 2 x 32 layers x 4096 x 2 bytes
        (LLAMA3_8B, 128 * 1024),
        # DeepSeek-AI 2025, "Insights into DeepSeek-V3", table 1: 70.272, 327.680 and 516.096 KB
        (DEEPSEEK_V3, 70_272),
        (QWEN25_72B, 327_680),
        (LLAMA3_405B, 516_096),
    ],
)
def test_cache_of_a_token_in_16_bits(model, size):
    assert tf.kv_bytes_per_token(model, 2.0) == size


def test_latent_cache_is_nine_halves_of_a_head():
    """DeepSeek-AI 2024 (V2), table 1: 9/2 d_h l elements a token."""
    assert tf.kv_bytes_per_token(DEEPSEEK_V2, 1.0) == 4.5 * 128 * 60


def test_decoders_cache_the_encoder_too():
    """T5 11B: 24 decoder layers attend to themselves and to the encoder, 24 encoder layers to
    themselves: 72 blocks of keys and values of 128 heads of 128 over both stacks."""
    t5 = tf.Transformer(
        layers=48.0,
        hidden=1024.0,
        ffn=65536.0,
        heads=128.0,
        kv_heads=128.0,
        head_dim=128.0,
        vocab=32128.0,
        attention_blocks=1.5,
    )
    assert tf.kv_bytes_per_token(t5, 2.0) == 72 * 2 * 128 * 128 * 2
    assert tf.attention_flops(t5, 1.0, 10.0) == 1.5 * 4 * 10 * 128 * 128


def test_cache_of_a_multihead_palm():
    """Pope 2023, section 1: 3 TB at batch 512 and context 2048 (48 heads of 128, 118 layers)."""
    palm = tf.Transformer(
        layers=118.0, hidden=18432.0, ffn=73728.0, heads=48.0, kv_heads=48.0, head_dim=128.0, vocab=256_000.0
    )
    assert round(512 * 2048 * tf.kv_bytes_per_token(palm, 2.0) / 1e12) == 3
    # one shared head needs 48 times less
    assert tf.kv_bytes_per_token(palm, 2.0) == 48 * tf.kv_bytes_per_token(replace(palm, kv_heads=1.0), 2.0)
