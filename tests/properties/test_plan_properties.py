"""What holds for every plan: any architecture, any engine, any setting."""

import json
import math
from dataclasses import replace

import pytest
from architectures import (
    CONTEXTS,
    TEXTBOOK,
    TRANSFORMERS,
    VLLM,
    deployments,
    full,
    latents,
    layer_kinds,
    models,
    pageable_kinds,
    paged,
    spec_of,
    states,
    summed,
    windows,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import kvplan
from kvplan.caches import ChunkedLocal, CrossAttention, FullAttention, SlidingWindow
from kvplan.caches.compressed import CompressorState
from kvplan.deployment import planned

SIZES = st.one_of(st.integers(0, 2**45), st.sampled_from([0, 1, 2**20, 2**30]))


def plan_of(asked, **changes):
    """Return the plan of these arguments, or none where the engine refuses them with a word."""
    try:
        return kvplan.estimate(**{**asked, **changes})
    except (kvplan.SettingError, kvplan.UnsupportedArchitectureError):
        assume(False)  # noqa: FBT003  hypothesis' own spelling
    return None


# -- growth ------------------------------------------------------------------------------------------------------------


@given(deployments(), CONTEXTS, st.integers(0, 5_000))
def test_a_request_never_shrinks_with_its_tokens(asked, context, more):
    """A longer request never takes less, but for the positions that wait in transformers' compressors to be pooled."""
    short, long = plan_of(asked, context=context), plan_of(asked, context=context + more)
    waiting = waiting_bytes(asked["model"]) if asked["engine"] == "transformers" else 0
    assert short.bytes_per_request <= long.bytes_per_request + waiting
    assert short.live_bytes_per_request <= long.live_bytes_per_request + waiting


def waiting_bytes(model):
    """Return the most that DeepSeek-V4's compressors hold before they drain: ratio - 1 positions in at most float32."""
    return sum(
        layers * (cache.ratio - 1) * 2 * cache.series * cache.dim * 4
        for cache, layers in model.caches
        if isinstance(cache, CompressorState)
    )


@given(st.lists(layer_kinds(), min_size=1, max_size=12), layer_kinds(), summed(), CONTEXTS)
def test_a_request_never_shrinks_with_layers(layers, further, engine, context):
    """One layer more, of any kind, never makes a request smaller."""
    smaller = plan_of({"model": spec_of(layers, encoder_tokens=100)} | engine, context=context)
    larger = plan_of({"model": spec_of([*layers, further], encoder_tokens=100)} | engine, context=context)
    assert smaller.bytes_per_request <= larger.bytes_per_request


@given(st.one_of(full(), windows(), latents(), states()), st.integers(1, 30), paged(), CONTEXTS)
def test_vllm_requests_grow_by_the_layer(cache, layers, engine, context):
    """With layers of one kind vLLM's request is proportional to the layers."""
    one, many = (plan_of({"model": spec_of([(cache,)] * n)} | engine, context=context) for n in (1, layers))
    assert many.bytes_per_request == layers * one.bytes_per_request


@given(st.one_of(full(), windows()), st.integers(1, 8), st.one_of(summed(), paged()), CONTEXTS)
def test_a_request_is_proportional_to_heads(cache, factor, engine, context):
    """Twice the KV heads take twice the memory, in every engine."""
    wider = replace(cache, heads=factor * cache.heads, query_heads=factor * cache.query_heads)
    one, many = (plan_of({"model": spec_of([(c,)] * 3)} | engine, context=context) for c in (cache, wider))
    assert many.bytes_per_request == factor * one.bytes_per_request


@given(models(), TEXTBOOK, CONTEXTS)
def test_a_request_never_shrinks_with_bits(model, args, context):
    """8, 16 and 32 bits cost in this order."""
    asked = {"model": model, "engine": "textbook", "engine_args": args, "context": context}
    sizes = [plan_of(asked, kv_dtype=name).bytes_per_request for name in ("fp8", "bf16", "fp32")]
    assert sizes == sorted(sizes)


@given(models(pageable_kinds()), VLLM, CONTEXTS)
def test_a_vllm_request_never_shrinks_with_bits(model, args, context):
    """8 bits never cost more than 16 by more than the blocks that they enlarge: one for each group."""
    asked = {"model": model, "engine": "vllm", "engine_args": args, "context": context}
    narrow, wide = plan_of(asked, kv_dtype="fp8"), plan_of(asked, kv_dtype="bf16")
    slack = len(narrow.layout.parts) * (narrow.layout.bytes_per_block or 0)
    assert narrow.bytes_per_request <= wide.bytes_per_request + slack


# -- windows -----------------------------------------------------------------------------------------------------------


def without_windows(layers):
    """Return the layers with full attention in place of windows and chunks."""

    def whole(cache):
        if not isinstance(cache, SlidingWindow | ChunkedLocal):
            return cache
        return FullAttention(
            heads=cache.heads, key_dim=cache.key_dim, value_dim=cache.value_dim, query_heads=cache.query_heads
        )

    return [tuple(whole(cache) for cache in caches) for caches in layers]


@given(st.lists(layer_kinds(), min_size=1, max_size=12), summed(), CONTEXTS)
def test_a_window_costs_no_more_than_full_attention(layers, engine, context):
    """Under textbook and transformers a window or a chunk never takes more than full attention would."""
    windowed, whole = (
        plan_of({"model": spec_of(x, encoder_tokens=100)} | engine, context=context)
        for x in (layers, without_windows(layers))
    )
    assert windowed.bytes_per_request <= whole.bytes_per_request
    assert windowed.live_bytes_per_request <= whole.live_bytes_per_request


@given(windows(), st.integers(1, 20), paged(), CONTEXTS)
def test_a_vllm_window_costs_at_most_one_block_more_than_full_attention(cache, layers, engine, context):
    """VLLM adds one block to a window, for it need not start on a block's edge: that is all it may cost more."""
    stack = [(cache,)] * layers
    windowed, whole = (
        plan_of({"model": spec_of(x)} | engine, context=context) for x in (stack, without_windows(stack))
    )
    assert windowed.bytes_per_request <= whole.bytes_per_request + whole.layout.bytes_per_block
    assert windowed.live_bytes_per_request <= whole.live_bytes_per_request


# -- ranks -------------------------------------------------------------------------------------------------------------


@given(models(), summed(), CONTEXTS, st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 4))
def test_ranks_together_hold_at_least_the_whole(model, engine, context, tensor, pipeline):
    """The caches of all tensor-parallel ranks of all stages add up to the whole or more."""
    assume(pipeline <= len(model.layers))
    asked = {"model": model, "context": context} | engine
    whole = plan_of(asked)
    parts = plan_of(asked, tensor_parallel=tensor, pipeline_parallel=pipeline).deployment
    encoder = parts.encoder_tokens(context)
    held = tensor * sum(layout.request_bytes(context, encoder) for layout in parts.layouts)
    assert held >= whole.bytes_per_request
    assert all(layout.request_bytes(context, encoder) <= whole.bytes_per_request for layout in parts.layouts)


@given(st.one_of(full(), windows(), latents()), st.integers(1, 20), paged(), CONTEXTS, st.sampled_from([1, 2, 4, 8]))
def test_vllm_ranks_together_hold_at_least_the_whole(cache, layers, engine, context, tensor):
    """The same for vLLM's pages."""
    asked = {"model": spec_of([(cache,)] * layers), "context": context} | engine
    whole, part = plan_of(asked), plan_of(asked, tensor_parallel=tensor)
    assert part.bytes_per_request <= whole.bytes_per_request <= tensor * part.bytes_per_request


@given(models(), st.sampled_from([1, 2, 3, 8]), st.integers(1, 4))
def test_weights_of_the_ranks_hold_at_least_the_whole(model, tensor, pipeline):
    """The weights of all ranks add up to the model's or more."""
    assume(pipeline <= len(model.layers))
    plan = kvplan.estimate(model, engine="textbook", tensor_parallel=tensor, pipeline_parallel=pipeline, context=1)
    whole = kvplan.estimate(model, engine="textbook", context=1).deployment.stages[0].weights.bytes
    assert tensor * sum(stage.weights.bytes for stage in plan.deployment.stages) >= whole


# -- capacity ----------------------------------------------------------------------------------------------------------


@given(deployments(), CONTEXTS, SIZES)
def test_capacity_inverts_size(asked, context, size):
    """The longest request fits in the cache given and one token more does not, block rounding included."""
    plan = plan_of(asked, context=context, kv_cache_memory=size)
    longest, own = plan.capacity.max_context_tokens, asked["model"].max_context_tokens
    # Lengths beyond the model's own maximum are looked at only as far as they are asked for.
    if longest is None:
        assert own is None
        assert plan_of(asked, context=10_000_000, kv_cache_memory=size).verdict == "fits"
        return
    if longest > 0:
        assert plan_of(asked, context=longest, kv_cache_memory=size).verdict == "fits"
    if longest != max(own or 0, context):
        assert plan_of(asked, context=longest + 1, kv_cache_memory=size).verdict == "does_not_fit"


@given(deployments(), CONTEXTS, st.sampled_from(["rtx4090", "t4", "h100", "512MiB"]))
def test_capacity_inverts_size_on_a_gpu(asked, context, gpu):
    """The same where a budget decides, even one that shrinks with the request."""
    plan = plan_of(asked, context=context, gpu=gpu)
    longest = plan.capacity.max_context_tokens
    if longest:
        assert plan_of(asked, context=longest, gpu=gpu).verdict in ("fits", "tight")
        assert plan.deployment.holds(longest, 1, planned)
    if longest is not None and longest != max(asked["model"].max_context_tokens or 0, context):
        assert plan_of(asked, context=longest + 1, gpu=gpu).verdict == "does_not_fit"


@given(deployments(), CONTEXTS, SIZES)
def test_the_requests_that_are_said_to_fit_do(asked, context, size):
    """As many users as the concurrency says are a fit, one more is not."""
    plan = plan_of(asked, context=context, kv_cache_memory=size)
    held = plan.capacity.max_concurrency
    batch = plan.deployment.settings.args.get("max_num_seqs")
    most = batch.value if batch is not None and batch.value else 10**9
    if plan.deployment.engine.refuses(asked["model"], context):
        assert plan.verdict == "does_not_fit"
        return
    if held is None:
        assert plan_of(asked, context=context, kv_cache_memory=size, users=most).verdict == "fits"
        return
    assert held >= 0
    users = math.floor(held)
    if 2 <= users <= most:
        assert plan_of(asked, context=context, kv_cache_memory=size, users=users).verdict == "fits"
    if users < 10**8:
        assert plan_of(asked, context=context, kv_cache_memory=size, users=users + 1).verdict == "does_not_fit"
        assert users * plan.bytes_per_request <= size


@given(deployments(), CONTEXTS)
def test_a_request_holds_no_more_than_is_reserved_for_it(asked, context):
    """Live bytes are at most the reserved ones, and neither is negative."""
    plan = plan_of(asked, context=context)
    assert 0 <= plan.live_bytes_per_request <= plan.bytes_per_request


@given(deployments(), CONTEXTS, SIZES)
def test_blocks_lie_inside_the_cache(asked, context, size):
    """The blocks of a cache take no more than it has, and one more would."""
    plan = plan_of(asked, context=context, kv_cache_memory=size)
    blocks, each = plan.capacity.kv_cache_blocks, plan.layout.bytes_per_block
    assert (blocks is None) == (not each)
    if blocks is not None:
        assert blocks * each <= size < (blocks + 1) * each
        # The textbook engine keeps states beside the blocks, vLLM in blocks of their own.
        beside = sum(group.fixed_bytes for group in plan.layout.groups) if asked["engine"] == "textbook" else 0
        assert (plan.bytes_per_request - beside) % each == 0


@given(deployments(), CONTEXTS, SIZES, SIZES)
def test_more_memory_never_holds_less(asked, context, size, more):
    """Capacity never falls as the cache grows."""
    small, large = (plan_of(asked, context=context, kv_cache_memory=n).capacity for n in (size, size + more))
    for name in ("kv_cache_blocks", "kv_cache_tokens", "max_context_tokens", "max_concurrency"):
        before, after = getattr(small, name), getattr(large, name)
        assert after is None or before <= after


# -- documents ---------------------------------------------------------------------------------------------------------

GPUS = st.sampled_from([None, "rtx4090", "t4", "h200", "300MiB", "mac-studio-m3-ultra"])


@given(deployments(), CONTEXTS, GPUS, st.one_of(st.none(), SIZES), st.one_of(st.none(), st.integers(1, 10**9)))
def test_a_plan_is_a_json_document(asked, context, gpu, size, users):
    """`to_dict` is JSON without NaN or infinity, whatever is asked, and its figures are not negative."""
    assume(gpu != "mac-studio-m3-ultra" or gpu in kvplan.gpus())
    plan = plan_of(asked, context=context, gpu=gpu, kv_cache_memory=size, users=users)
    document = json.loads(json.dumps(plan.to_dict(), allow_nan=False))
    assert document["request"] == {"context_tokens": context, "concurrent_requests": users}
    for figure in ("bytes_per_token", "bytes_per_request", "live_bytes_per_request"):
        assert document["cache"][figure] >= 0
    assert document["reasons"]


@given(deployments(), CONTEXTS, st.sampled_from(["rtx4090", "t4", "h200", "300MiB"]), st.one_of(st.none(), SIZES))
def test_memory_adds_up_to_the_gpu(asked, context, gpu, size):
    """Weights, activation, graphs, runtime, cache and what is free are the GPU, to the byte."""
    memory = plan_of(asked, context=context, gpu=gpu, kv_cache_memory=size).to_dict()["memory"]
    parts = [memory[f"{name}_bytes"] for name in ("weights", "activation", "cuda_graph", "runtime", "kv_cache", "free")]
    assert sum(parts) == memory["total_bytes"]
    assert all(part >= 0 for part in parts[:-1])
    if size is None and memory["kv_cache_bytes"] > 0:
        assert memory["free_bytes"] == memory["total_bytes"] - memory["budget_bytes"] >= 0


@given(deployments(), CONTEXTS, st.sampled_from(["rtx4090", "t4", "300MiB"]), st.integers(1, 5_000))
def test_the_verdict_says_what_the_capacities_say(asked, context, gpu, users):
    """`fits` at the low end, `tight` in the middle only, `does_not_fit` where not even that holds the users."""
    plan = plan_of(asked, context=context, gpu=gpu, users=users)
    low, high = (x if x is not None else math.inf for x in plan.interval["max_concurrency"])
    middle = plan.capacity.max_concurrency if plan.capacity.max_concurrency is not None else math.inf
    assert low <= middle <= high
    if len(plan.deployment.layouts) == 1 and users > 1:
        # An engine may refuse one request although its figures say 1.0 (vLLM keeps a block back); more users decide.
        # It may also let fewer into a batch, or not start for a length beyond the model's own.
        most = plan.deployment.settings.args.get("max_num_seqs")
        refused = (most and most.value < users) or plan.deployment.engine.refuses(plan.deployment.model, context)
        expected = "fits" if low >= users else "tight" if middle >= users else "does_not_fit"
        expected = "does_not_fit" if refused else expected
        assert plan.verdict == expected
    assert (plan.verdict == "does_not_fit") >= (middle < users)


@given(deployments(), CONTEXTS, st.sampled_from(["rtx4090", "t4", "300MiB"]))
def test_intervals_hold_the_figures(asked, context, gpu):
    """Each capacity lies between its own bounds; None is beyond every figure."""
    plan = plan_of(asked, context=context, gpu=gpu)
    for name, (low, high) in plan.interval.items():
        figures = [math.inf if x is None else x for x in (low, getattr(plan.capacity, name), high)]
        assert figures == sorted(figures)


@given(models(), CONTEXTS, summed())
def test_without_a_gpu_there_is_no_verdict(model, context, engine):
    """Sizes only: the verdict is unknown and no capacity is made up."""
    plan = plan_of({"model": model} | engine, context=context)
    assert plan.verdict == "unknown"
    assert plan.interval is None
    assert plan.capacity.max_concurrency is plan.capacity.max_context_tokens is plan.capacity.limited_by is None


# -- remedies ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(deployments(), st.integers(1, 100_000), st.sampled_from(["t4", "2GiB", "300MiB"]), st.integers(1, 300))
def test_remedies_make_it_fit(asked, context, gpu, users):
    """Every remedy is a plan that fits; a plan that fits needs none."""
    plan = plan_of(asked, context=context, gpu=gpu, users=users)
    if plan.verdict == "fits":
        assert plan.remedies == ()
    for remedy in plan.remedies:
        assert remedy.plan.verdict == "fits"
        assert remedy.change.startswith("--")
        assert remedy.effect


@pytest.mark.parametrize("engine", ["vllm", "textbook", "transformers"])
@pytest.mark.parametrize("model, context", [("llama-3-70b", 8_192), ("llama-3-8b", 8_192), ("gemma-3-27b", 131_072)])
def test_a_remedy_typed_by_hand_gives_the_plan_it_promises(engine, model, context):
    """The words of a remedy, given to the command line, give the verdict and the figures it shows."""
    asked = {"model": model, "engine": engine, "context": context, "users": 40}
    plan = kvplan.estimate(gpu="rtx4090", **asked)
    assert plan.verdict == "does_not_fit"
    for remedy in plan.remedies:
        typed = kvplan.estimate(**asked | {"gpu": "rtx4090"} | as_arguments(remedy.change))
        assert typed.verdict == "fits"
        assert typed.capacity == remedy.plan.capacity


def as_arguments(change):
    """Return the options of a remedy as arguments of `kvplan.estimate`."""
    words = change.split()
    arguments = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        name = option.removeprefix("--").replace("-", "_")
        if name == "engine_arg":
            key, _, text = value.partition("=")
            arguments.setdefault("engine_args", {})[key] = text
        else:
            arguments[name] = int(value) if name in ("context", "users", "tensor_parallel") else value
    return arguments


# -- mixtures ----------------------------------------------------------------------------------------------------------


@given(TRANSFORMERS, CONTEXTS, st.integers(1, 1_500))
def test_cross_attention_follows_the_encoder_alone(args, context, encoder):
    """Decoding further adds nothing to a cross-attention cache; the encoder's length is what it takes."""
    cache = CrossAttention(heads=8, key_dim=64, value_dim=64)
    model = spec_of([(cache,)], encoder_tokens=encoder)
    asked = {"model": model, "engine": "transformers", "engine_args": args}
    assert plan_of(asked, context=context).bytes_per_request == encoder * 8 * (64 + 64) * 2
