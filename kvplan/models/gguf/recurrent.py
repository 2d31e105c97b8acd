"""Recurrent models and hybrids: Mamba 1 and 2, gated delta nets, short convolutions, RWKV."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule

_RECURRENT, _FULL = "linear_attention", "full_attention"


def _alone(keys: Keys, model_type: str, **more: Any) -> dict[str, Any]:
    """Return the keys of a model without attention."""
    return keys.outer() | given(model_type=model_type, hidden_size=keys.hidden, num_hidden_layers=keys.layers, **more)


def _attention(keys: Keys) -> dict[str, Any]:
    """Return the heads of the layers that attend."""
    heads = keys.most("attention.head_count")
    return {
        "num_attention_heads": heads,
        "num_key_value_heads": keys.most("attention.head_count_kv"),
        "head_dim": keys.count("attention.key_length", keys.hidden // heads),
    }


@rule("mamba")
def mamba(keys: Keys) -> dict[str, Any]:
    """Mamba and Falcon-Mamba, which norms dt, B and C."""
    keys.read.add("ssm.state_size")
    return _alone(
        keys,
        "falcon_mamba" if keys.raw("ssm.dt_b_c_rms") else "mamba",
        intermediate_size=keys.count("ssm.inner_size"),
        state_size=keys.count("ssm.state_size"),
        conv_kernel=keys.count("ssm.conv_kernel"),
        time_step_rank=keys.count("ssm.time_step_rank"),
    )


@rule("mamba2")
def mamba2(keys: Keys) -> dict[str, Any]:
    """Mamba 2: a head's rank is its number (conversion/mamba.py)."""
    heads = keys.count("ssm.time_step_rank")
    return _alone(
        keys,
        "mamba2",
        num_heads=heads,
        head_dim=keys.quotient("ssm.inner_size", heads, "ssm.time_step_rank"),
        expand=keys.quotient("ssm.inner_size", keys.hidden, "embedding_length"),
        state_size=keys.count("ssm.state_size"),
        n_groups=keys.count("ssm.group_count"),
        conv_kernel=keys.count("ssm.conv_kernel"),
    )


def _mamba_keys(keys: Keys) -> dict[str, Any]:
    """Return Mamba 2 under the keys of Bamba, Granite 4 and Falcon-H1."""
    heads = keys.count("ssm.time_step_rank")
    return given(
        mamba_n_heads=heads,
        mamba_d_head=keys.quotient("ssm.inner_size", heads, "ssm.time_step_rank"),
        mamba_d_state=keys.count("ssm.state_size"),
        mamba_n_groups=keys.count("ssm.group_count"),
        mamba_d_conv=keys.count("ssm.conv_kernel"),
        mamba_conv_bias=keys.present("ssm_conv1d.bias"),
        mamba_proj_bias=keys.present("ssm_in.bias"),
    )


@rule("granitehybrid")
def granite_hybrid(keys: Keys) -> dict[str, Any]:
    """Granite 4 with Mamba layers: those without KV heads."""
    shared, width = keys.optional("expert_shared_feed_forward_length"), keys.optional("feed_forward_length")
    return (
        _alone(keys, "granitemoehybrid")
        | _attention(keys)
        | _mamba_keys(keys)
        | given(
            layer_types=keys.words("attention.head_count_kv", some="attention", none="mamba"),
            mamba_expand=keys.quotient("ssm.inner_size", keys.hidden, "embedding_length"),
            intermediate_size=width,
            shared_intermediate_size=shared or width,
            num_local_experts=keys.count("expert_count", 0),
            num_experts_per_tok=keys.optional("expert_used_count") or None,
        )
    )


@rule("falcon-h1")
def falcon_h1(keys: Keys) -> dict[str, Any]:
    """Falcon-H1: attention and mixer side by side in every layer."""
    return (
        keys.base("falcon_h1")
        | _mamba_keys(keys)
        | given(
            mamba_d_ssm=keys.count("ssm.inner_size"),
            mamba_rms_norm=keys.present("ssm_norm.weight"),
            projectors_bias=keys.present("ssm_out.bias"),
        )
    )


@rule("nemotron_h", "nemotron_h_moe")
def nemotron_h(keys: Keys) -> dict[str, Any]:
    """Nemotron-H and Nemotron 3: a layer attends, or has an MLP or experts, or else the mixer (conversion/nemotron.py)."""
    attends = keys.listed("attention.head_count_kv")
    widths = keys.listed("feed_forward_length")
    experts = keys.count("expert_count", 0)
    wide = "E" if experts else "-"
    pattern = ["*" if kv else wide if width else "M" for kv, width in zip(attends, widths, strict=True)]
    heads = keys.count("ssm.time_step_rank")
    values = given(
        hybrid_override_pattern="".join(pattern),
        ssm_state_size=keys.count("ssm.state_size"),
        mamba_num_heads=heads,
        mamba_head_dim=keys.quotient("ssm.inner_size", heads, "ssm.time_step_rank"),
        n_groups=keys.count("ssm.group_count"),
        conv_kernel=keys.count("ssm.conv_kernel"),
        num_nextn_predict_layers=keys.drafts,
    )
    if experts:
        values |= given(
            n_routed_experts=experts,
            num_experts_per_tok=keys.optional("expert_used_count"),
            moe_intermediate_size=keys.count("expert_feed_forward_length"),
            moe_shared_expert_intermediate_size=keys.count("expert_shared_feed_forward_length"),
            moe_latent_size=keys.optional("moe_latent_size") or None,
        )
    elif any(widths):
        values["intermediate_size"] = keys.most("feed_forward_length")
    return _alone(keys, "nemotron_h") | _attention(keys) | values


@rule("jamba")
def jamba(keys: Keys) -> dict[str, Any]:
    """Jamba: attention and experts come round every so many layers, which the class has only as a period and an offset."""
    attends = [i for i, heads in enumerate(keys.listed("attention.head_count_kv")) if heads]
    routed = [i for i in range(keys.layers) if f"blk.{i}.ffn_gate_inp.weight" in keys.tensors]
    return (
        _alone(keys, "jamba")
        | _attention(keys)
        | _period(keys, "attn", "attention.head_count_kv", attends)
        | (_period(keys, "expert", "expert_count", routed) if routed else {})
        | given(
            intermediate_size=keys.count("feed_forward_length"),
            num_experts=keys.count("expert_count", 1) or 1,
            num_experts_per_tok=keys.optional("expert_used_count") or None,
            mamba_expand=keys.quotient("ssm.inner_size", keys.hidden, "embedding_length"),
            mamba_d_state=keys.count("ssm.state_size"),
            mamba_d_conv=keys.count("ssm.conv_kernel"),
            mamba_dt_rank=keys.count("ssm.time_step_rank"),
            mamba_conv_bias=keys.present("ssm_conv1d.bias"),
            mamba_proj_bias=keys.present("ssm_in.bias"),
        )
    )


def _period(keys: Keys, name: str, key: str, found: list[int]) -> dict[str, int]:
    """Return period and offset of the layers found.

    Raises:
        UnsupportedArchitectureError: they do not come round evenly.

    """
    period = found[1] - found[0] if len(found) > 1 else keys.layers
    if not found or found != list(range(found[0], keys.layers, period)) or found[0] >= period:
        raise keys.refuse(key, "is not 0 in layers that do not come round evenly.")
    return {f"{name}_layer_period": period, f"{name}_layer_offset": found[0]}


def _delta(keys: Keys) -> dict[str, Any]:
    """Return a gated delta net under Qwen's keys (conversion/qwen.py)."""
    heads = keys.count("ssm.time_step_rank")
    every = max(keys.count("full_attention_interval", 4), 1)
    listed = keys.per_layer("attention.recurrent_layers")
    recurrent = [bool(word) for word in listed] if listed else [(i + 1) % every != 0 for i in range(keys.layers)]
    return {
        "layer_types": [_RECURRENT if word else _FULL for word in recurrent],
        "linear_num_key_heads": keys.count("ssm.group_count"),
        "linear_num_value_heads": heads,
        "linear_key_head_dim": keys.count("ssm.state_size"),
        "linear_value_head_dim": keys.quotient("ssm.inner_size", heads, "ssm.time_step_rank"),
        "linear_conv_kernel_dim": keys.count("ssm.conv_kernel"),
    }


def _shared(keys: Keys) -> dict[str, Any]:
    return {
        "num_experts": keys.count("expert_count"),
        "shared_expert_intermediate_size": keys.count("expert_shared_feed_forward_length"),
    }


@rule("qwen3next")
def qwen3_next(keys: Keys) -> dict[str, Any]:
    """Qwen 3 Next, and Qwen 3 Coder Next."""
    return keys.experts("qwen3_next", **_delta(keys), **_shared(keys), num_nextn_predict_layers=keys.drafts)


@rule("qwen35")
def qwen35(keys: Keys) -> dict[str, Any]:
    """Qwen 3.5's dense language model."""
    return keys.base("qwen3_5_text", **_delta(keys), mtp_num_hidden_layers=keys.drafts)


@rule("qwen35moe")
def qwen35_moe(keys: Keys) -> dict[str, Any]:
    """Qwen 3.5's language model with experts."""
    return keys.experts("qwen3_5_moe_text", **_delta(keys), **_shared(keys), mtp_num_hidden_layers=keys.drafts)


def _convolutions(keys: Keys) -> dict[str, Any]:
    if keys.count("attention.sliding_window", 0):
        raise keys.refuse("attention.sliding_window", "is not 0.")
    width = keys.count("feed_forward_length")
    return (
        _alone(keys, "lfm2")
        | _attention(keys)
        | given(
            layer_types=keys.words("attention.head_count_kv", some=_FULL, none="conv"),
            conv_L_cache=keys.count("shortconv.l_cache"),
            conv_bias=keys.present("shortconv.conv.bias"),
            intermediate_size=width,
        )
    )


@rule("lfm2")
def lfm2(keys: Keys) -> dict[str, Any]:
    """LFM2: the width in the file is the adjusted one (conversion/lfm2.py)."""
    values = _convolutions(keys)
    return values | {"block_ff_dim": values["intermediate_size"], "block_auto_adjust_ff_dim": False}


@rule("lfm2moe")
def lfm2_moe(keys: Keys) -> dict[str, Any]:
    """LFM2 with experts."""
    return _convolutions(keys) | given(
        model_type="lfm2_moe",
        num_experts=keys.count("expert_count"),
        num_experts_per_tok=keys.optional("expert_used_count"),
        moe_intermediate_size=keys.count("expert_feed_forward_length"),
        num_dense_layers=keys.dense_layers,
    )


@rule("plamo2")
def plamo2(keys: Keys) -> dict[str, Any]:
    """PLaMo 2 (conversion/plamo.py)."""
    keys.read.update(("attention.sliding_window", "ssm.group_count"))
    heads = keys.count("ssm.time_step_rank")
    attention = _attention(keys)
    return (
        _alone(keys, "plamo2")
        | attention
        | given(
            layer_types=keys.words("attention.head_count_kv", some="attention", none="mamba"),
            hidden_size_per_head=attention["head_dim"],
            mamba_num_heads=heads,
            mamba_d_state=keys.count("ssm.state_size"),
            mamba_d_conv=keys.count("ssm.conv_kernel"),
            intermediate_size=keys.count("feed_forward_length"),
        )
    )


@rule("rwkv6", "rwkv7")
def rwkv(keys: Keys) -> dict[str, Any]:
    """RWKV 6 and 7."""
    return _alone(
        keys,
        keys.architecture,
        head_size=keys.count("wkv.head_size"),
        intermediate_size=keys.optional("feed_forward_length") or None,
    )
