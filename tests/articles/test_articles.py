"""The numbers of the articles the project starts from, reproduced or shown wrong, each from the model's published values.

Articles: 000 an overview of KV caching, 001 "KV Cache Explained", 002 KV caching and its fragmentation, 003 "K-V Cache and
Inference Optimization", 004 "Techniques for KV Cache Optimization in Large Language Models".
"""

import pytest

import kvplan
from kvplan.models.hugging_face import read_config

GB, GIB = 10**9, 2**30


def textbook(model, context, *, gpu=None, kv_dtype="auto", quantization=None, users=None, tensor=1, **engine_args):
    """Plan with plain arithmetic: exactly the request's positions unless an allocation is named."""
    return kvplan.estimate(
        model,
        gpu,
        "textbook",
        context=context,
        users=users,
        kv_dtype=kv_dtype,
        quantization=quantization,
        tensor_parallel=tensor,
        engine_args={"allocation": "contiguous"} | engine_args,
    )


def request_bytes(model, context, **settings):
    return textbook(model, context, **settings).bytes_per_request


# -- 001, 000: Llama-3-70B ---------------------------------------------------------------------------------------------


def test_001_llama_3_70b_takes_327680_bytes_per_token():
    """Article 001 is right per token: 80 layers x 8 KV heads x (128 + 128) x 2 B = 327,680 B."""
    assert request_bytes("llama-3-70b", 1) == 80 * 8 * (128 + 128) * 2 == 327_680


@pytest.mark.parametrize(
    "tokens, said_gb, exact",
    [(4_096, 1.3, 1_342_177_280), (32_768, 10.2, 10_737_418_240), (131_072, 40.9, 42_949_672_960)],
)
def test_001_llama_3_70b_at_4k_32k_and_128k(tokens, said_gb, exact):
    """Article 001 rounds the bytes per token before it multiplies: right to 6 %, and the exact sizes are these."""
    assert request_bytes("llama-3-70b", tokens) == exact == 327_680 * tokens
    assert said_gb * GB == pytest.approx(exact, rel=0.06)


@pytest.mark.parametrize(
    "tokens, said_gb, exact_gb", [(4_096, 0.6, 1.342), (32_000, 5.0, 10.486), (128_000, 20, 41.943)]
)
def test_000_llama_3_70b_is_wrong_by_half(tokens, said_gb, exact_gb):
    """Article 000 gives fp16 sizes that are half the real ones, and would be right for an 8-bit cache."""
    size = request_bytes("llama-3-70b", tokens)
    assert size == pytest.approx(exact_gb * GB, rel=1e-3)
    assert 2.0 < size / (said_gb * GB) < 2.3
    assert request_bytes("llama-3-70b", tokens, kv_dtype="fp8") == pytest.approx(said_gb * GB, rel=0.12)


# -- 002: 32 layers of 32 heads ----------------------------------------------------------------------------------------


def test_002_32_layers_of_32_heads_take_half_a_mebibyte_per_token():
    """Article 002 is right: 32 layers x 32 heads x (128 + 128) x 2 B = 524,288 B a token, 2 GiB at 4,096 (Llama-2-7B)."""
    assert request_bytes("llama-2-7b", 1) == 524_288
    assert request_bytes("llama-2-7b", 4_096) == 2 * GIB


# -- 004: Llama 2, Mixtral, Mistral ------------------------------------------------------------------------------------


def test_004_llama_2_13b_with_a_batch_of_8_takes_25_gib():
    """Article 004's 25 GB are GiB: 8 requests of 4,096 tokens are 26,843,545,600 B beside weights of 26 GB."""
    plan = textbook("llama-2-13b", 4_096, gpu="80GB", users=8)
    assert 8 * plan.bytes_per_request == 26_843_545_600 == 25 * GIB
    assert plan.to_dict()["memory"]["weights_bytes"] == pytest.approx(26 * GB, rel=0.01)
    assert plan.verdict == "fits"


@pytest.mark.parametrize(
    "model, heads, kv_heads", [("llama-2-70b", 64, 8), ("llama-3-70b", 64, 8), ("mixtral-8x7b", 32, 8)]
)
def test_001_004_grouped_queries_divide_the_cache(model, heads, kv_heads):
    """64 query heads on 8 KV heads make the cache 8 times smaller (001, 004), Mixtral's 32 on 8 four times."""
    ((cache, _),) = kvplan.load_model(model).caches
    assert (cache.query_heads, cache.heads) == (heads, kv_heads)
    assert request_bytes(with_kv_heads(model, heads), 1) == heads // kv_heads * request_bytes(model, 1)


def test_001_multi_query_attention_keeps_one_head():
    """With one KV head for 64 query heads the cache is a sixty-fourth."""
    assert 64 * request_bytes(with_kv_heads("llama-3-70b", 1), 1) == request_bytes(with_kv_heads("llama-3-70b", 64), 1)


def test_004_mixtral_is_wrong_by_two():
    """Article 004 says 1 MB and 256 KB per token; Mixtral's 32 layers of 128 take half: 524,288 B, and 131,072 B with GQA."""
    assert request_bytes("mixtral-8x7b", 1) == 131_072 == 256 * 1024 // 2
    assert request_bytes(with_kv_heads("mixtral-8x7b", 32), 1) == 524_288 == 1024 * 1024 // 2


def test_004_mistrals_window_halves_the_cache_of_8192_tokens():
    """At 8,192 tokens a window of 4,096 keeps half; an engine reserves more than the window while it fills."""
    window, full = kvplan.load_model("mistral-7b-v0.1"), kvplan.load_model("mistral-7b")
    assert 2 * request_bytes(window, 8_192) == request_bytes(full, 8_192) == 8_192 * 131_072
    reserved = kvplan.estimate(window, context=32_768, engine_args={"max_num_batched_tokens": 2_048}).bytes_per_request
    assert request_bytes(window, 32_768) < reserved < request_bytes(full, 32_768)


@pytest.mark.parametrize("gpus, share", [(1, 1), (2, 2), (4, 4), (8, 8), (16, 8), (32, 8)])
def test_004_llama_70bs_heads_go_over_up_to_8_gpus(gpus, share):
    """8 KV heads are split over up to 8 GPUs; beyond that they are replicated and the cache per GPU falls no more."""
    assert request_bytes("llama-3-70b", 1, tensor=gpus) == 327_680 // share


# -- 001: users of a 27B model on an RTX 4090 --------------------------------------------------------------------------


@pytest.mark.parametrize("context, each_gb, users", [(8_192, 1.2, 5), (32_768, 5.0, 1)])
def test_001_users_of_a_27b_model_on_24_gb(context, each_gb, users):
    """Article 001's inputs (24 GB, 16 GB of weights, 1 GB overhead, 147,456 B a token) give its 5 users at 8K and 1 at 32K."""
    plan = textbook(article_27b(), context, gpu="24GB", quantization="4.74bpw", overhead="1GB")
    assert plan.to_dict()["memory"]["weights_bytes"] == pytest.approx(16 * GB, rel=0.001)
    assert plan.bytes_per_request == pytest.approx(each_gb * GB, rel=0.04)
    assert int(plan.capacity.max_concurrency) == users
    assert (
        textbook(article_27b(), context, gpu="24GB", quantization="4.74bpw", overhead="1GB", users=users).verdict
        == "fits"
    )
    more = textbook(article_27b(), context, gpu="24GB", quantization="4.74bpw", overhead="1GB", users=users + 1)
    assert more.verdict == "does_not_fit"


def test_001_a_real_27b_model_has_sizes_of_its_own():
    """Gemma-3-27B's 10 full layers and 52 windows of 1,024 take less than the article's 1.2 and 5 GB: more users fit."""
    # 16 heads x (128 + 128) x 2 B = 8,192 B a layer and token.
    assert request_bytes("gemma-3-27b", 8_192) == (10 * 8_192 + 52 * 1_024) * 8_192 == 1_107_296_256
    assert request_bytes("gemma-3-27b", 32_768) == (10 * 32_768 + 52 * 1_024) * 8_192 == 3_120_562_176
    plan = textbook("gemma-3-27b", 32_768, gpu="24GB", quantization="4.5bpw", overhead="1GB")
    assert int(plan.capacity.max_concurrency) == 2


# -- 001, 003: 8 bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kv_dtype, part",
    [
        ("fp8", 1 / 2),
        ("int8", 1 / 2),
        ("q8_0", 17 / 32),
        ("int8_per_token_head", 132 / 256),
        ("fp8_per_token_head", 132 / 256),
    ],
)
def test_001_003_8_bits_halve_the_cache_but_for_scales(kv_dtype, part):
    """An 8-bit cache is half of a 16-bit one, plus the scales of formats that have them."""
    assert request_bytes("llama-3-70b", 8_192, kv_dtype=kv_dtype) == part * request_bytes("llama-3-70b", 8_192)


# -- 002, 004: fragmentation -------------------------------------------------------------------------------------------

# The PagedAttention paper (Kwon et al. 2023, figure 2): 20.4 % of the memory holds tokens where the longest sequence is
# reserved, 96.3 % with pages. A mean sequence of 418 tokens of 2,048 is what 20.4 % means.
MEAN, LONGEST = 418, 2_048


@pytest.mark.parametrize(
    "allocation, used",
    [("reserved", 418 / 2_048), ("paged", 418 / 432), ("contiguous", 1.0)],  # 27 blocks of 16 are 432 positions
)
def test_002_004_share_of_the_memory_that_holds_tokens(allocation, used):
    """Reservation uses 20 % of what it takes and pages over 96 %, as the PagedAttention paper measured."""
    plan = textbook("llama-2-7b", MEAN, allocation=allocation, max_model_len=LONGEST)
    assert plan.live_bytes_per_request == MEAN * 524_288
    assert plan.live_bytes_per_request / plan.bytes_per_request == pytest.approx(used)


def test_002_004_waste_of_reservation_and_of_rounding_stand_apart():
    """Waste is 60 to 80 % where the longest is reserved for sequences of 20 to 40 % of it, and under 4 % with pages."""
    for length in range(MEAN, int(0.4 * LONGEST)):
        reserved = textbook("llama-2-7b", length, allocation="reserved", max_model_len=LONGEST)
        paged = textbook("llama-2-7b", length, allocation="paged")
        held = reserved.live_bytes_per_request
        assert 0.6 <= (reserved.bytes_per_request - held) / reserved.bytes_per_request <= 0.8
        assert 0 <= (paged.bytes_per_request - held) / paged.bytes_per_request < 0.04
        # Never more than the rest of one block.
        assert paged.bytes_per_request - held < 16 * 524_288


def test_002_004_pages_hold_several_times_the_requests_of_reservation():
    """The same GPU holds 4.7 times the requests of 418 tokens with pages as with 2,048 positions reserved for each."""
    reserved, paged, exact = (
        textbook("llama-2-7b", MEAN, gpu="24GB", allocation=allocation, max_model_len=LONGEST).capacity.max_concurrency
        for allocation in ("reserved", "paged", "contiguous")
    )
    assert paged / reserved == pytest.approx(LONGEST / 432)
    assert reserved < paged < exact


@pytest.mark.parametrize("block", [1, 16, 64, 256])
def test_002_004_smaller_blocks_round_less(block):
    """A block of b positions wastes at most b - 1 of them: nothing at 1, 14 at 16, 94 at 256."""
    plan = textbook("llama-2-7b", MEAN, allocation="paged", block_tokens=block)
    assert plan.bytes_per_request - plan.live_bytes_per_request == -MEAN % block * 524_288


# -- 003: what-ifs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 20, 40, 80])
def test_003_memory_falls_with_the_layers_kept(kept):
    """A layer-condensed cache takes its share of the layers: 20 of 80 a quarter."""
    assert request_bytes("llama-3-70b", 4_096, kept_layers=kept) * 80 == request_bytes("llama-3-70b", 4_096) * kept


def test_003_kept_layers_are_those_of_the_whole_model():
    """Over pipeline stages the layers kept are counted through the model, not once per stage."""
    plan = kvplan.estimate(
        "llama-3-70b", engine="textbook", pipeline_parallel=4, context=16, engine_args={"kept_layers": 30}
    )
    assert [layout.request_bytes(16, 0) for layout in plan.deployment.layouts] == [20 * 65_536, 10 * 65_536, 0, 0]


def test_003_more_layers_than_keep_a_cache_are_refused():
    """A what-if of more layers than there are is an error, not the plain answer."""
    with pytest.raises(kvplan.SettingError, match=r"kept_layers is 81, but only 80"):
        textbook("llama-3-70b", 4_096, kept_layers=81)


def test_003_host_memory_keeps_the_idle_sessions():
    """Offload: 24 GB keep 6 sessions of 8,192 tokens of Llama-3-8B, 64 GiB of host memory 64 idle ones more."""
    plan = textbook("llama-3-8b", 8_192, gpu="24GB", overhead="1GB", host_memory="64GiB")
    assert plan.bytes_per_request == GIB
    assert (plan.sessions.gpu, plan.sessions.host) == (6, 64)
    document = plan.to_dict()
    assert document["capacity"]["sessions"] == {"gpu": 6, "host": 64}
    assert "6 on the GPU, and 64 idle ones in 64 GiB" in document["reasons"][-1]


def test_003_host_memory_does_not_change_what_decodes_at_once():
    """Idle sessions wait outside: the verdict and the concurrent requests are those without host memory."""
    without = textbook("llama-3-8b", 8_192, gpu="24GB", users=7)
    offloaded = textbook("llama-3-8b", 8_192, gpu="24GB", users=7, host_memory="1TiB")
    assert without.verdict == offloaded.verdict == "does_not_fit"
    assert without.capacity == offloaded.capacity
    assert without.sessions is None


def test_003_host_memory_helps_nothing_where_not_one_session_decodes():
    """A model that leaves no room for one session on the GPU keeps none in host memory either."""
    plan = textbook("llama-3-70b", 8_192, gpu="24GB", host_memory="1TiB")
    assert (plan.sessions.gpu, plan.sessions.host) == (0, 0)


def with_kv_heads(model, heads):
    """Return a catalogue model as if it had that many KV heads."""
    config = dict(kvplan.load_model(model).config) | {"num_key_value_heads": heads}
    return read_config(config, spec_id=model, source="what-if", where="what-if.json")


def article_27b():
    """Return the article's 27B model: 36 layers of 8 KV heads of 128 are its 1.2 GB at 8K; the rest makes 27 billion."""
    config = {
        "model_type": "llama",
        "hidden_size": 8_192,
        "num_hidden_layers": 36,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 22_003,
        "vocab_size": 128_000,
        "max_position_embeddings": 131_072,
    }
    return read_config(config, spec_id="article-27b", source="article 001", where="article-27b.json")
