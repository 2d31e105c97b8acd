"""Random architectures and deployments for the property tests: mixtures of all cache kinds, not only those that are published."""

from hypothesis import strategies as st

from kvplan.caches import (
    MLA,
    ChunkedLocal,
    CrossAttention,
    FullAttention,
    RecurrentState,
    SlidingWindow,
    SparseIndex,
    StateTensor,
)
from kvplan.caches.compressed import CompressorState
from kvplan.models.spec import Layer, ModelSpec
from kvplan.weights.parts import embedding, linear

HEADS = st.sampled_from([1, 2, 4, 8, 16, 32])
DIMS = st.sampled_from([16, 64, 96, 128, 192, 256])
ONE, RATIOS = st.just(1), st.sampled_from([1, 2, 4, 128])
WINDOWS = st.integers(1, 5_000)
MODEL_DTYPES = st.sampled_from(["bfloat16", "float16", "float32"])
KV_DTYPES = st.sampled_from(["auto", "bf16", "fp32", "fp8", "int8_per_token_head", "nvfp4", "int4", "q8_0", "q4_0"])


@st.composite
def attention(draw, kind=FullAttention, **attributes):
    """Return keys and values of some heads; query heads a multiple of them, as engines ask for."""
    heads = draw(HEADS)
    return kind(
        heads=heads,
        key_dim=draw(DIMS),
        value_dim=draw(DIMS),
        query_heads=heads * draw(st.sampled_from([1, 2, 8])),
        **attributes,
    )


def full():
    return attention()


def windows():
    return WINDOWS.flatmap(lambda window: attention(SlidingWindow, window=window))


def chunks():
    return WINDOWS.flatmap(lambda chunk: attention(ChunkedLocal, chunk=chunk))


def latents(ratio=ONE):
    return st.builds(
        MLA,
        latent_dim=st.sampled_from([256, 448, 512]),
        rope_dim=st.sampled_from([32, 64]),
        ratio=ratio,
        heads=HEADS,
        expanded_key_dim=DIMS,
    )


def indexers(ratio=ONE):
    return st.builds(SparseIndex, dim=st.sampled_from([64, 128]), heads=st.integers(1, 2), ratio=ratio)


@st.composite
def states(draw):
    heads, width = draw(HEADS), draw(st.sampled_from([16, 64, 128]))
    conv = StateTensor(name="conv", shape=(heads * width, draw(st.integers(2, 4))), taps=True)
    ssm = StateTensor(name="ssm", shape=(heads, width, width), dtype=draw(st.sampled_from(["model", "float32"])))
    return RecurrentState(style="mamba2", tensors=draw(st.sampled_from([(conv,), (ssm,), (conv, ssm)])))


def cross():
    return st.builds(CrossAttention, heads=HEADS, key_dim=DIMS, value_dim=DIMS)


def compressors():
    return st.builds(CompressorState, dim=DIMS, ratio=st.sampled_from([4, 128]), series=st.sampled_from([1, 2]))


def any_cache():
    return st.one_of(full(), windows(), chunks(), latents(RATIOS), indexers(RATIOS), states(), cross(), compressors())


def layer_kinds():
    """Return what one layer keeps: nothing, one cache, or several beside each other."""
    return st.one_of(
        st.just(()),
        any_cache().map(lambda cache: (cache,)),
        st.tuples(full(), states()),
        st.tuples(latents(), indexers()),
        st.tuples(full(), cross()),
    )


# What vLLM runs: one kind, windows beside full attention of the same heads, states beside attention.
@st.composite
def pageable_kinds(draw):
    base = draw(full())
    window = SlidingWindow(
        heads=base.heads,
        key_dim=base.key_dim,
        value_dim=base.value_dim,
        query_heads=base.query_heads,
        window=draw(WINDOWS),
    )
    chunk = ChunkedLocal(
        heads=base.heads,
        key_dim=base.key_dim,
        value_dim=base.value_dim,
        query_heads=base.query_heads,
        chunk=draw(WINDOWS),
    )
    return draw(
        st.sampled_from(
            [
                ((base,),),
                ((window,),),
                ((base,), (window,)),
                ((base,), (chunk,)),
                ((draw(latents()),),),
                ((draw(states()),),),
                ((base,), (draw(states()),)),
            ]
        )
    )


def spec_of(layers, *, max_context_tokens=None, dtype="bfloat16", width=256, encoder_tokens=None):
    """Return a model of these layers (a tuple of caches each) with a few parameters."""
    parts = (linear("mlp", width, width, component="mlp"),)
    return ModelSpec(
        id="random",
        source="hypothesis",
        model_type="random",
        layers=tuple(Layer(caches=caches, parts=parts) for caches in layers),
        outer=(embedding("embed", 1_000, width),),
        hidden_size=width,
        vocab_size=1_000,
        max_context_tokens=max_context_tokens,
        dtype=dtype,
        encoder_tokens=encoder_tokens,
        has_encoder=any(isinstance(cache, CrossAttention) for caches in layers for cache in caches),
    )


@st.composite
def models(draw, kinds=None, max_kinds=3):
    """Return a model of up to 24 layers of a few kinds in any order."""
    found = draw(kinds) if kinds is not None else tuple(draw(st.lists(layer_kinds(), min_size=1, max_size=max_kinds)))
    order = draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=24))
    return spec_of(
        tuple(found[i] for i in order),
        max_context_tokens=draw(st.sampled_from([None, 2_048, 8_192, 131_072, 1_000_000])),
        dtype=draw(MODEL_DTYPES),
        width=draw(st.sampled_from([64, 1_024, 4_096])),
        encoder_tokens=draw(st.sampled_from([None, 1_500])),
    )


# -- engines -----------------------------------------------------------------------------------------------------------

TEXTBOOK = st.fixed_dictionaries(
    {"allocation": st.sampled_from(["paged", "contiguous", "reserved"])},
    optional={
        "block_tokens": st.integers(1, 300),
        "overhead": st.sampled_from([0, "1GiB"]),
        "host_memory": st.sampled_from([0, "16GiB"]),
    },
).map(lambda args: args | ({"max_model_len": 4_096} if args["allocation"] == "reserved" else {}))
TRANSFORMERS = st.fixed_dictionaries(
    {"cache_implementation": st.sampled_from(["dynamic", "static"])}, optional={"max_cache_len": st.integers(1, 10_000)}
)
VLLM = st.fixed_dictionaries(
    {},
    optional={
        "max_num_batched_tokens": st.sampled_from([256, 2_048, 8_192]),
        "max_num_seqs": st.integers(1, 1_024),
        "block_size": st.sampled_from([16, 32, 64]),
        "enforce_eager": st.booleans(),
        "gpu_memory_utilization": st.floats(0.3, 1.0),
        "enable_prefix_caching": st.booleans(),
        "disable_hybrid_kv_cache_manager": st.booleans(),
    },
)
CONTEXTS = st.one_of(st.integers(1, 300), st.integers(1, 200_000))


@st.composite
def summed(draw, kv_dtypes=KV_DTYPES):
    """Return engine, arguments and KV dtype of an engine that adds layers up."""
    if draw(st.booleans()):
        return {"engine": "textbook", "engine_args": draw(TEXTBOOK), "kv_dtype": draw(kv_dtypes)}
    kv_dtype = draw(st.sampled_from(["auto", "bf16", "fp32"]))
    return {"engine": "transformers", "engine_args": draw(TRANSFORMERS), "kv_dtype": kv_dtype}


def paged():
    """Return engine, arguments and KV dtype of vLLM."""
    return st.fixed_dictionaries(
        {"engine": st.just("vllm"), "engine_args": VLLM, "kv_dtype": st.sampled_from(["auto", "bf16", "fp8"])}
    )


@st.composite
def deployments(draw):
    """Return a model with an engine that can run it, as arguments of `kvplan.estimate`."""
    if draw(st.integers(0, 2)):
        return {"model": draw(models())} | draw(summed())
    return {"model": draw(models(pageable_kinds()))} | draw(paged())
