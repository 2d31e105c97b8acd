"""Decoders of sparse attention and compressed caches: Kimi K3, GLM 5.3 Flash, MiniMax M3, DeepSeek V4."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule
from kvplan.models.gguf.latent import decoder, delta, indexer, moe


@rule("kimi-k3")
def kimi_k3(keys: Keys) -> dict[str, Any]:
    """Kimi K3: Kimi Linear with a whole gate, experts in a narrower space, attention over earlier residuals.

    Source: src/models/kimi-k3.cpp, where gates and norms stand.
    """
    linear = delta(keys) | {"use_full_rank_gate": True}
    latent = keys.optional("expert_latent_length")
    return decoder(
        keys,
        "kimi_linear",
        layer_types=keys.words("attention.head_count_kv", some="full_attention", none="linear_attention"),
        linear_attn_config=linear,
        mla_use_output_gate=True,
        routed_expert_hidden_size=latent or None,
        latent_moe_use_norm=bool(latent),
        attn_res_block_size=keys.optional("attn_res.block_size") or None,
        **moe(keys, experts="num_local_experts"),
    )


@rule("glm5-next")
def glm5_next(keys: Keys) -> dict[str, Any]:
    """GLM 5.3 Flash's language model."""
    listed = keys.per_layer("attention.indexer.types") or [1] * keys.layers
    return decoder(
        keys,
        "glm5_next_text",
        layer_types=keys.words("attention.head_count_kv", some="full_attention", none="linear_attention"),
        linear_attn_config=delta(keys),
        indexer_types=["full" if own else "shared" for own in listed],
        index_kpool=keys.count("attention.indexer.kpool", 1),
        hc_mult=keys.count("hyper_connection.count"),
        **moe(keys),
        **indexer(keys),
    )


@rule("minimax-m3")
def minimax_m3(keys: Keys) -> dict[str, Any]:
    """MiniMax M3: the dense layers at the start are the full ones (conversion/minimax.py)."""
    dense = keys.count("leading_dense_block_count", 0)
    width = keys.count("expert_feed_forward_length")
    return keys.experts(
        "minimax_m3",
        layer_types=["full_attention" if i < dense else "minimax_m3_sparse" for i in range(keys.layers)],
        mlp_layer_types=["dense" if i < dense else "sparse" for i in range(keys.layers)],
        num_local_experts=keys.count("expert_count"),
        intermediate_size=width,
        dense_intermediate_size=keys.count("feed_forward_length"),
        shared_intermediate_size=width * keys.count("expert_shared_count", 0),
        index_head_dim=keys.count("attention.indexer.key_length"),
        index_n_heads=keys.count("attention.indexer.head_count"),
    )


@rule("deepseek4")
def deepseek4(keys: Keys) -> dict[str, Any]:
    """DeepSeek V4: what each layer pools is listed, draft layers after the others."""
    ratios = keys.listed("attention.compress_ratios")
    return keys.experts(
        "deepseek_v4",
        n_routed_experts=keys.count("expert_count"),
        n_shared_experts=keys.count("expert_shared_count", 0),
        q_lora_rank=keys.count("attention.q_lora_rank"),
        o_groups=keys.count("attention.output_group_count"),
        o_lora_rank=keys.count("attention.output_lora_rank"),
        qk_rope_head_dim=keys.count("rope.dimension_count"),
        compress_ratios=ratios,
        sliding_window=keys.count("attention.sliding_window"),
        hc_mult=keys.count("hyper_connection.count"),
        num_nextn_predict_layers=keys.drafts,
        **given(**indexer(keys)),
    )
