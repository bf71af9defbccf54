"""Models from Hugging Face configs: counts against the published ones, and hostile input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.errors import InputError, MlsysimError, UnknownNameError
from mlsysim.models import CATALOG, Model
from mlsysim.models.hf_families import FAMILIES
from mlsysim.models.huggingface import MAX_BYTES, from_config, load, parse_json
from mlsysim.physics import statespace

CONFIGS = Path(__file__).parent / "configs"
LLAMA: dict[str, Any] = json.loads((CONFIGS / "Llama-3.1-8B.json").read_text())

# Parameters as published: the total that the model's repository states for its tensors, unless
# another source is named.
PUBLISHED: dict[str, float] = {
    "Llama-2-7b-hf": 6738415616,
    "Llama-3.1-8B": 8030261248,
    "Llama-3.2-1B": 1235814400,
    "TinyLlama-1.1B-Chat-v1.0": 1100048384,
    "Mistral-7B-v0.1": 7241732096,
    "Mistral-7B-v0.3": 7248023552,
    "Mixtral-8x7B-v0.1": 46702792704,
    "Qwen2-0.5B": 494032768,
    "Qwen2-7B": 7615616512,
    "Qwen1.5-MoE-A2.7B": 14315784192,
    "Qwen2-57B-A14B": 57.41e9,  # model card
    "Qwen3-0.6B": 596049920,  # with the tied output counted once
    "Qwen3-8B": 8190735360,
    "Qwen3-30B-A3B": 30532122624,
    "DeepSeek-V2-Lite": 15706484224,
    "DeepSeek-V2": 235741434880,
    "DeepSeek-V3": 671e9,  # paper, without the multi-token-prediction module
    "gemma-2b": 2506172416,
    "gemma-7b": 8537680896,
    "gemma-2-2b": 2614341888,
    "gemma-2-9b": 9241705984,
    "gemma-3-1b-it": 999885952,
    "gemma-3-12b-it": 11765788416,  # the language model alone
    "phi-1_5": 1418270720,
    "phi-2": 2779683840,
    "Phi-3.5-mini-instruct": 3821079552,
    "Phi-4-mini-instruct": 3836021760,
    "gpt2": 124439808,
    "gpt2-medium": 354823168,
    "gpt-neox-20b": 20554567680,  # model card
    "pythia-6.9b": 6857302016,  # model card
    "opt-125m": 125239296,
    "opt-6.7b": 6658473984,
    "bloom-7b1": 7069016064,
    "bloom": 176247271424,  # model cards
    "falcon-rw-1b": 1311625216,
    "falcon-7b": 7217189760 - 65024 * 4544,  # less the copy of the tied output that is stored
    "falcon-40b": 41835970560 - 65024 * 8192,  # the same
    "mamba-130m": 129135360,
    "mamba-130m-hf": 129135360,
    "mamba-2.8b-hf": 2768345600,
    "falcon-mamba-7b": 7.27e9,  # model card
}
ACTIVE = {  # parameters that one token passes through, as the makers state them
    "Mixtral-8x7B-v0.1": 12.9e9,
    "Qwen1.5-MoE-A2.7B": 2.7e9,
    "Qwen3-30B-A3B": 3.3e9,
    "DeepSeek-V2-Lite": 2.7e9,
    "DeepSeek-V2": 21e9,
    "DeepSeek-V3": 37e9,
    "Qwen2-57B-A14B": 14e9,
}


# -- counts -------------------------------------------------------------------------------------


def test_each_config_has_a_published_count() -> None:
    names = {path.stem for path in CONFIGS.glob("*.json")} - {"Llama-4-Scout-17B-16E"}
    assert names == set(PUBLISHED)


def test_every_family_is_counted() -> None:
    seen = set()
    for path in CONFIGS.glob("*.json"):
        config = json.loads(path.read_text())
        seen.add(config.get("text_config", config).get("model_type", "mamba"))
    assert set(FAMILIES) - seen == {"kimi_k2", "ministral3"}  # same record as DeepSeek and Mistral


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_agree_with_the_published_count(name: str) -> None:
    model = load(str(CONFIGS / f"{name}.json"))
    assert model.name == name
    assert model.parameters.base == pytest.approx(PUBLISHED[name], rel=5e-3)
    assert model.parameters.kind == "derived"
    assert model.parameters.inputs


@pytest.mark.parametrize("name", sorted(ACTIVE))
def test_active_parameters_agree_with_the_published_ones(name: str) -> None:
    model = load(str(CONFIGS / f"{name}.json"))
    assert model.parameters_active is not None
    assert model.parameters_active.base == pytest.approx(ACTIVE[name], rel=0.03)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("Llama-4-Scout-17B-16E", "Llama4_Scout"),
        ("DeepSeek-V3", "DeepSeek_V3"),
        ("gpt2", "GPT2"),
        ("Qwen3-30B-A3B", "Qwen3_30B_A3B"),
        ("falcon-40b", "Falcon_40B"),
        ("gemma-2-9b", "Gemma_2_9B"),
        ("Llama-3.1-8B", "Llama3_8B"),
        ("mamba-130m", "Mamba_130M"),
    ],
)
def test_agrees_with_the_entry_of_the_registry(name: str, entry: str) -> None:
    read, kept = load(str(CONFIGS / f"{name}.json")), CATALOG.get(entry)
    assert read.parameters.base == pytest.approx(kept.parameters.base, rel=1e-3)
    if read.is_transformer:
        for size in ("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "experts", "dense_layers"):
            assert getattr(read.transformer, size) == getattr(kept.transformer, size), size
        assert read.transformer.window == kept.transformer.window
        assert read.transformer.full_layers == kept.transformer.full_layers


@pytest.mark.parametrize("name", CATALOG.names("statespace"))
def test_state_space_count_agrees_with_the_registry(name: str) -> None:
    entry = CATALOG.get(name)
    a = entry.architecture
    assert a
    assert a.layers
    assert a.hidden
    assert a.state
    assert a.conv
    assert a.dt_rank
    assert a.vocab
    assert a.expand
    counted = statespace.total_params(
        statespace.StateSpace(
            layers=a.layers.base,
            hidden=a.hidden.base,
            inner=a.expand.base * a.hidden.base,
            state=a.state.base,
            conv=a.conv.base,
            dt_rank=a.dt_rank.base,
            vocab=a.vocab.base,
        )
    )
    assert counted == pytest.approx(entry.parameters.base, rel=1e-9)


def test_values_carry_their_key_and_file() -> None:
    model = from_config(LLAMA, "mine", "models/mine.json")
    a = model.architecture
    assert a is not None
    assert a.hidden is not None
    assert a.head_dim is not None
    assert (a.hidden.kind, a.hidden.source) == ("datasheet", "huggingface_config")
    assert a.hidden.note == "hidden_size in models/mine.json"
    assert a.head_dim.kind == "derived"
    assert a.head_dim.inputs
    assert model.group == "huggingface"
    assert model.title == "mine"
    assert model.family == "Llama"


# -- what single families have of their own -----------------------------------------------------


def build(base: str, **changes: Any) -> Model:
    config = json.loads((CONFIGS / f"{base}.json").read_text())
    return from_config({**config, **changes}, base, "config.json")


def window(model: Model) -> float:
    return model.transformer.window


def test_windows() -> None:
    assert window(build("Mistral-7B-v0.1")) == 4096
    assert window(build("Mistral-7B-v0.3")) == 0
    assert window(build("Phi-3.5-mini-instruct")) == 0  # as long as the context
    assert window(build("Qwen2-7B")) == 0  # switched off
    switched_on = {"use_sliding_window": True, "sliding_window": 4096}
    assert window(build("Qwen2-7B", **switched_on, max_window_layers=0)) == 4096
    assert window(build("Qwen2-7B", **switched_on)) == 0  # no layer has it
    assert build("Qwen2-7B", **switched_on, max_window_layers=20).transformer.full_layers == 20
    assert build("Mistral-7B-v0.1").transformer.full_layers == 0
    assert build("gemma-2-9b").transformer.full_layers == 21  # every second of 42
    assert build("gemma-3-1b-it").transformer.full_layers == 4  # every sixth of 26


def test_qwen_dense_layers() -> None:
    assert build("Qwen3-30B-A3B").transformer.dense_layers == 0
    sparse = build("Qwen3-30B-A3B", decoder_sparse_step=2, mlp_only_layers=[0, 1, 3])
    assert sparse.transformer.dense_layers == 24 + 2  # layer 0 was dense already
    dense = build("Qwen3-30B-A3B", mlp_only_layers=list(range(48)))
    assert dense.transformer.experts == 0
    assert dense.transformer.ffn == 6144
    assert dense.parameters_active is None


def test_deepseek_variants() -> None:
    assert build("DeepSeek-V2-Lite").transformer.q_rank == 0
    assert build("DeepSeek-V3").transformer.dense_layers == 3
    assert build("DeepSeek-V3", moe_layer_freq=2).transformer.dense_layers == 61 - 29
    assert build("DeepSeek-V3", n_routed_experts=None).transformer.experts == 0
    assert "further tokens" in build("DeepSeek-V3").parameters.note


def test_llama4_alternates() -> None:
    text = json.loads((CONFIGS / "Llama-4-Scout-17B-16E.json").read_text())["text_config"]
    maverick = from_config(
        {
            "model_type": "llama4",
            "text_config": {**text, "num_local_experts": 128, "interleave_moe_layer_step": 2},
        },
        "m",
        "config.json",
    )
    assert maverick.transformer.dense_layers == 24
    assert maverick.transformer.ffn == 16384
    assert maverick.parameters.base == pytest.approx(400e9, rel=5e-3)
    del text["model_type"]  # the outer one says enough
    assert from_config({"model_type": "llama4", "text_config": text}, "m", "config.json").family == "Llama 4"


def test_nested_configs_say_so_and_inherit_tied_embeddings() -> None:
    assert "without its encoders" in build("gemma-3-12b-it").parameters.note
    nested = {
        "model_type": "mistral3",
        "tie_word_embeddings": True,
        "text_config": {
            **json.loads((CONFIGS / "Mistral-7B-v0.3.json").read_text()),
            "tie_word_embeddings": None,
        },
    }
    assert from_config(nested, "m", "config.json").transformer.tied


def test_falcon_norms_and_heads() -> None:
    assert build("falcon-7b").transformer.norms == 1
    assert build("falcon-7b").transformer.kv_heads == 1
    assert build("falcon-40b").transformer.norms == 2
    assert build("falcon-40b").transformer.kv_heads == 8
    assert build("falcon-40b", num_ln_in_parallel_attn=1).transformer.norms == 1
    assert build("falcon-rw-1b").transformer.kv_heads == 32
    assert build("falcon-rw-1b").transformer.bias


def test_mamba_variants() -> None:
    size = build("mamba-130m-hf").architecture
    auto = build("mamba-130m-hf", time_step_rank="auto").architecture
    assert size
    assert auto
    assert size.dt_rank
    assert auto.dt_rank
    assert size.dt_rank.base == auto.dt_rank.base == 48
    wide = build("falcon-mamba-7b").architecture
    assert wide
    assert wide.expand
    assert wide.expand.base == 2.0
    with pytest.raises(InputError, match="Mamba2"):
        build("mamba-130m", ssm_cfg={"layer": "Mamba2"})


def test_operations_of_a_mamba_model_are_defined() -> None:
    assert build("mamba-2.8b-hf").operations(2048).flops > 0


# -- bad configs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "place", "problem"),
    [
        ({"hidden_size": None}, "config.json", "'hidden_size' is missing"),
        ({"vocab_size": "128256"}, "config.json: vocab_size", "not a number"),
        ({"hidden_size": -4096}, "config.json: hidden_size", "out of range"),
        ({"hidden_size": 0}, "config.json: hidden_size", "out of range"),
        ({"hidden_size": True}, "config.json: hidden_size", "not a number"),
        ({"hidden_size": [4096]}, "config.json: hidden_size", "a list is not a number"),
        ({"hidden_size": float("nan")}, "config.json: hidden_size", "not a whole number"),
        ({"hidden_size": float("inf")}, "config.json: hidden_size", "not a whole number"),
        ({"hidden_size": 4096.5}, "config.json: hidden_size", "not a whole number"),
        ({"num_hidden_layers": 10**30}, "config.json: num_hidden_layers", "out of range"),
        ({"num_attention_heads": 33, "num_key_value_heads": 33}, "config.json", "not a multiple of 33 heads"),
        ({"num_key_value_heads": 5}, "config.json", "not a multiple of 5 key and value heads"),
        ({"tie_word_embeddings": "no"}, "config.json: tie_word_embeddings", "not true or false"),
        ({"attention_bias": 1}, "config.json: attention_bias", "not true or false"),
        ({"model_type": 3}, "config.json: model_type", "not text"),
        ({"model_type": None}, "config.json", "'model_type' is missing"),
        ({"model_type": "x", "text_config": [1]}, "config.json: text_config", "an object is expected"),
        (
            {"model_type": "x", "text_config": {"model_type": "llama"}},
            "config.json: text_config",
            "'num_hidden_layers' is missing",
        ),
    ],
)
def test_a_bad_key_is_named(change: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        from_config({**LLAMA, **change}, "m", "config.json")
    assert caught.value.where == place
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("base", "change", "problem"),
    [
        ("Qwen3-30B-A3B", {"num_experts_per_tok": 129}, "129 of 128 experts"),
        ("Qwen3-30B-A3B", {"mlp_only_layers": [48]}, "layer numbers from 0 to 47"),
        ("Qwen3-30B-A3B", {"mlp_only_layers": "all"}, "layer numbers"),
        ("DeepSeek-V2-Lite", {"kv_lora_rank": None}, "'kv_lora_rank' is missing"),
        ("opt-6.7b", {"word_embed_proj_dim": 512}, "not modelled"),
        ("gpt2", {"n_positions": None}, "'n_positions' is missing"),
        ("mamba-130m", {"ssm_cfg": 3}, "an object is expected"),
    ],
)
def test_keys_that_do_not_go_together(base: str, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build(base, **change)


def test_a_missing_query_rank_is_not_guessed() -> None:
    config = json.loads((CONFIGS / "DeepSeek-V2-Lite.json").read_text())
    del config["q_lora_rank"]
    with pytest.raises(InputError, match="'q_lora_rank' is missing"):
        from_config(config, "m", "config.json")


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        from_config({**LLAMA, "model_type": "qwen3-moe2"}, "m", "config.json")
    assert caught.value.where == "config.json: model_type"
    assert "qwen3_moe" in caught.value.hint


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "a JSON object is expected"),
        (b"null", "a JSON object is expected"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' * 50_000, "not valid JSON"),
        (b'{"hidden_size": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b" " * (MAX_BYTES + 1), "larger than 1 MiB"),
        (b"<!DOCTYPE html>", "not valid JSON"),
    ],
)
def test_what_is_no_config_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        parse_json(body, "some/config.json")
    assert caught.value.where.startswith("some/config.json")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([0, -1, 1, 2, 10**9, 1e308, "auto"]),
    st.lists(st.integers(-1, 99), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_gives_a_model_or_a_named_error(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(CONFIGS.glob("*.json"))))
    config = json.loads(path.read_text())
    inner = config.get("text_config", config)
    for key in data.draw(st.lists(st.sampled_from(sorted(inner)), min_size=1, max_size=3)):
        inner[key] = data.draw(SCALARS)
    message, count = "config.json", 1.0
    try:
        count = from_config(config, "m", "config.json").parameters.base
    except MlsysimError as error:
        message = str(error)
    assert message.startswith("config.json")
    assert len(message) < 1000
    assert 0 < count < 1e40


# -- files --------------------------------------------------------------------------------------


def test_a_folder_gives_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "My-Model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    assert load(str(folder)).name == load(str(folder / "config.json")).name == "My-Model"
    assert load("My-Model/config.json", folder=tmp_path).name == "My-Model"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("none.json", "a/b/config.json", "x" * 5000 + ".json", "a\0b.json", "~nobody/x.json"):
        with pytest.raises(InputError, match="no such file"):
            load(name, folder=tmp_path)
    with pytest.raises(InputError, match="no such file") as caught:
        load(str(tmp_path))
    assert caught.value.where.endswith("config.json")


def test_files_without_end_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load(str(tmp_path / "config.json"))
    (tmp_path / "big.json").write_bytes(b" " * (MAX_BYTES + 10))
    with pytest.raises(InputError, match="larger than"):
        load(str(tmp_path / "big.json"))


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, mlsysim.models.own, mlsysim.models.huggingface\n"
        "assert not {'urllib.request', 'http.client', 'ssl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
