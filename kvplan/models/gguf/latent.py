"""Decoders with latent attention (MLA): DeepSeek V2 and V3 and what is converted to them, MiniCPM 3, sparse attention."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule


def latents(keys: Keys) -> dict[str, Any]:
    """Return the widths of latent attention.

    Newer files state the cache's own widths and a head's beside them (`_mla`); older ones a head's under the plain names
    (conversion/deepseek.py).

    Raises:
        ConfigError: a width is missing, or the rotary part is wider than a head.

    """
    rank, rope = keys.count("attention.kv_lora_rank"), keys.count("rope.dimension_count")
    key = keys.optional("attention.key_length_mla") or keys.count("attention.key_length")
    value = keys.optional("attention.value_length_mla") or keys.count(
        "attention.value_length", keys.hidden // keys.heads
    )
    if key < rope:
        raise keys.fail("rope.dimension_count", f"is {rope}, wider than a head ({key}).")
    return {
        "kv_lora_rank": rank,
        # Null counts: the model type's default is a rank.
        "q_lora_rank": keys.optional("attention.q_lora_rank") or None,
        "qk_rope_head_dim": rope,
        "qk_nope_head_dim": key - rope,
        "v_head_dim": value,
    }


def decoder(keys: Keys, model_type: str, **more: Any) -> dict[str, Any]:
    """Return the keys of a model with latent attention: heads are all of its own, whatever the cache has."""
    return (
        keys.outer()
        | given(
            model_type=model_type,
            hidden_size=keys.hidden,
            num_hidden_layers=keys.layers,
            num_attention_heads=keys.heads,
            num_key_value_heads=keys.heads,
            intermediate_size=keys.optional("feed_forward_length"),
            **more,
        )
        | latents(keys)
    )


def moe(keys: Keys, experts: str = "n_routed_experts") -> dict[str, Any]:
    """Return the experts, their number under the key `experts`."""
    return given(
        **{experts: keys.optional("expert_count") or None},
        num_experts_per_tok=keys.optional("expert_used_count") or None,
        n_shared_experts=keys.count("expert_shared_count", 0),
        moe_intermediate_size=keys.optional("expert_feed_forward_length"),
        first_k_dense_replace=keys.dense_layers if keys.count("expert_count", 0) else keys.layers,
        num_nextn_predict_layers=keys.drafts,
    )


@rule("deepseek2", "mistral4")
def deepseek2(keys: Keys) -> dict[str, Any]:
    """DeepSeek V2, V3, R1, Kimi K2, GLM 4.7 Flash, Youtu, Mistral Small 4.

    V2's softmax router is the default of files that do not state the function (src/models/deepseek2.cpp).
    """
    if not keys.optional("attention.kv_lora_rank"):
        raise keys.refuse("attention.kv_lora_rank", "is not stated: no latent attention.")
    sigmoid = keys.count("expert_gating_func", 1) == 2
    return decoder(keys, "deepseek_v3" if sigmoid else "deepseek_v2", **moe(keys))


def indexer(keys: Keys) -> dict[str, Any]:
    """Return the indexer of sparse attention."""
    return given(
        index_head_dim=keys.count("attention.indexer.key_length"),
        index_n_heads=keys.count("attention.indexer.head_count"),
        index_topk=keys.optional("attention.indexer.top_k"),
    )


@rule("deepseek32")
def deepseek32(keys: Keys) -> dict[str, Any]:
    """DeepSeek V3.2: an indexer in every layer."""
    return decoder(keys, "deepseek_v32", **moe(keys), **indexer(keys))


@rule("glm-dsa")
def glm_dsa(keys: Keys) -> dict[str, Any]:
    """GLM 5: the layers without an indexer of their own are listed from 5.2 on."""
    listed = keys.per_layer("attention.indexer.types")
    types = ["full" if own else "shared" for own in listed] if listed else None
    return decoder(keys, "glm_moe_dsa", **moe(keys), **indexer(keys), **given(indexer_types=types))


@rule("minicpm3")
def minicpm3(keys: Keys) -> dict[str, Any]:
    """MiniCPM 3."""
    return decoder(keys, "minicpm3")


@rule("kimi-linear")
def kimi_linear(keys: Keys) -> dict[str, Any]:
    """Kimi Linear: delta attention where a layer has no KV head."""
    return decoder(
        keys,
        "kimi_linear",
        layer_types=keys.words("attention.head_count_kv", some="full_attention", none="linear_attention"),
        linear_attn_config=delta(keys),
        **moe(keys, experts="num_local_experts"),
    )


def delta(keys: Keys) -> dict[str, Any]:
    """Return Kimi's delta attention."""
    return {
        "num_heads": keys.heads,
        "head_dim": keys.count("kda.head_dim"),
        "short_conv_kernel_size": keys.count("ssm.conv_kernel"),
    }
