"""Dense decoders after Llama: one rule each, by what their model type has beyond the common keys."""

from typing import Any

from kvplan.models.gguf.keys import Keys, Rule, given, rule

# Architectures whose model type has nothing beyond the common keys that a size depends on.
_SAME = {
    "qwen2": "qwen2",
    "qwen2vl": "qwen2_vl_text",
    "qwen3": "qwen3",
    "qwen3vl": "qwen3_vl_text",
    "gemma": "gemma",
    "phi2": "phi",
    "internlm2": "internlm2",
    "baichuan": "baichuan",
    "orion": "orion",
    "xverse": "xverse",
    "nemotron": "nemotron",
    "olmo": "olmo",
    "arcee": "arcee",
    "apertus": "apertus",
    "smollm3": "smollm3",
    "dream": "Dream",
    "exaone": "exaone",
    "ernie4_5": "ernie4_5",
    "paddleocr": "paddleocr_vl_text",
    "bitnet": "bitnet",
    "jais2": "jais2",
    "llada": "llada",
}


def _same(model_type: str) -> Rule:
    def read(keys: Keys) -> dict[str, Any]:
        return keys.base(model_type)

    return read


for _architecture, _model_type in _SAME.items():
    rule(_architecture)(_same(_model_type))


@rule("llama", "mistral3")
def llama(keys: Keys) -> dict[str, Any]:
    """Llama and all that is converted to it: Mistral, Yi, InternLM 3; with experts it is Mixtral.

    Mistral 7B v0.1's window is not in its file: llama.cpp caches every token of it (conversion/llama.py).
    """
    if keys.optional("expert_count"):
        return keys.experts("mixtral", num_local_experts=keys.count("expert_count"), sliding_window=0)
    query, output = keys.present("attn_q.bias", "attn_qkv.bias"), keys.present("attn_output.bias")
    if query and not output:
        return keys.base("internlm3", qkv_bias=True, bias=False)
    return keys.base("llama", attention_bias=query, mlp_bias=keys.present("ffn_gate.bias", "ffn_down.bias"))


@rule("granite")
def granite(keys: Keys) -> dict[str, Any]:
    """Granite 3 and 4; the dense ones of Granite 4 without Mamba layers keep keys of them (conversion/granite.py)."""
    keys.read.update(("ssm.state_size", "expert_count"))
    shared = keys.optional("expert_shared_feed_forward_length")
    biases = given(attention_bias=keys.present("attn_q.bias"), mlp_bias=keys.present("ffn_gate.bias"))
    return keys.base("granite", **biases) | given(intermediate_size=shared or None)


@rule("command-r")
def command_r(keys: Keys) -> dict[str, Any]:
    """Command R; R+ has norms on Q and K."""
    return keys.base("cohere", use_qk_norm=keys.present("attn_q_norm.weight"))


@rule("seed_oss")
def seed_oss(keys: Keys) -> dict[str, Any]:
    """Seed OSS."""
    return keys.base("seed_oss", attention_bias=keys.present("attn_q.bias"))


@rule("hunyuan-dense")
def hunyuan(keys: Keys) -> dict[str, Any]:
    """Hunyuan 0.5B to 7B; a count of one expert means none (llama-model.cpp load_hparams)."""
    if keys.count("expert_count", 0) > 1:
        raise keys.refuse("expert_count", "is more than one.")
    return keys.base("hunyuan_v1_dense")


@rule("stablelm")
def stablelm(keys: Keys) -> dict[str, Any]:
    """StableLM: blocks side by side have no norm before the MLP."""
    norm = keys.present("ffn_norm.weight")
    return keys.base(
        "stablelm",
        use_qkv_bias=keys.present("attn_q.bias"),
        qk_layernorm=keys.present("attn_q_norm.weight"),
        # The key is true in files of models whose configuration is silent: the norm before the MLP tells.
        use_parallel_residual=bool(keys.raw("use_parallel_residual")) if norm is None else not norm,
    )


@rule("glm4")
def glm4(keys: Keys) -> dict[str, Any]:
    """GLM 4 0414, and the language model of GLM 4.1V."""
    return keys.base("glm4", attention_bias=keys.present("attn_q.bias", "attn_qkv.bias"))


@rule("chatglm")
def chatglm(keys: Keys) -> dict[str, Any]:
    """ChatGLM and GLM 4 9B in their own form."""
    values = keys.outer() | given(
        model_type="chatglm",
        hidden_size=keys.hidden,
        num_layers=keys.layers,
        num_attention_heads=keys.heads,
        kv_channels=keys.head_dim,
        ffn_hidden_size=keys.count("feed_forward_length"),
        multi_query_attention=True,
        multi_query_group_num=keys.count("attention.head_count_kv", keys.heads),
        add_qkv_bias=keys.present("attn_qkv.bias", "attn_q.bias"),
    )
    return {"seq_length" if key == "max_position_embeddings" else key: value for key, value in values.items()}


@rule("qwen")
def qwen(keys: Keys) -> dict[str, Any]:
    """Qwen 1, whose files state the MLP of gate and up side by side (conversion/qwen.py)."""
    return keys.base("qwen", kv_channels=keys.head_dim)


@rule("minicpm")
def minicpm(keys: Keys) -> dict[str, Any]:
    """MiniCPM 1 and 2, which older files call so."""
    experts = keys.optional("expert_count")
    per_token = keys.optional("expert_used_count")
    return keys.base("minicpm", num_experts=experts or None, num_experts_per_tok=per_token or None)


@rule("deci")
def deci(keys: Keys) -> dict[str, Any]:
    """DeciLM and Llama Nemotron: each layer its own heads and widths, 0 for what it has not (conversion/deci.py)."""
    heads = keys.listed("attention.head_count")
    groups = keys.per_layer("attention.head_count_kv") or heads
    widths = keys.listed("feed_forward_length")
    most = max(heads, default=0)
    if not most or not widths:
        raise keys.fail("attention.head_count", "leaves no layer that attends.")
    blocks = [_block(keys, *layer, most) for layer in zip(heads, groups, widths, strict=True)]
    return keys.outer() | {
        "model_type": "nemotron-nas",
        "hidden_size": keys.hidden,
        "num_hidden_layers": keys.layers,
        "num_attention_heads": most,
        "head_dim": keys.count("attention.key_length", keys.hidden // most),
        "block_configs": blocks,
    }


def _block(keys: Keys, heads: int, kv_heads: int, width: int, most: int) -> dict[str, Any]:
    """Return one block of Nemotron-NAS: attention by its group, one linear layer in its place, or nothing."""
    attention: dict[str, Any] = {"no_op": True}
    if heads and kv_heads:
        if heads != most:
            raise keys.refuse("attention.head_count", "has layers with fewer query heads than others.")
        attention = {"n_heads_in_group": heads // kv_heads}
    elif heads:
        attention = {"replace_with_linear": True}
    return {"attention": attention, "ffn": {"intermediate_size": width} if width else {"no_op": True}}


@rule("plamo")
def plamo(keys: Keys) -> dict[str, Any]:
    """PLaMo 1: query heads that share a KV head."""
    return keys.base("plamo", n_shared_head=-(-keys.heads // (keys.count("attention.head_count_kv", 0) or keys.heads)))


@rule("pangu-embedded")
def pangu(keys: Keys) -> dict[str, Any]:
    """Pangu Embedded."""
    return keys.base("PanguEmbedded", bias=keys.present("attn_q.bias"))


@rule("llama-embed")
def llama_embed(keys: Keys) -> dict[str, Any]:
    """Llama made an embedding model, whose tokens attend both ways."""
    return keys.base("llama_bidirec", architectures=["LlamaBidirectionalModel"])
