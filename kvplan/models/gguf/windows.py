"""Decoders some of whose layers keep a sliding window, or share another layer's cache."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule


@rule("phi3")
def phi3(keys: Keys) -> dict[str, Any]:
    """Phi 3 and 4. The stated window is the model's own; llama.cpp caches every token (src/models/phi3.cpp)."""
    return keys.base("phi3", sliding_window=keys.count("attention.sliding_window", 0))


@rule("gemma2")
def gemma2(keys: Keys) -> dict[str, Any]:
    """Gemma 2: every second layer is full."""
    return keys.base("gemma2", **keys.windowed(2, default=4096))


@rule("gemma3")
def gemma3(keys: Keys) -> dict[str, Any]:
    """Gemma 3's language model: every sixth layer is full."""
    return keys.base("gemma3_text", **keys.windowed(6))


@rule("gemma3n")
def gemma3n(keys: Keys) -> dict[str, Any]:
    """Gemma 3n's language model; the shared layers are 15 where older files do not say (src/models/gemma3n.cpp)."""
    widths = keys.listed("feed_forward_length")
    return (
        keys.outer()
        | keys.windowed(5)
        | given(
            model_type="gemma3n_text",
            hidden_size=keys.hidden,
            num_hidden_layers=keys.layers,
            num_attention_heads=keys.heads,
            num_key_value_heads=keys.count("attention.head_count_kv", keys.heads),
            head_dim=keys.head_dim,
            intermediate_size=widths,
            num_kv_shared_layers=keys.count("attention.shared_kv_layers", max(keys.layers - 20, 0)),
            hidden_size_per_layer_input=keys.count("embedding_length_per_layer_input"),
            altup_num_inputs=keys.optional("altup.num_inputs"),
            vocab_size_per_layer_input=_rows(keys, "per_layer_token_embd.weight"),
        )
    )


def _rows(keys: Keys, name: str) -> int | None:
    tensor = keys.tensors.get(name)
    return tensor.shape[0] if tensor and tensor.shape else None


@rule("gemma4")
def gemma4(keys: Keys) -> dict[str, Any]:
    """Gemma 4's language model: full layers have fewer and wider heads; V may be K there, told by the missing attn_v."""
    types = keys.window_types(6)
    heads = keys.listed("attention.head_count_kv")
    sliding, full = (_one(keys, heads, types, kind) for kind in ("sliding_attention", "full_attention"))
    widths = keys.listed("feed_forward_length")
    shared = keys.count("attention.shared_kv_layers", 0)
    width = keys.count("attention.key_length_swa", keys.count("attention.key_length"))
    experts, per_layer = keys.optional("expert_count"), keys.count("embedding_length_per_layer_input", 0)
    for side in ("key", "value"):
        if keys.count(f"attention.{side}_length_swa", width) != width:
            raise keys.refuse(f"attention.{side}_length_swa", f"is not {width}, the width of the others.")
    same = len(set(heads)) == 1
    values_are_keys = _without_values(keys, types)
    return keys.outer() | given(
        model_type="gemma4_text",
        hidden_size=keys.hidden,
        num_hidden_layers=keys.layers,
        num_attention_heads=keys.heads,
        num_key_value_heads=sliding or full,
        num_global_key_value_heads=None if same else full,
        # Fewer heads on full layers mean V = K in the configuration class; without tensors that is all there is to go by.
        attention_k_eq_v=(not same) if values_are_keys is None else values_are_keys or not same,
        head_dim=width,
        global_head_dim=keys.count("attention.key_length"),
        layer_types=types,
        sliding_window=keys.count("attention.sliding_window"),
        num_kv_shared_layers=shared,
        intermediate_size=widths[0] if widths else None,
        use_double_wide_mlp=bool(widths) and widths[-1] == 2 * widths[0],
        enable_moe_block=bool(experts),
        num_experts=experts or None,
        top_k_experts=keys.optional("expert_used_count") or None,
        moe_intermediate_size=keys.optional("expert_feed_forward_length") or None,
        hidden_size_per_layer_input=per_layer,
        vocab_size_per_layer_input=_rows(keys, "per_layer_token_embd.weight") if per_layer else None,
    )


def _one(keys: Keys, heads: list[int], types: list[str], kind: str) -> int | None:
    """Return the KV heads of all layers of one type.

    Raises:
        UnsupportedArchitectureError: they differ.

    """
    found = {count for count, word in zip(heads, types, strict=False) if word == kind}
    if len(found) > 1:
        raise keys.refuse("attention.head_count_kv", f"differs among the layers of {kind}.")
    return found.pop() if found else None


def _without_values(keys: Keys, types: list[str]) -> bool | None:
    """Whether full layers project no values."""
    full = [i for i, word in enumerate(types) if word == "full_attention"]
    if not keys.tensors or not full:
        return None
    return f"blk.{full[0]}.attn_v.weight" not in keys.tensors


@rule("cohere2")
def cohere2(keys: Keys) -> dict[str, Any]:
    """Command R7B, Command A: every fourth layer is full."""
    return keys.base("cohere2", **keys.windowed(4))


@rule("olmo2")
def olmo2(keys: Keys) -> dict[str, Any]:
    """OLMo 2; with a window, OLMo 3."""
    if not keys.count("attention.sliding_window", 0):
        return keys.base("olmo2")
    return keys.base("olmo3", **keys.windowed(4))


@rule("exaone4")
def exaone4(keys: Keys) -> dict[str, Any]:
    """EXAONE 4: a window only in models of 64 layers (src/models/exaone4.cpp)."""
    return keys.base("exaone4", **keys.windowed(4, default=4096 if keys.layers == 64 else None))


@rule("granite_swa")
def granite_swa(keys: Keys) -> dict[str, Any]:
    """Granite Swash, whose list stands in the file."""
    if keys.count("expert_count", 0):
        raise keys.refuse("expert_count", "is not 0.")
    return keys.base("granite_swa", **keys.windowed(4, dense_first=True))


@rule("starcoder2")
def starcoder2(keys: Keys) -> dict[str, Any]:
    """StarCoder 2. The window of 4,096 is in no file: llama.cpp caches every token (conversion/starcoder.py)."""
    return keys.base("starcoder2", sliding_window=0, use_bias=keys.present("attn_q.bias"))


@rule("gemma-embedding")
def gemma_embedding(keys: Keys) -> dict[str, Any]:
    """EmbeddingGemma: Gemma 3 whose tokens attend both ways."""
    return keys.base("gemma3_text", **keys.windowed(6), use_bidirectional_attention=True)


@rule("plamo3")
def plamo3(keys: Keys) -> dict[str, Any]:
    """PLaMo 3: every eighth layer is full where the file has no pattern (src/models/plamo3.cpp)."""
    return keys.base("plamo3", **keys.windowed(8))
