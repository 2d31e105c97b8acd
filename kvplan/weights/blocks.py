"""The blocks that most architectures are built from, as lists of parts. Letters: D hidden, F MLP width, H heads, K KV heads."""

from collections.abc import Iterator

from kvplan.weights.parts import Component, Part, linear, norm, vector


def attention(
    hidden: int,
    *,
    heads: int,
    kv_heads: int,
    key_dim: int,
    value_dim: int | None = None,
    qkv_bias: bool = False,
    output_bias: bool = False,
    component: Component = "attention",
    kv_source: int | None = None,
) -> Iterator[Part]:
    """Return Q, K, V and O projections: D x H x d + 2 x K x d x D + H x d x D (+ biases); fused ones count the same.

    `kv_source` is the width that keys and values are projected from where it is not D (cross-attention).
    """
    value_dim = key_dim if value_dim is None else value_dim
    source = hidden if kv_source is None else kv_source
    yield linear("q_proj", heads * key_dim, hidden, bias=qkv_bias, component=component)
    yield linear("k_proj", kv_heads * key_dim, source, bias=qkv_bias, component=component, units=kv_heads)
    yield linear("v_proj", kv_heads * value_dim, source, bias=qkv_bias, component=component, units=kv_heads)
    yield linear("o_proj", hidden, heads * value_dim, bias=output_bias, component=component, split="row")


def latent_attention(
    hidden: int,
    *,
    heads: int,
    q_lora_rank: int | None,
    kv_lora_rank: int,
    nope_dim: int,
    rope_dim: int,
    value_dim: int,
    bias: bool = False,
) -> Iterator[Part]:
    """Return DeepSeek's MLA: queries straight or through a latent, keys and values through one, and the output."""
    query_dim = nope_dim + rope_dim
    if q_lora_rank is None:
        yield linear("q_proj", heads * query_dim, hidden, component="attention")
    else:
        yield linear("q_a_proj", q_lora_rank, hidden, bias=bias, component="attention", split="replicated")
        yield norm("q_a_layernorm", q_lora_rank)
        yield linear("q_b_proj", heads * query_dim, q_lora_rank, component="attention")
    yield linear(
        "kv_a_proj_with_mqa", kv_lora_rank + rope_dim, hidden, bias=bias, component="attention", split="replicated"
    )
    yield norm("kv_a_layernorm", kv_lora_rank)
    yield linear("kv_b_proj", heads * (nope_dim + value_dim), kv_lora_rank, component="attention")
    yield linear("o_proj", hidden, heads * value_dim, bias=bias, component="attention", split="row")


def gated_mlp(
    hidden: int, width: int, *, bias: bool = False, component: Component = "mlp", prefix: str = ""
) -> Iterator[Part]:
    """Return gate, up and down: 3 x D x F."""
    yield linear(f"{prefix}gate_proj", width, hidden, bias=bias, component=component)
    yield linear(f"{prefix}up_proj", width, hidden, bias=bias, component=component)
    yield linear(f"{prefix}down_proj", hidden, width, bias=bias, component=component, split="row")


def plain_mlp(
    hidden: int, width: int, *, bias: bool = True, component: Component = "mlp", prefix: str = ""
) -> Iterator[Part]:
    """Return up and down: 2 x D x F."""
    yield linear(f"{prefix}fc1", width, hidden, bias=bias, component=component)
    yield linear(f"{prefix}fc2", hidden, width, bias=bias, component=component, split="row")


def experts(hidden: int, width: int, count: int, *, gated: bool = True, bias: bool = False) -> Iterator[Part]:
    """Return `count` expert MLPs: count x (3 or 2) x D x F."""
    if gated:
        yield linear("experts.gate_proj", width, hidden, bias=bias, component="experts", split="experts", count=count)
    yield linear("experts.up_proj", width, hidden, bias=bias, component="experts", split="experts", count=count)
    yield linear("experts.down_proj", hidden, width, bias=bias, component="experts", split="experts", count=count)


def router(hidden: int, count: int, *, bias: bool = False, correction: bool = False) -> Iterator[Part]:
    """Return the router: D x experts, kept in 16 bits by every format; `correction`: a bias that is a parameter, not a buffer."""
    yield linear("router", count, hidden, bias=bias, component="router", split="replicated")
    if correction:
        yield vector("router.e_score_correction_bias", count, component="router")


def hyper_connection(
    hidden: int, streams: int, *, name: str, outputs: int, scales: int, count: int = 1
) -> Iterator[Part]:
    """Return what mixes the N residual streams of a layer: outputs x (N x D), a base for each output and the scales."""
    yield vector(f"{name}.fn", outputs, streams * hidden, component="other", count=count)
    yield vector(f"{name}.base", outputs, component="other", count=count)
    yield vector(f"{name}.scale", scales, component="other", count=count)
