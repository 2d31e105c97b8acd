"""Decoders with routed experts and ordinary attention."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule


@rule("qwen2moe")
def qwen2moe(keys: Keys) -> dict[str, Any]:
    """Qwen 1.5 and 2 with experts; older files leave the experts' widths to the loader (src/models/qwen2moe.cpp)."""
    return keys.experts(
        "qwen2_moe",
        num_experts=keys.count("expert_count"),
        moe_intermediate_size=_expert_width(keys),
        shared_expert_intermediate_size=keys.optional("expert_shared_feed_forward_length")
        or keys.count("feed_forward_length"),
        qkv_bias=keys.present("attn_q.bias"),
    )


def _expert_width(keys: Keys) -> int:
    stated = keys.optional("expert_feed_forward_length")
    return stated or keys.quotient("feed_forward_length", keys.count("expert_used_count"), "expert_used_count")


@rule("qwen3moe")
def qwen3moe(keys: Keys) -> dict[str, Any]:
    """Qwen 3 with experts in every layer."""
    return keys.experts("qwen3_moe", num_experts=keys.count("expert_count"), moe_intermediate_size=_expert_width(keys))


@rule("qwen3vlmoe")
def qwen3vlmoe(keys: Keys) -> dict[str, Any]:
    """Qwen 3 VL's language model with experts."""
    return keys.experts(
        "qwen3_vl_moe_text", num_experts=keys.count("expert_count"), moe_intermediate_size=_expert_width(keys)
    )


@rule("olmoe")
def olmoe(keys: Keys) -> dict[str, Any]:
    """OLMoE."""
    return keys.experts("olmoe", num_experts=keys.count("expert_count"))


@rule("phimoe")
def phimoe(keys: Keys) -> dict[str, Any]:
    """Phi 3.5 MoE; llama.cpp caches every token whatever the window."""
    return keys.experts(
        "phimoe",
        num_local_experts=keys.count("expert_count"),
        sliding_window=keys.count("attention.sliding_window", 0),
        attention_bias=keys.present("attn_q.bias", "attn_qkv.bias"),
        lm_head_bias="output.bias" in keys.tensors if keys.tensors else None,
    )


@rule("dbrx")
def dbrx(keys: Keys) -> dict[str, Any]:
    """DBRX."""
    return keys.outer() | {
        "model_type": "dbrx",
        "d_model": keys.hidden,
        "n_layers": keys.layers,
        "n_heads": keys.heads,
        "attn_config": {"kv_n_heads": keys.count("attention.head_count_kv", keys.heads)},
        "ffn_config": {
            "moe_num_experts": keys.count("expert_count"),
            "moe_top_k": keys.count("expert_used_count"),
            "ffn_hidden_size": keys.count("feed_forward_length"),
        },
    }


@rule("grok")
def grok(keys: Keys) -> dict[str, Any]:
    """Grok 1 and 2; 2 has a dense MLP beside the experts."""
    return keys.experts(
        "grok_1", num_experts=keys.count("expert_count"), residual_moe=keys.present("ffn_up.weight") or False
    )


@rule("gpt-oss")
def gpt_oss(keys: Keys) -> dict[str, Any]:
    """GPT-OSS: every second layer slides, the first one too."""
    values = keys.experts("gpt_oss", num_local_experts=keys.count("expert_count"), **keys.windowed(2))
    return values | {"intermediate_size": keys.count("expert_feed_forward_length", values.get("intermediate_size"))}


@rule("llama4")
def llama4(keys: Keys) -> dict[str, Any]:
    """Llama 4's language model: chunks of 8,192 in three of four layers, unless a window of 0 switches them off.

    Source: src/models/llama4.cpp, where chunk and pattern stand.
    """
    chunked = keys.raw("attention.sliding_window") != 0
    words = {"sliding_attention": "chunked_attention", "full_attention": "full_attention"}
    types = [words[word] for word in keys.window_types(4)] if chunked else ["full_attention"] * keys.layers
    width = keys.count("feed_forward_length")
    return keys.experts(
        "llama4_text",
        num_local_experts=keys.count("expert_count"),
        interleave_moe_layer_step=keys.count("interleave_moe_layer_step", 1),
        intermediate_size=keys.count("expert_feed_forward_length", width),
        intermediate_size_mlp=width,
        attention_chunk_size=8192 if chunked else 0,
        layer_types=types,
    )


@rule("granitemoe")
def granite_moe(keys: Keys) -> dict[str, Any]:
    """Granite 3 with experts, and with a shared one."""
    shared = keys.optional("expert_shared_feed_forward_length")
    return keys.experts(
        "granitemoeshared" if shared else "granitemoe",
        num_local_experts=keys.count("expert_count"),
        shared_intermediate_size=shared or None,
    )


@rule("deepseek")
def deepseek(keys: Keys) -> dict[str, Any]:
    """DeepSeek MoE 16B."""
    return keys.experts(
        "deepseek",
        n_routed_experts=keys.count("expert_count"),
        n_shared_experts=keys.count("expert_shared_count", 0),
        first_k_dense_replace=keys.dense_layers,
    )


@rule("dots1")
def dots1(keys: Keys) -> dict[str, Any]:
    """dots.llm1."""
    return keys.experts(
        "dots1",
        n_routed_experts=keys.count("expert_count"),
        n_shared_experts=keys.count("expert_shared_count", 0),
        first_k_dense_replace=keys.dense_layers,
        layer_types=["full_attention"] * keys.layers,
    )


@rule("glm4moe")
def glm4moe(keys: Keys) -> dict[str, Any]:
    """GLM 4.5 to 4.7 and Solar Open, whose next-token layer is among the blocks."""
    return keys.experts(
        "glm4_moe",
        n_routed_experts=keys.count("expert_count"),
        n_shared_experts=keys.count("expert_shared_count", 0),
        first_k_dense_replace=keys.dense_layers,
        num_nextn_predict_layers=keys.drafts,
        use_qk_norm=keys.present("attn_q_norm.weight"),
        attention_bias=keys.present("attn_q.bias", "attn_qkv.bias"),
    )


@rule("ernie4_5-moe")
def ernie_moe(keys: Keys) -> dict[str, Any]:
    """ERNIE 4.5 with experts."""
    return keys.experts(
        "ernie4_5_moe",
        moe_num_experts=keys.count("expert_count"),
        moe_k=keys.count("expert_used_count"),
        num_experts_per_tok=None,
        moe_num_shared_experts=keys.count("expert_shared_count", 0),
        moe_layer_start_index=keys.dense_layers,
        moe_layer_interval=keys.count("interleave_moe_layer_step", 1),
    )


@rule("hunyuan-moe")
def hunyuan_moe(keys: Keys) -> dict[str, Any]:
    """Hunyuan A13B: experts as wide as the MLP beside them."""
    width = keys.optional("expert_feed_forward_length") or keys.count("feed_forward_length")
    shared = keys.count("expert_shared_feed_forward_length", width)
    if shared != width:
        raise keys.refuse("expert_shared_feed_forward_length", f"is {shared}, but experts are {width} wide.")
    return keys.experts(
        "hunyuan_v1_moe",
        num_experts=keys.count("expert_count"),
        moe_topk=keys.count("expert_used_count"),
        num_experts_per_tok=None,
        moe_intermediate_size=None,
        intermediate_size=width,
    )


@rule("hy_v3")
def hy_v3(keys: Keys) -> dict[str, Any]:
    """Hunyuan 3, whose file states the width of its shared expert."""
    shared = keys.quotient(
        "expert_shared_feed_forward_length", keys.count("expert_feed_forward_length"), "expert_feed_forward_length"
    )
    return keys.experts(
        "hy_v3",
        num_experts=keys.count("expert_count"),
        num_shared_experts=shared,
        first_k_dense_replace=max(keys.dense_layers, 1),
        num_nextn_predict_layers=keys.drafts,
    )


@rule("bailingmoe", "bailingmoe2")
def bailing(keys: Keys) -> dict[str, Any]:
    """Ling and Ring, 1 and 2."""
    return keys.experts(
        "bailing_moe" if keys.architecture == "bailingmoe" else "bailing_moe_v2",
        num_experts=keys.count("expert_count"),
        num_shared_experts=keys.count("expert_shared_count", 0),
        # Of one shared expert (src/models/bailingmoe2.cpp multiplies).
        moe_shared_expert_intermediate_size=keys.optional("expert_shared_feed_forward_length") or None,
        first_k_dense_replace=keys.dense_layers,
        num_nextn_predict_layers=keys.drafts,
        use_qkv_bias=keys.present("attn_qkv.bias", "attn_q.bias"),
        use_qk_norm=keys.present("attn_q_norm.weight"),
        moe_router_enable_expert_bias=keys.present("exp_probs_b.bias"),
    )


@rule("minimax-m2")
def minimax_m2(keys: Keys) -> dict[str, Any]:
    """MiniMax M2."""
    width = keys.optional("expert_feed_forward_length") or keys.count("feed_forward_length")
    return keys.experts("minimax_m2", num_local_experts=keys.count("expert_count"), intermediate_size=width)


@rule("smallthinker")
def smallthinker(keys: Keys) -> dict[str, Any]:
    """SmallThinker: of four layers the first is full (src/models/smallthinker.cpp)."""
    window = keys.windowed(4, dense_first=True)
    return keys.base(
        "smallthinker",
        moe_num_primary_experts=keys.count("expert_count"),
        moe_num_active_primary_experts=keys.count("expert_used_count"),
        moe_ffn_hidden_size=keys.optional("expert_feed_forward_length") or keys.count("feed_forward_length"),
        **window,
    )


@rule("mellum")
def mellum(keys: Keys) -> dict[str, Any]:
    """Mellum 2."""
    return keys.experts(
        "mellum",
        num_experts=keys.count("expert_count"),
        first_k_dense_replace=keys.dense_layers,
        **keys.windowed(4),
    )


@rule("afmoe")
def afmoe(keys: Keys) -> dict[str, Any]:
    """Arcee Trinity."""
    return keys.experts(
        "afmoe",
        num_experts=keys.count("expert_count"),
        num_shared_experts=keys.count("expert_shared_count", 0),
        num_dense_layers=keys.dense_layers,
        **keys.windowed(4),
    )


@rule("exaone-moe")
def exaone_moe(keys: Keys) -> dict[str, Any]:
    """K-EXAONE."""
    dense = keys.dense_layers
    return keys.experts(
        "exaone_moe",
        num_experts=keys.count("expert_count"),
        num_shared_experts=keys.count("expert_shared_count", 0),
        mlp_layer_types=["dense" if i < dense else "sparse" for i in range(keys.layers)],
        num_nextn_predict_layers=keys.drafts,
        **keys.windowed(4, default=128),
    )


@rule("grovemoe")
def grove(keys: Keys) -> dict[str, Any]:
    """GroveMoE, the small experts beside the others included."""
    chunk = keys.count("expert_chunk_feed_forward_length", 128)
    if chunk != 128 or keys.count("experts_per_group", 2) != 2:
        raise keys.refuse("expert_chunk_feed_forward_length", f"is {chunk}; groups of two beside 128 are known.")
    return keys.experts("grove_moe", num_experts=keys.count("expert_count"))


@rule("mimo2")
def mimo2(keys: Keys) -> dict[str, Any]:
    """MiMo V2 Flash: windows with twice the KV heads, values narrower than keys (conversion/mimo.py)."""
    types = keys.window_types(6)
    heads = keys.listed("attention.head_count_kv")
    by_type = {word: {h for h, w in zip(heads, types, strict=True) if w == word} for word in set(types)}
    if any(len(found) != 1 for found in by_type.values()):
        raise keys.refuse("attention.head_count_kv", "differs among layers of one type.")
    full = by_type.get("full_attention", set()) or by_type["sliding_attention"]
    sliding = by_type.get("sliding_attention", set()) or full
    routed = [f"blk.{i}.ffn_gate_inp.weight" in keys.tensors for i in range(keys.layers)] if keys.tensors else None
    sinks = keys.present("attn_sinks.weight")
    return keys.outer() | given(
        model_type="mimo_v2_flash",
        hidden_size=keys.hidden,
        num_hidden_layers=keys.layers,
        num_attention_heads=keys.heads,
        num_key_value_heads=min(full),
        swa_num_key_value_heads=min(sliding),
        swa_num_attention_heads=keys.heads,
        head_dim=keys.count("attention.key_length"),
        v_head_dim=keys.count("attention.value_length"),
        swa_head_dim=keys.count("attention.key_length_swa", keys.count("attention.key_length")),
        swa_v_head_dim=keys.count("attention.value_length_swa", keys.count("attention.value_length")),
        intermediate_size=keys.optional("feed_forward_length"),
        moe_intermediate_size=keys.optional("expert_feed_forward_length"),
        n_routed_experts=keys.count("expert_count"),
        num_experts_per_tok=keys.optional("expert_used_count"),
        layer_types=types,
        sliding_window=keys.count("attention.sliding_window"),
        mlp_layer_types=routed and ["sparse" if sparse else "dense" for sparse in routed],
        add_swa_attention_sink_bias=sinks,
    )


@rule("arctic")
def arctic(keys: Keys) -> dict[str, Any]:
    """Snowflake Arctic: experts in every layer beside a dense MLP (src/models/arctic.cpp)."""
    return keys.experts(
        "arctic", num_local_experts=keys.count("expert_count"), moe_layer_frequency=1, use_residual=True
    )
