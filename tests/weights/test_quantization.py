"""What a quantisation section comes to: the bytes of one linear by hand, which modules are meant, and no broken value passes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sizes import stored

from kvplan.errors import ConfigError
from kvplan.weights.parts import embedding, linear
from kvplan.weights.quantization import declared_kv_dtype, read_scheme

# 4,096 outputs x 11,008 inputs: 45,088,768 weights.
ROWS, COLUMNS = 4096, 11008
DOWN = linear("down_proj", ROWS, COLUMNS, component="mlp")
EXPERTS = linear("experts.down_proj", ROWS, 2048, component="experts", count=8)
HEAD = linear("lm_head", 1024, ROWS, component="head")
EMBEDDING = embedding("embed_tokens", 1024, ROWS)
VISION = linear("q_proj", 1024, 1024, component="vision", count=24)
Q, ROUTER = linear("q_proj", ROWS, ROWS, component="attention"), linear("router", 8, ROWS, component="router")


def read(section, **config):
    return read_scheme(section, config=config, plain_bytes=2, where="config.json")


def ct(weights, form="pack-quantized", **more):
    """Return a compressed-tensors section of one group of all linears."""
    group = {"targets": ["Linear"], "weights": {"type": "int", "symmetric": True, **weights}, **more}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


N = ROWS * COLUMNS
GROUPS = ROWS * 86  # 11,008 / 128
# Section, bytes of DOWN: weights + scales (+ zero points) + what goes with the whole linear.
LINEARS = {
    "fp8 blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, N + 32 * 86 * 4),
    "fp8 small blocks of exponents": (
        {"quant_method": "fp8", "weight_block_size": [32, 32], "scale_fmt": "ue8m0", "expert_dtype": "fp4"},
        N + 128 * 344,
    ),
    "fp8 tensor": ({"quant_method": "fp8", "activation_scheme": "dynamic"}, N + 4),
    "fp8 tensor, inputs too": ({"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}, N + 8),
    "fbgemm": ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, N + ROWS * 4),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, N // 2 + GROUPS * 5 // 2 + COLUMNS * 4),
    "gptq, whole input": ({"quant_method": "gptq", "bits": 8, "group_size": -1}, N + ROWS * 3 + COLUMNS * 4),
    "gptq, 3 bits": ({"quant_method": "gptq", "bits": 3, "group_size": 128}, N * 3 // 8 + GROUPS * 19 // 8 + COLUMNS * 4),
    "gptq for marlin": (
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "checkpoint_format": "marlin"}, N // 2 + GROUPS * 2,
    ),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, N // 2 + GROUPS * 5 // 2),
    "awq, old keys": ({"w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM"}, N // 2 + GROUPS * 5 // 2),
    "autoround": ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, N // 2 + GROUPS * 5 // 2),
    "autoround, mx": ({"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp"}, N // 2 + N // 32),
    "w4a16": (ct({"num_bits": 4, "group_size": 128, "strategy": "group"}), N // 2 + GROUPS * 2 + 16),
    "w4a16 with zeros and order": (
        ct({"num_bits": 4, "group_size": 128, "strategy": "group", "symmetric": False, "actorder": "group"}),
        N // 2 + GROUPS * 5 // 2 + COLUMNS * 4 + 16,
    ),
    "w8a8": (ct({"num_bits": 8, "strategy": "channel"}, "int-quantized"), N + ROWS * 2),
    "fp8 dynamic": (ct({"num_bits": 8, "type": "float", "strategy": "channel"}, "float-quantized"), N + ROWS * 2),
    "fp8 static": (
        ct({"num_bits": 8, "type": "float", "strategy": "tensor"}, "float-quantized", input_activations={"dynamic": False}),
        N + 4,
    ),
    "fp8 block": (
        ct({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}, "float-quantized"),
        N + 32 * 86 * 2,
    ),
    "nvfp4 of llm-compressor": (
        ct({"num_bits": 4, "type": "float", "group_size": 16}, "nvfp4-pack-quantized", input_activations={"num_bits": 4}),
        N // 2 + N // 16 + 8,
    ),
    "mxfp4 of llm-compressor": (
        ct({"num_bits": 4, "type": "float", "group_size": 32}, "mxfp4-pack-quantized"), N // 2 + N // 32,
    ),
    "2:4 sparse": (ct({"num_bits": 4, "group_size": 128}, "marlin-24"), N * 3 // 8 + GROUPS * 2 + 16),
    "modelopt fp8": ({"quant_method": "modelopt", "quant_algo": "FP8"}, N + 8),
    "modelopt nvfp4": ({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}, N // 2 + N // 16 + 8),
    "modelopt weights alone": ({"quant_algo": "W4A16_NVFP4"}, N // 2 + N // 16 + 4),
    "modelopt mxfp8": ({"quant_algo": "mxfp8"}, N + N // 32),
    "modelopt int4 awq": ({"quant_algo": "W4A16_AWQ"}, N // 2 + GROUPS * 2 + COLUMNS * 2),
    "nf4, twice": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        N // 2 + N // 64 + N // 64 // 64 + 1024 + 64 + 173,
    ),
    "fp4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, N // 2 + N // 64 * 4 + 64 + 173),
    "bitsandbytes int8": ({"load_in_8bit": True}, N + ROWS * 4 + 1),
    "hqq": (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
        N // 2 + N // 64 * 4,
    ),
    "exl2": ({"quant_method": "exl2", "bits": 4.5, "head_bits": 6}, N * 9 // 16),
    "exl3": ({"quant_method": "exl3", "bits": 4, "head_bits": 6}, N // 2 + 2 * (ROWS + COLUMNS)),
    "mlx": ({"group_size": 64, "bits": 4}, N // 2 + N // 64 * 4),
    "mlx mxfp4": ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, N // 2 + N // 32),
    "torchao int4": (
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}},
        N // 2 + GROUPS * 4,
    ),
    "torchao int8 in words": ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, N + ROWS * 2),
    "quark mxfp4": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}}},
        N // 2 + N // 32,
    ),
    "quark fp8": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}}, N + 4,
    ),
    "quanto": ({"quant_method": "quanto", "weights": "int4"}, N // 2 + GROUPS * 4),
    "eetq": ({"quant_method": "eetq", "weights": "int8"}, N + ROWS * 2),
    "aqlm": (
        {"quant_method": "aqlm", "in_group_size": 8, "num_codebooks": 1, "nbits_per_codebook": 16},
        N * 2 // 8 + ROWS * 2 + 65536 * 8 * 2,
    ),
    "bitnet": ({"quant_method": "bitnet"}, N // 4 + 2),
    "mxfp8": ({"quant_method": "mxfp8"}, N + N // 32),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEARS)
def test_a_linear_takes_its_weights_scales_and_what_goes_with_them(name):
    """The tensors of one linear, added up by hand, are what the section comes to."""
    section, size = LINEARS[name]
    scheme = read(section)
    assert abs(stored(scheme, DOWN, 0) - size) <= 1
    assert scheme.source


@pytest.mark.parametrize(
    "section",
    [
        {"quant_method": "gguf"},
        {"quant_method": "vptq", "config_for_layers": {}},
        {"quant_method": "gptq"},
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": "[dropped: 2409606 bytes]"},
        {"quant_method": "modelopt", "quant_algo": "SOMETHING_NEW"},
        {"quant_method": "compressed-tensors", "config_groups": {}},
        ct({"num_bits": 5, "type": "float"}),
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "UIntXWeightOnlyConfig", "_data": {}}}},
        {},
    ],
)
def test_what_no_rule_establishes_is_unknown(section):
    """A method, an algorithm or a width without a rule is no scheme, and none is guessed."""
    assert read(section) is None


@pytest.mark.parametrize(
    "section, key",
    [
        ({"quant_method": "gptq", "bits": "four"}, "bits"),
        ({"quant_method": "gptq", "bits": 4, "group_size": [128]}, "group_size"),
        ({"quant_method": "gptq", "bits": 9}, "bits"),
        ({"quant_method": "awq", "bits": True}, "bits"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size"),
        ({"quant_method": "fp8", "modules_to_not_convert": [3]}, "modules_to_not_convert"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": 5}, "ignore"),
        ({"quantization": {"quant_algo": "NVFP4", "exclude_modules": {}}}, "quantization.exclude_modules"),
        (
            ct({"num_bits": None}) | {"config_groups": {"group_0": {"weights": {"num_bits": 0}}}},
            "group_0.weights.num_bits",
        ),
        ({"quant_method": "bitsandbytes", "load_in_4bit": "yes"}, "load_in_4bit"),
        ({"quant_method": "hqq", "quant_config": {"nbits": 5}}, "quant_config.nbits"),
        ({"group_size": 64, "bits": 4, "lm_head": {"bits": -2}}, "lm_head.bits"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(section, key):
    """A broken value ends in one line that names the file and the key."""
    with pytest.raises(ConfigError, match=rf"config\.json: .*{re.escape(key)} of"):
        read(section)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(?:a|a*)*", "(a?){30}a", ".*.*.*x", "(" * 50, r"(a)\1", "a{5000}", "x" * 5000]
)
def test_an_expression_that_could_take_forever_is_refused(pattern):
    """Regular expressions come from files that anybody can publish."""
    section = ct({"num_bits": 4, "group_size": 128}) | {"ignore": [f"re:{pattern}"]}
    with pytest.raises(ConfigError, match="ignore"):
        read(section)


@pytest.mark.parametrize(
    "pattern",
    [
        r".*mlp\.(gate|up|gate_up|down)_proj.*",
        r"^(?!.*mlp).*$",
        r"model\.layers\.(?:[1-9]|1\d)\.self_attn\..*",
        r"(re:)?(model\.)?(language_model\.)?layers\.\d+\.mlp\.experts\.\d{1,3}\..*",
        r"[^.]+\.[a-z_]*\..*",
    ],
)
def test_expressions_of_published_files_are_read(pattern):
    """What real files write passes the guard."""
    assert read(ct({"num_bits": 4, "group_size": 128}) | {"ignore": [f"re:{pattern}"]}) is not None


def test_too_many_patterns_for_every_module_are_refused():
    """Names are free by the thousand; wildcards that may match anything are not."""
    with pytest.raises(ConfigError, match="900 patterns"):
        read({"quant_algo": "NVFP4", "ignore": [f"*x{'y' * n}*" for n in range(900)]})
    assert read({"quant_algo": "NVFP4", "ignore": [f"model.layers.{n}.mlp*" for n in range(900)]}) is not None


def test_deepseek_v4_keeps_experts_in_four_bits():
    """`expert_dtype: fp4` stands beside the section or in it; scales are exponents of a byte."""
    section = {"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"}
    scheme = read(section, expert_dtype="fp4")
    assert stored(scheme, EXPERTS, 3) == 8 * (ROWS * 2048 // 2 + ROWS * 2048 // 32)
    assert stored(scheme, DOWN, 3) == N + 32 * 86
    # DeepSeek-V3.2 states the same `scale_fmt` and stores float32.
    assert stored(read(section, model_type="deepseek_v32"), DOWN, 3) == N + 32 * 86 * 4


def test_gptq_overrides_by_expression():
    """GPTQModel's `dynamic` leaves modules alone (-:) or gives them other bits; the first match decides."""
    dynamic = {r"-:.*\.q_proj": {}, r"+:.*\.layers\.[0-3]\..*": {"bits": 8, "group_size": 64}}
    scheme = read({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": dynamic})
    assert scheme.format_of(Q, 9) is None
    assert scheme.format_of(DOWN, 3).bits == 8
    assert scheme.format_of(DOWN, 3).group == 64
    assert scheme.format_of(DOWN, 13).bits == 4
    assert scheme.stated


def test_gptq_quantises_what_is_listed_and_the_head_where_flagged():
    """`modules_in_block_to_quantize` is all there is; `lm_head` adds the head."""
    only = [["self_attn.q_proj"], ["self_attn.k_proj", "self_attn.v_proj"]]
    scheme = read({"quant_method": "gptq", "bits": 4, "modules_in_block_to_quantize": only, "lm_head": True})
    assert scheme.format_of(Q, 0) is not None
    assert scheme.format_of(DOWN, 0) is None
    assert scheme.format_of(HEAD, None) is not None


def test_autoround_overrides_by_name_and_expression():
    """16 bits mean: left alone."""
    extra = {"model.layers.2.mlp.down_proj": {"bits": 8}, r"layers\.4\..*": {"bits": 16}, "lm_head": {"bits": 4}}
    scheme = read({"quant_method": "auto-round", "bits": 4, "group_size": 128, "extra_config": extra})
    assert [scheme.format_of(DOWN, layer) and scheme.format_of(DOWN, layer).bits for layer in (1, 2, 4)] == [4, 8, None]
    assert scheme.format_of(HEAD, None).bits == 4


def test_compressed_tensors_has_groups_of_its_own():
    """Named targets come before the class; what `ignore` names comes before both."""
    groups = {
        "a": {"targets": [r"re:.*self_attn\..*"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
        "b": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"}},
    }
    section = {
        "quant_method": "compressed-tensors",
        "config_groups": groups,
        "ignore": ["lm_head", "model.layers.0.self_attn.q_proj"],
    }
    scheme = read(section)
    assert scheme.format_of(Q, 0) is None
    assert scheme.format_of(Q, 1).bits == 8
    assert scheme.format_of(DOWN, 0).bits == 4
    assert scheme.format_of(VISION, None).bits == 4
    assert scheme.format_of(HEAD, None) is None


def test_a_section_of_the_text_model_leaves_towers_alone():
    """Kimi-K2.5 states its section within `text_config`: it says nothing of the vision tower."""
    scheme = read(ct({"num_bits": 4, "group_size": 32}), text_config={"num_hidden_layers": 61})
    assert scheme.format_of(VISION, None) is None
    assert scheme.format_of(DOWN, 5) is not None


def test_modelopt_mixes_by_name():
    """MIXED_PRECISION leaves alone what it does not name; on top of an fp8 checkpoint the rest is fp8."""
    layers = {"model.layers.0.mlp": {"quant_algo": "NVFP4"}, "model.layers.1.mlp.down_proj": {"quant_algo": "FP8"}}
    section = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    scheme = read(section)
    assert [getattr(scheme.format_of(DOWN, layer), "name", None) for layer in (0, 1, 2)] == [
        "nvfp4",
        "fp8-tensor",
        None,
    ]
    over = read({**section, "quant_method": "fp8", "weight_block_size": [128, 128]})
    assert over.format_of(DOWN, 2).name == "fp8-block"


def test_gpt_oss_quantises_experts_alone():
    """`modules_to_not_convert` names the rest; nothing but experts is ever in MXFP4."""
    scheme = read({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]})
    assert scheme.format_of(EXPERTS, 0).name == "mxfp4"
    assert scheme.format_of(DOWN, 0) is None
    assert scheme.stated


def test_bitsandbytes_quantises_every_linear():
    """Towers and routers, too; the head stays, and merged experts of transformers 5 are no nn.Linear."""
    section = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    four = read(section, transformers_version="4.57.1")
    assert all(four.format_of(part, layer) for part, layer in ((VISION, None), (ROUTER, 0), (EXPERTS, 0), (Q, 0)))
    assert four.format_of(HEAD, None) is None
    five = read({**section, "llm_int8_skip_modules": ["q_proj"]}, transformers_version="5.18.0")
    assert five.format_of(EXPERTS, 0) is None
    assert five.format_of(Q, 0) is None


def test_mlx_quantises_embeddings_and_head():
    """Every linear and embedding is in groups but those named false; overrides have values of their own."""
    scheme = read(
        {"group_size": 64, "bits": 4, "lm_head": False, "model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 8}}
    )
    assert scheme.format_of(EMBEDDING, None).bits == 4
    assert scheme.format_of(HEAD, None) is None
    assert (scheme.format_of(DOWN, 0).bits, scheme.format_of(DOWN, 0).group) == (8, 32)


def test_exl_has_another_width_for_the_head():
    """`bits` is the layers' average."""
    scheme = read({"quant_method": "exl3", "bits": 3.5, "head_bits": 6})
    assert (scheme.format_of(HEAD, None).bits, scheme.format_of(DOWN, 0).bits) == (6, 3.5)


def test_torchao_by_module():
    """FqnToConfig: by name, by expression, and `_default` for the rest."""
    four = {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 32}}
    eight = {"_type": "Int8WeightOnlyConfig", "_data": {}}
    data = {"module_fqn_to_config": {"_default": four, "model.layers.0.mlp.down_proj": eight, "re:.*self_attn.*": None}}
    scheme = read({"quant_method": "torchao", "quant_type": {"default": {"_type": "ModuleFqnToConfig", "_data": data}}})
    assert [scheme.format_of(DOWN, layer).bits for layer in (0, 1)] == [8, 4]
    assert scheme.format_of(Q, 1) is None
    assert scheme.format_of(HEAD, None) is None


def test_quark_by_glob():
    """`layer_quant_config` has layouts of its own, `exclude` none."""
    mxfp4 = {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}
    section = {
        "quant_method": "quark",
        "global_quant_config": {"weight": mxfp4},
        "layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}},
        "exclude": ["lm_head", "*mlp.gate"],
    }
    scheme = read(section)
    assert [scheme.format_of(part, 3).name for part in (Q, DOWN)] == ["fp8-tensor", "mxfp4"]
    assert scheme.format_of(HEAD, None) is None


@pytest.mark.parametrize(
    "section, dtype",
    [
        ({"kv_cache_scheme": {"type": "float", "num_bits": 8, "dynamic": False}}, "fp8_e4m3"),
        ({"kv_cache_scheme": "FP8"}, "fp8_e4m3"),
        ({"kv_cache_quant_algo": "FP8"}, "fp8_e4m3"),
        ({"quantization": {"kv_cache_quant_algo": "NVFP4"}}, "nvfp4"),
        ({"kv_cache_quant_algo": "INT8"}, "int8"),
        ({"kv_cache_dtype": "fp8_e5m2"}, "fp8_e5m2"),
        ({"kv_cache_scheme": None, "kv_cache_quant_algo": None}, None),
        ({"kv_cache_scheme": {"type": ["float"], "num_bits": "8"}}, None),
        ({"kv_cache_quant_algo": "[dropped: 9 bytes]"}, None),
    ],
)
def test_the_cache_format_that_a_checkpoint_declares(section, dtype):
    """An object, a word, or nothing."""
    assert declared_kv_dtype(section) == dtype


def test_thousands_of_names_are_asked_for_by_key():
    """A list of every module of a large model is no list that each part is held against (`benchmarks/speed.py` times it)."""
    names = [f"model.layers.{n % 100}.mlp.experts.{n}.gate_proj" for n in range(5_000)]
    scheme = read({"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": names})
    assert len(scheme.rules) >= 5_000
    assert all(rule.is_name and not rule.is_general for rule in scheme.rules)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
METHODS = sorted({section.get("quant_method") or "" for section, _ in LINEARS.values()})
KEYS = sorted({key for section, _ in LINEARS.values() for key in section} | {
    "extra_config", "dynamic", "quantized_layers", "ignore", "exclude_modules", "modules_to_not_convert", "exclude", "lm_head",
    "layer_quant_config", "skip_modules", "llm_int8_skip_modules", "sparsity_config", "kv_cache_scheme", "weights",
})  # fmt: skip


def outcome(section, config):
    """Return the scheme, or the message of the one error that may come."""
    try:
        return read_scheme(section, config=config, plain_bytes=2, where="x")
    except ConfigError as error:
        return error.message


@given(
    method=st.sampled_from([*METHODS, None]),
    values=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6),
    config=JSON,
)
def test_any_section_is_a_scheme_unknown_or_one_clear_line(method, values, config):
    """Whatever a file holds, nothing but ConfigError comes out, and a scheme's sizes can be asked for."""
    section = values if method is None else {**values, "quant_method": method}
    declared_kv_dtype(section)
    found = outcome(section, config if isinstance(config, dict) else {})
    if isinstance(found, str):
        assert found.startswith("x: ")
    elif found is not None:
        assert all(stored(found, part, layer) >= 0 for part, layer in ((DOWN, 0), (HEAD, None), (VISION, None)))


@given(data=st.data(), value=JSON)
def test_one_broken_value_in_a_good_section(data, value):
    """Any value in place of any value of a real section, at any depth."""
    section, _ = LINEARS[data.draw(st.sampled_from(sorted(LINEARS)))]

    def broken(node):
        if not isinstance(node, dict) or not node:
            return value
        key = data.draw(st.sampled_from(sorted(node)))
        return {**node, key: value if data.draw(st.booleans()) else broken(node[key])}

    found = outcome(broken(section), {})
    if isinstance(found, str):
        assert found.startswith("x: ")
    else:
        assert found is None or stored(found, DOWN, 0) >= 0
