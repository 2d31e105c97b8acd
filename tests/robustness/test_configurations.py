"""No configuration, however broken, gives a traceback, a hang or a nonsense number."""

import json
import subprocess
import sys

import pytest
from hostile import (
    HOSTILE,
    assert_answered_or_refused,
    config_of,
    model_types,
    mutated,
    nest,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import kvplan
from kvplan.models.config import Config
from kvplan.models.hugging_face import read_config

TYPES = model_types()
LLAMA = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
}


@pytest.mark.parametrize("model_type", sorted(TYPES))
@settings(max_examples=25)
@given(data=st.data())
def test_a_broken_configuration_is_answered_or_refused(model_type, data):
    """Broken configurations of every model type give a sane plan or an error that names the file and a key."""
    original = config_of(TYPES[model_type])
    assert_answered_or_refused(data.draw(mutated(original)), original)


@pytest.mark.parametrize("key", [key for key in LLAMA if key != "model_type"])
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode())
def test_a_hostile_value_is_named(key, value):
    """Every hostile value of a key that decides a size is answered sanely or refused by that key's name."""
    values = LLAMA | {key: value}
    try:
        assert_answered_or_refused(values)
        read_config(values, spec_id="fuzz", source="fuzz", where="fuzz.json")
    except kvplan.KvplanError as error:
        assert key in error.message  # noqa: PT017  an answer is as good as a refusal


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(sorted(TYPES)))
def test_a_configuration_under_another_types_name_is_answered_or_refused(one, other):
    """A file that says it is another model type is that type or refused."""
    assert_answered_or_refused(config_of(TYPES[one]) | {"model_type": other})


@given(
    st.sampled_from(sorted(TYPES)),
    st.sampled_from(sorted(TYPES)),
    st.sampled_from(["text_config", "llm_config", "decoder"]),
)
def test_a_configuration_inside_another_is_answered_or_refused(outer, inner, key):
    """Any type's configuration nested in any other's is read or refused."""
    assert_answered_or_refused(config_of(TYPES[outer]) | {key: config_of(TYPES[inner])})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)
STRANGE_TYPES = [None, "llama", "", "x", "../llama", "llama\0", "__init__", "families", "🙂", "A" * 10_000]


@given(st.dictionaries(st.text(max_size=10), ANYTHING, max_size=8), st.sampled_from(STRANGE_TYPES))
def test_a_configuration_of_anything_is_answered_or_refused(values, model_type):
    """A mapping of anything, under any type's name, is refused with a word, or is that type with all its defaults."""
    assert_answered_or_refused(values | {"model_type": model_type})


@pytest.mark.parametrize("values", [None, 1, "x", [], [LLAMA], True, float("nan"), {1: 2}, {None: LLAMA}])
def test_what_is_no_object_is_refused(values):
    """A configuration that is not a JSON object is refused as that."""
    with pytest.raises(kvplan.ConfigError, match=r"fuzz\.json: the configuration is not a JSON object"):
        read_config(values, spec_id="fuzz", source="fuzz", where="fuzz.json")


@pytest.mark.parametrize("depth", [10, 900, 50_000])
def test_nesting_bombs_are_refused(depth):
    """Objects inside each other, as deep as a parser lets them be, are read in the time of the outermost."""
    for bomb in (nest(depth, {}), nest(depth, [])):
        for key in ("text_config", "quantization_config", "layer_types", "rope_scaling"):
            assert_answered_or_refused(LLAMA | {key: bomb})
            assert_answered_or_refused(LLAMA | {"model_type": "llava", key: bomb})


def test_contradictory_names_are_refused():
    """Two names of one value that differ are an error that shows both."""
    config = config_of(TYPES["gpt2"])
    with pytest.raises(kvplan.ConfigError, match=r"n_layer|num_hidden_layers") as caught:
        read_config(config | {"n_layer": 3, "num_hidden_layers": 4}, spec_id="fuzz", source="fuzz", where="fuzz.json")
    assert "3" in caught.value.message
    assert "4" in caught.value.message


def test_every_value_at_its_limit_is_still_quick_and_sane():
    """Values at the largest that is believed give an answer or a refusal, not an hour of work."""
    limits = {"num_hidden_layers": 4_000, "num_attention_heads": 65_536, "hidden_size": 10_000_000}
    assert_answered_or_refused(LLAMA | limits)
    assert_answered_or_refused(LLAMA | limits | {"num_key_value_heads": 65_536, "head_dim": 65_536})
    assert_answered_or_refused(LLAMA | limits | {"max_position_embeddings": 10_000_000_000, "head_dim": 65_536})


@pytest.mark.parametrize(
    "entry, key, values",
    [
        ("llava-1.5-7b", "image_size", [10**18, "x", -1, 1.5]),
        ("mistral-small-3.1-24b", "spatial_merge_size", [10**18, "x", 0, [], {}]),
        ("gemma-3-27b", "mm_tokens_per_image", [10**30, "x", 0, 1.5]),
        ("qwen3-vl-8b", "depth", [10**6, -1, "x"]),
        ("qwen3-vl-8b", "deepstack_visual_indexes", ["x", [[1]], [-1], [8] * 5_000]),
        ("internvl3-8b", "image_size", [14, "x"]),  # a single patch, which four make a token of
    ],
)
def test_a_broken_size_of_a_picture_is_named(entry, key, values):
    """What decides the largest picture is read with care, where the profile run reads it and nothing else does, too."""
    original = config_of(entry)
    for value in values:
        inside = {**original["vision_config"], key: value}
        config = {**original, key: value} if key in original else {**original, "vision_config": inside}
        with pytest.raises(kvplan.ConfigError, match=key):
            kvplan.estimate(read_config(config, spec_id="fuzz", source="fuzz", where="fuzz.json"), "h100")


def test_a_convolution_of_one_tap_keeps_nothing():
    """A state without a past tap is an empty tensor, which vLLM's plan derives like any other."""
    config = config_of("falcon-h1-0.5b") | {"mamba_d_conv": 1}
    json.dumps(kvplan.estimate(read_config(config, spec_id="a", source="a", where="a.json"), "h100").to_dict())


def test_an_impossible_total_is_refused():
    """Values that are each believed and together make more than a quadrillion parameters are refused, the part named."""
    values = LLAMA | {"num_hidden_layers": 4_000, "hidden_size": 10_000_000, "intermediate_size": 10_000_000}
    with pytest.raises(kvplan.ConfigError, match=r"fuzz\.json: hidden_size and the other sizes make \S+proj "):
        read_config(values, spec_id="fuzz", source="fuzz", where="fuzz.json")


@pytest.mark.parametrize("bits", [[4], {"a": 1}, None, True, "4", 10**30, float("nan")])
def test_a_broken_quantisation_section_is_refused(bits):
    """Lists and objects where a width should stand are refused as an unknown width."""
    group = {"weights": {"type": "int", "num_bits": bits, "group_size": bits, "strategy": bits}}
    for section in (
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}},
        {"quant_method": "compressed-tensors", "config_groups": [group]},
        {"quant_method": bits, "bits": bits},
        {"quant_method": "gptq", "bits": bits},
    ):
        assert_answered_or_refused(LLAMA | {"quantization_config": section})


HUGE = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
import json, sys
from hostile import assert_answered_or_refused
for values in json.load(sys.stdin):
    assert_answered_or_refused(values)
"""


def test_no_configuration_allocates_much(pytestconfig):
    """Absurd counts are refused before anything of their size is built: 3 GiB of address space are enough for all."""
    keys = [key for key in LLAMA if key != "model_type"]
    hostile = [LLAMA | {key: value} for key in keys for value in (10**30, 10**9, 4_000, [4] * 10_000)]
    hostile += [
        config_of(TYPES[name]) | {"num_hidden_layers": 4_000} for name in ("mixtral", "gemma3", "whisper", "jamba")
    ]
    here = pytestconfig.rootpath / "tests" / "robustness"
    done = subprocess.run(
        [sys.executable, "-c", HUGE], input=json.dumps(hostile), capture_output=True, text=True, cwd=here, check=False
    )
    assert done.returncode == 0, done.stderr


@given(st.sampled_from(HOSTILE))
def test_every_question_to_a_configuration_is_answered_or_refused(value):
    """Counts, numbers, flags, texts and lists of anything are of their kind, or a ConfigError that names the key."""
    config = Config({"key": value}, where="fuzz.json")
    for ask in (
        config.count, config.optional_count, config.number, config.flag, config.text, config.items, config.counts, config.part,
    ):  # fmt: skip
        try:
            ask("key")
        except kvplan.ConfigError as error:
            assert error.message.startswith("fuzz.json: key")  # noqa: PT017  an answer is as good as a refusal


def test_architectures_alone_say_what_a_model_is():
    """A file without model_type is read by its class, and planned like one that has both."""
    values = {key: value for key, value in LLAMA.items() if key != "model_type"}
    plans = [
        kvplan.estimate(read_config(stated, spec_id="a", source="a", where="a.json"), "h100")
        for stated in (LLAMA, values | {"architectures": ["LlamaForCausalLM"]})
    ]
    assert plans[1].weights.items[0].bytes == plans[0].weights.items[0].bytes
    assert plans[1].bytes_per_request == plans[0].bytes_per_request
