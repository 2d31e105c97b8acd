"""The configuration read from GGUF metadata is the model's own: same cache, same parameters."""

import json
from pathlib import Path

import pytest
from gguf_writer import File
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan import estimate
from kvplan.catalogue import MODELS
from kvplan.checkpoints.gguf import read_gguf
from kvplan.checkpoints.gguf_bytes import Skipped
from kvplan.checkpoints.tensors import Tensor
from kvplan.dtypes import find_dtype
from kvplan.errors import ConfigError, KvplanError, UnsupportedArchitectureError
from kvplan.models.gguf import config_from_metadata, read_gguf_model
from kvplan.models.gguf.keys import RULES
from kvplan.models.hugging_face import read_catalogue_entry, read_config

FACTS = json.loads(Path(__file__).with_name("gguf_metadata.json").read_text(encoding="utf-8"))
LLAMACPP, CATALOGUE, HANDMADE = FACTS["llamacpp"], FACTS["catalogue"], FACTS["handmade"]
LENGTHS = (1, 512, 5000, 32768)


def prefixed(short: dict) -> dict:
    """Return metadata under the names it has in a file."""
    architecture = short["general.architecture"]
    return {key if key.startswith("general.") else f"{architecture}.{key}": value for key, value in short.items()}


def table(spec) -> list[Tensor]:
    """Return the tensors that tell what metadata does not, as llama.cpp names those of this model."""
    names = {"token_embd.weight": (spec.vocab_size, spec.hidden_size)}
    if not spec.tied:
        names["output.weight"] = (spec.vocab_size, spec.hidden_size)
    for i, layer in enumerate(spec.layers):
        for part in layer.parts:
            for name, applies in (
                ("attn_q.bias", part.name == "q_proj" and part.bias),
                ("attn_output.bias", part.name == "o_proj" and part.bias),
                ("ffn_gate.bias", part.name == "gate_proj" and part.bias),
                ("attn_q_norm.weight", part.name in ("q_norm", "q_layernorm")),
                ("attn_v.weight", part.name == "v_proj"),
                ("attn_sinks.weight", part.name == "sinks"),
                ("ffn_norm.weight", part.name == "layer_norms" and part.count > 1),
                ("ffn_gate_inp.weight", part.component == "router"),
                ("exp_probs_b.bias", part.component == "router" and "correction" in part.name),
                ("ssm_conv1d.bias", part.name == "conv1d" and part.bias),
                ("shortconv.conv.bias", part.name == "conv" and part.bias),
                ("ssm_norm.weight", part.name == "norm" and part.component == "mixer"),
            ):
                if applies:
                    names[f"blk.{i}.{name}"] = (1,)
    if spec.model_type == "falcon" and any(p.name == "layer_norms" and p.count > 1 for p in spec.layers[0].parts):
        names["blk.0.attn_norm_2.weight"] = (1,)
    if spec.config.get("lm_head_bias"):
        names["output.bias"] = (1,)
    if str(spec.config.get("feed_forward_proj")).startswith("gated"):
        names["enc.blk.0.ffn_gate.weight"] = (1,)
    return [Tensor(name, "q8_0", shape, 0) for name, shape in names.items()]


def language(spec) -> dict[str, int]:
    """Return the parameters of the language model, which alone is in the file."""
    towers = ("vision", "audio", "projector", "draft")
    return {key: count for key, count in spec.parameters_by_component.items() if key not in towers}


def kept(spec, tokens: int) -> list:
    """Return what each layer keeps for so many tokens."""
    plain = find_dtype("bfloat16")
    return [(layer.shares_cache_of, [c.bytes_for(tokens, plain, plain) for c in layer.caches]) for layer in spec.layers]


# -- the models that llama.cpp was run with ----------------------------------------------------------------------------

# Rows whose cache differs from that of the model's configuration, with the reason.
OTHER_CACHE = {
    "Mistral-7B-v0.1": "its window of 4,096 is in no GGUF file: llama.cpp's converter leaves it out and caches every token",
}
# Parameters that the file has beyond the model's, with the reason.
MORE_PARAMETERS = {
    "Falcon-40B": (65024 * 8192, "the file holds a head, which the configuration class ties to the embedding"),
    "Gemma-3n-E4B": (
        15 * (2 * 2048 * 512 + 256) - 256 * 2048,
        "the file holds K, V and a norm for the 15 layers that read another's cache; its vocabulary is 256 tokens shorter",
    ),
    "Gemma-4-26B-A4B": (256 + 30, "the file holds a table of rotary frequencies and a scale for each layer: buffers"),
}


@pytest.mark.parametrize("name", LLAMACPP)
def test_the_cache_is_that_of_the_configuration(name):
    """At any length the file's metadata and the model's configuration plan the same cache."""
    row = LLAMACPP[name]
    theirs = read_config(row["config"], spec_id=name, source="config")
    values = config_from_metadata(prefixed(row["metadata"]), table(theirs))
    ours = read_config(values, spec_id=name, source="gguf")
    for tokens in LENGTHS:
        one, other = (estimate(spec, engine="textbook", context=tokens).bytes_per_request for spec in (ours, theirs))
        assert (one == other) is (name not in OTHER_CACHE or tokens <= 4096), tokens


@pytest.mark.parametrize("name", LLAMACPP)
def test_the_parameters_are_those_of_the_file(name):
    """What llama.cpp counted in the file is what the configuration from its metadata comes to."""
    row = LLAMACPP[name]
    theirs = read_config(row["config"], spec_id=name, source="config")
    ours = read_config(config_from_metadata(prefixed(row["metadata"]), table(theirs)), spec_id=name, source="gguf")
    assert language(ours) == language(theirs)
    assert row["parameters"] - sum(language(ours).values()) == MORE_PARAMETERS.get(name, (0, ""))[0]


# -- the catalogue through llama.cpp's converters ----------------------------------------------------------------------

WINDOW = "the window is in no GGUF file: llama.cpp's converter leaves it out and caches every token"
OTHER_WINDOW = {
    "mistral-7b-v0.1": WINDOW,
    "starcoder2-3b": WINDOW,
    "starcoder2-7b": WINDOW,
    "starcoder2-15b": WINDOW,
}
# Model types whose longest sequence is another one in GGUF, with the reason.
OTHER_LENGTH = {
    "chatglm": "the entry has no seq_length, so the converter wrote its default",
    "granitemoehybrid": "the converter writes 1,048,576 for hybrids",
    "nemotron_h": "the converter writes 1,048,576",
    "internlm2": "dynamic rotary scaling is not in GGUF",
    "minicpm": "dynamic rotary scaling is not in GGUF",
}
# Model types whose next-token layers the converter leaves out.
NO_DRAFTS = ("deepseek_v3", "kimi_k2", "deepseek_v4", "qwen3_next")


def entry(name: str):
    return read_catalogue_entry(MODELS.read(MODELS.entries[name]), where=name)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_catalogue_entry_survives_the_way_through_gguf(name):
    """Written by llama.cpp's converter and read here, a configuration is what it was."""
    theirs = entry(name)
    ours = read_config(config_from_metadata(prefixed(CATALOGUE[name]), table(theirs)), spec_id=name, source="gguf")
    assert all(kept(ours, count) == kept(theirs, count) for count in LENGTHS) is (name not in OTHER_WINDOW)
    assert language(ours) == language(theirs)
    if ours.model_type in OTHER_LENGTH:
        assert ours.max_context_tokens
    else:
        assert ours.max_context_tokens == theirs.max_context_tokens
    assert len(ours.draft_layers) == (0 if theirs.model_type in NO_DRAFTS else len(theirs.draft_layers))


@pytest.mark.parametrize("name", CATALOGUE)
def test_without_tensors_the_cache_is_the_same(name):
    """Tensors tell of weights; the metadata alone settles the cache."""
    theirs = entry(name)
    tokens = {
        "tokenizer.ggml.tokens": Skipped(theirs.vocab_size)
    }  # the converters write some sizes with the vocabulary
    ours = read_config(config_from_metadata(prefixed(CATALOGUE[name]) | tokens), spec_id=name, source="gguf")
    assert all(kept(ours, count) == kept(theirs, count) for count in LENGTHS) is (name not in OTHER_WINDOW)


@pytest.mark.parametrize("name", HANDMADE)
def test_a_small_configuration_survives_the_way_through_gguf(name):
    """The other architectures, written by llama.cpp's converters from configurations of no real model."""
    row = HANDMADE[name]
    theirs = read_config(row["config"], spec_id=name, source="config")
    tokens = {"tokenizer.ggml.tokens": Skipped(theirs.vocab_size)}
    for tensors in (table(theirs), ()):
        ours = read_config(
            config_from_metadata(prefixed(row["metadata"]) | tokens, tensors), spec_id=name, source="gguf"
        )
        assert all(kept(ours, count) == kept(theirs, count) for count in LENGTHS)
        assert ours.cacheless == theirs.cacheless
        assert not tensors or language(ours) == language(theirs)
        # PLaMo 1's converter writes a length of its own.
        assert name == "plamo" or ours.max_context_tokens == theirs.max_context_tokens


def test_every_rule_is_tested_by_a_files_metadata():
    rows = [*CATALOGUE.values(), *(row["metadata"] for facts in (LLAMACPP, HANDMADE) for row in facts.values())]
    assert {short["general.architecture"] for short in rows} == RULES.keys()


# -- what tensors tell -------------------------------------------------------------------------------------------------

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.vocab_size": 100,
}


def values(changes=None, tensors=()) -> dict:
    metadata = {key: value for key, value in (LLAMA | (changes or {})).items() if value is not None}
    return config_from_metadata(metadata, [Tensor(n, "f16", s, 0) for n, s in tensors], where="x.gguf")


EMBEDDING = ("token_embd.weight", (120, 64))


def test_a_missing_head_is_a_tied_one():
    assert "tie_word_embeddings" not in values()
    assert values(tensors=[EMBEDDING])["tie_word_embeddings"] is True
    assert values(tensors=[EMBEDDING, ("output.weight", (120, 64))])["tie_word_embeddings"] is False


def test_the_vocabulary_is_the_embeddings_then_the_stated_then_the_tokens():
    tokens = {"tokenizer.ggml.tokens": Skipped(77), "llama.vocab_size": None}
    assert values(tensors=[EMBEDDING])["vocab_size"] == 120
    assert values()["vocab_size"] == 100
    assert values(tokens)["vocab_size"] == 77


def test_biases_are_told_by_their_tensors():
    assert values(tensors=[EMBEDDING])["attention_bias"] is False
    assert "attention_bias" not in values()
    q, o = ("blk.1.attn_q.bias", (64,)), ("blk.1.attn_output.bias", (64,))
    assert values(tensors=[EMBEDDING, q, o])["attention_bias"] is True
    assert values(tensors=[EMBEDDING, q])["model_type"] == "internlm3"


def test_an_unquantised_file_states_its_format():
    assert values(tensors=[EMBEDDING])["torch_dtype"] == "float16"
    assert "torch_dtype" not in values()


def test_linear_scaling_stretches_the_context():
    scaled = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    assert read_config(values(scaled), spec_id="m", source="s").max_context_tokens == 16384


def test_experts_make_llama_a_mixtral():
    found = values({"llama.expert_count": 8, "llama.expert_used_count": 2})
    assert (found["model_type"], found["num_local_experts"], found["num_experts_per_tok"]) == ("mixtral", 8, 2)


def test_older_latent_attention_caches_the_same():
    """Files from before and after llama.cpp's change of names describe one model."""
    old, new = LLAMACPP["DeepSeek-V2-Lite-legacyGGUF"], LLAMACPP["DeepSeek-V2-Lite"]
    read = [config_from_metadata(prefixed(row["metadata"])) for row in (old, new)]
    assert read[0] == read[1]
    assert (read[0]["kv_lora_rank"], read[0]["qk_nope_head_dim"], read[0]["v_head_dim"]) == (512, 128, 128)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"general.architecture": "wonder"}, UnsupportedArchitectureError, "general.architecture 'wonder' is not one"),
        ({"general.architecture": "clip"}, UnsupportedArchitectureError, "x.gguf holds a vision or audio tower"),
        ({"general.type": "adapter"}, UnsupportedArchitectureError, "x.gguf is a LoRA adapter."),
        ({"general.architecture": None}, ConfigError, "general.architecture is not stated"),
        ({"llama.attention.sliding_window": 4096}, UnsupportedArchitectureError, "llama.attention.sliding_window is 4096"),
        ({"llama.ssm.state_size": 16}, UnsupportedArchitectureError, "llama.ssm.state_size is 16"),
        ({"llama.attention.head_count_kv": [2, 1]}, UnsupportedArchitectureError, "differs from layer to layer"),
        ({"llama.attention.key_length": 32, "llama.attention.value_length": 16}, UnsupportedArchitectureError, "keys are 32"),
        ({"llama.block_count": None}, ConfigError, "llama.block_count is not stated."),
        ({"llama.block_count": 0}, ConfigError, "llama.block_count leaves 0 layers."),
        ({"llama.block_count": "two"}, ConfigError, "llama.block_count is 'two'; a whole number was expected."),
        ({"llama.block_count": 2**50}, ConfigError, "a whole number was expected"),
        ({"llama.embedding_length": 1.5}, ConfigError, "llama.embedding_length is 1.5"),
        ({"llama.attention.head_count": 0}, ConfigError, "llama.attention.head_count is 0"),
        ({"llama.attention.head_count": []}, UnsupportedArchitectureError, "differs from layer to layer"),
        ({"llama.attention.head_count_kv": Skipped(9999)}, ConfigError, "a list of 9,999 values"),
        ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float("nan")}, ConfigError, "is nan; a number"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_is_not_understood_is_refused(changes, error, words):
    with pytest.raises(error) as caught:
        values(changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hybrids_whose_layers_do_not_come_round_are_refused():
    """Jamba's class has a period and an offset: other lists cannot be said in it."""
    metadata = prefixed(LLAMACPP["Jamba-v0.1"]["metadata"])
    metadata["jamba.attention.head_count_kv"] = [8, 8, *[0] * 30]
    with pytest.raises(UnsupportedArchitectureError, match="do not come round evenly"):
        config_from_metadata(metadata)


SHORTS = [row["metadata"] for row in LLAMACPP.values()] + list(CATALOGUE.values())


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SHORTS), st.data())
def test_any_value_is_read_or_refused(short, data):
    """Whatever a key holds, the answer is a model or one clear line."""
    metadata = prefixed(short)
    for key in data.draw(st.lists(st.sampled_from(sorted(metadata)), min_size=1, max_size=3)):
        anything = st.one_of(
            st.integers(-5, 2**65),
            st.floats(),
            st.text(max_size=5),
            st.booleans(),
            st.none(),
            st.lists(st.integers(0, 9)),
        )
        metadata[key] = data.draw(anything)
    said = ""
    try:
        read_config(config_from_metadata(metadata), spec_id="m", source="s")
    except KvplanError as error:
        said = str(error)
    assert "\n" not in said


def test_a_whole_file_becomes_a_model(tmp_path):
    """From the bytes of a file to its plan."""
    path = tmp_path / "m.gguf"
    tensors = [("token_embd.weight", "f16", (100, 64)), ("blk.0.attn_q.weight", "q8_0", (64, 64))]
    path.write_bytes(File(LLAMA | {"tokenizer.ggml.tokens": ["a"] * 100}, tensors).bytes())
    spec = read_gguf_model(read_gguf(path), spec_id="m", source="file", where="m.gguf")
    assert (spec.model_type, spec.dtype, spec.tied, spec.vocab_size) == ("llama", "float16", True, 100)
    assert estimate(spec, engine="textbook", context=112).bytes_per_request == 112 * 2 * 2 * 2 * 16 * 2
