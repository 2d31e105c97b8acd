"""Worked numbers for every cache kind: the formula stands beside each figure."""

import pytest

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
from kvplan.dtypes import find_dtype
from kvplan.errors import SettingError

BF16, FP32, FP8 = find_dtype("bf16"), find_dtype("fp32"), find_dtype("fp8")
FP8_DS_MLA, Q8_0, NVFP4 = find_dtype("fp8_ds_mla"), find_dtype("q8_0"), find_dtype("nvfp4")

LLAMA_3_70B = FullAttention(heads=8, key_dim=128, value_dim=128, query_heads=64)
DEEPSEEK_V3 = MLA(latent_dim=512, rope_dim=64, heads=128, expanded_key_dim=192)
MISTRAL_7B = SlidingWindow(heads=8, key_dim=128, value_dim=128, query_heads=32, window=4096)
LLAMA_4 = ChunkedLocal(heads=8, key_dim=128, value_dim=128, query_heads=40, chunk=8192)
WHISPER_LARGE = CrossAttention(heads=20, key_dim=64, value_dim=64)
DSA = SparseIndex(dim=128)


# -- full attention ----------------------------------------------------------------------------------------------------


def test_llama_3_70b_keeps_327680_bytes_per_token():
    """Llama-3-70B's 80 layers of 8 KV heads x (128 + 128) x 2 B are 327,680 B per token."""
    assert LLAMA_3_70B.token_bytes(BF16) == 8 * (128 + 128) * 2 == 4_096
    assert 80 * LLAMA_3_70B.bytes_for(1, BF16, BF16) == 327_680
    assert 80 * LLAMA_3_70B.bytes_for(131_072, BF16, BF16) == 327_680 * 131_072


def test_mha_gqa_and_mqa_differ_in_their_heads_only():
    """64, 8 and 1 KV heads of one width cost 64 : 8 : 1."""
    sizes = [FullAttention(heads=h, key_dim=128, value_dim=128).token_bytes(BF16) for h in (64, 8, 1)]
    assert sizes == [64 * 512, 8 * 512, 512]


def test_keys_and_values_may_differ_in_width():
    """MiMo-V2-Flash's keys of 192 and values of 128 are 4 x (192 + 128) x 2 B = 2,560 B a layer and token."""
    assert FullAttention(heads=4, key_dim=192, value_dim=128).token_bytes(BF16) == 4 * (192 + 128) * 2 == 2_560


def test_a_value_that_is_the_key_is_kept_once():
    """With value_dim 0 only the key rows count, and only their scale."""
    shared = FullAttention(heads=2, key_dim=512, value_dim=0)
    assert shared.token_bytes(BF16) == 2 * 512 * 2
    assert shared.token_bytes(find_dtype("int8_per_token_head")) == 2 * (512 + 4)


# -- windows and chunks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokens, kept",
    [(0, 0), (1, 1), (4_095, 4_095), (4_096, 4_096), (4_097, 4_096), (8_192, 4_096), (10**9, 4_096)],
)
def test_a_window_keeps_its_last_positions(tokens, kept):
    """bytes(n) = min(n, window) x bytes per token."""
    assert MISTRAL_7B.bytes_for(tokens, BF16, BF16) == kept * 8 * 256 * 2


def test_a_full_window_grows_no_more():
    """A sliding window adds nothing per token once it is full, and says how much it keeps."""
    assert MISTRAL_7B.window_tokens == 4_096
    assert not MISTRAL_7B.grows
    assert MISTRAL_7B.growth_bytes(BF16) == 0


@pytest.mark.parametrize("tokens, kept", [(1, 1), (8_192, 8_192), (8_193, 8_192), (10_000_000, 8_192)])
def test_a_chunk_is_sized_at_its_fullest(tokens, kept):
    """Chunked local attention is min(n, chunk) positions: the end of a chunk, so that a longer request never costs less."""
    assert LLAMA_4.bytes_for(tokens, BF16, BF16) == kept * 4_096
    assert LLAMA_4.window_tokens == 8_192


# -- latents and indexers ----------------------------------------------------------------------------------------------


def test_deepseek_v3_keeps_70272_bytes_per_token():
    """61 layers of one latent of 512 and one rotary key of 64: 576 x 2 B x 61 = 70,272 B per token."""
    assert DEEPSEEK_V3.token_bytes(BF16) == 576 * 2 == 1_152
    assert 61 * DEEPSEEK_V3.bytes_for(1, BF16, BF16) == 70_272


def test_fp8_ds_mla_is_656_bytes_per_token_and_layer():
    """512 fp8 latents + 4 float32 scales + 64 bf16 rotary numbers are 512 + 16 + 128 = 656 B, not 576."""
    assert DEEPSEEK_V3.token_bytes(FP8_DS_MLA) == 512 + 4 * 4 + 64 * 2 == 656
    assert DEEPSEEK_V3.token_bytes(FP8) == 576


def test_fp8_ds_mla_is_refused_for_another_width():
    """A packed layout of 512 + 64 is not applied to a latent of another width."""
    with pytest.raises(SettingError, match=r"512 \+ 64.*256 \+ 32"):
        MLA(latent_dim=256, rope_dim=32).token_bytes(FP8_DS_MLA)


def test_the_dsa_indexer_adds_one_key_of_128():
    """DeepSeek-V3.2's indexer keeps 128 numbers per position and layer: 256 B in bf16, 128 B in fp8."""
    assert DSA.bytes_for(1_000, BF16, BF16) == 1_000 * 128 * 2
    assert DSA.bytes_for(1_000, FP8, BF16) == 1_000 * 128


@pytest.mark.parametrize("tokens, entries", [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2), (131_072, 32_768)])
def test_compressed_entries_are_written_when_complete(tokens, entries):
    """A cache of ratio r keeps floor(n / r) entries: DeepSeek-V4's compressed latents and pooled index keys."""
    assert MLA(latent_dim=448, rope_dim=64, ratio=4).bytes_for(tokens, BF16, BF16) == entries * 512 * 2
    assert SparseIndex(dim=128, ratio=4).bytes_for(tokens, BF16, BF16) == entries * 128 * 2


def test_compressed_growth_and_pages_round_up():
    """An entry of 1,024 B for 4 positions grows 256 B a token; a page of 10 positions holds 3 entries."""
    cache = MLA(latent_dim=448, rope_dim=64, ratio=4)
    assert cache.growth_bytes(BF16) == 256
    assert cache.page_bytes(10, BF16) == 3 * 1_024
    assert SparseIndex(dim=128, ratio=3).growth_bytes(BF16) == 86  # 256 / 3, rounded up


@pytest.mark.parametrize("series, tokens, kept", [(1, 100, 4), (2, 100, 8), (2, 5, 5), (1, 0, 0)])
def test_a_compressor_keeps_the_positions_to_be_pooled(series, tokens, kept):
    """There are series x ratio positions of a key-value and a gate row each, in float32: kept x 2 x series x 512 x 4 B."""
    cache = CompressorState(dim=512, ratio=4, series=series)
    assert cache.bytes_for(tokens, BF16, BF16) == kept * 2 * series * 512 * 4
    assert cache.bytes_for(tokens, NVFP4, BF16) == cache.bytes_for(tokens, BF16, BF16)


# -- states ------------------------------------------------------------------------------------------------------------

MAMBA_2 = RecurrentState(
    style="mamba2",
    tensors=(
        StateTensor(name="conv", shape=(5_376, 4), taps=True),  # 80 heads x 64 + 2 x 1 group x 128 channels
        StateTensor(name="ssm", shape=(80, 64, 128), dtype="float32"),
    ),
)


@pytest.mark.parametrize("tokens", [1, 1_000, 10**9])
def test_a_mamba_2_state_has_one_size_for_any_length(tokens):
    """It is conv 5,376 x 4 x 2 B + ssm 80 x 64 x 128 x 4 B = 43,008 + 2,621,440 B, however long the sequence."""
    assert MAMBA_2.bytes_for(tokens, BF16, BF16) == 43_008 + 2_621_440


def test_a_state_keeps_its_own_formats():
    """The cache dtype never touches a state: float32 parts stay, the others follow the model."""
    assert MAMBA_2.bytes_for(1, NVFP4, BF16) == MAMBA_2.bytes_for(1, FP32, BF16) == 2_664_448
    assert MAMBA_2.bytes_for(1, BF16, FP32) == 2 * 43_008 + 2_621_440


def test_past_taps_only_are_one_tap_less():
    """An engine that keeps only past inputs of a convolution of 4 taps keeps 3; other tensors stay whole."""
    conv, ssm = (part.without_current_tap() for part in MAMBA_2.tensors)
    assert (conv.shape, ssm.shape) == ((5_376, 3), (80, 64, 128))


def test_a_state_has_no_growth_and_no_window():
    """State adds nothing per token and stands for every past position."""
    assert (MAMBA_2.growth_bytes(BF16), MAMBA_2.window_tokens, MAMBA_2.page_bytes(16, BF16)) == (0, 0, 0)


# -- cross-attention ---------------------------------------------------------------------------------------------------


def test_cross_attention_is_sized_by_the_encoder():
    """Whisper large: 1,500 encoder positions x 20 heads x (64 + 64) x 2 B = 7,680,000 B a layer, and no growth."""
    assert WHISPER_LARGE.bytes_for(1_500, BF16, BF16) == 7_680_000
    assert WHISPER_LARGE.growth_bytes(BF16) == 0


# -- sharding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tensor, heads", [(1, 8), (2, 4), (4, 2), (8, 1), (16, 1), (64, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize(
    "cache", [LLAMA_3_70B, MISTRAL_7B, LLAMA_4, CrossAttention(heads=8, key_dim=128, value_dim=128)]
)
def test_heads_are_split_and_replicated_below_one(cache, tensor, heads):
    """The fullest rank keeps ceil(heads / ranks) heads, and one whole head where there are fewer heads than ranks."""
    assert cache.shard(tensor).heads == heads
    assert cache.shard(tensor).token_bytes(BF16) == heads * 512


@pytest.mark.parametrize("cache", [DEEPSEEK_V3, DSA, CompressorState(dim=512, ratio=4)])
@pytest.mark.parametrize("tensor", [2, 8, 64])
def test_latents_and_indexers_are_replicated(cache, tensor):
    """Every tensor-parallel rank keeps the whole latent, index key and compressor."""
    assert cache.shard(tensor) == cache


@pytest.mark.parametrize("tensor, conv, heads", [(1, 5_376, 80), (2, 2_688, 40), (8, 672, 10), (3, 1_792, 27)])
def test_states_are_split_along_their_first_axis(tensor, conv, heads):
    """Channels and heads of a state are divided over the ranks, rounded up."""
    assert [part.shape[0] for part in MAMBA_2.shard(tensor).tensors] == [conv, heads]


def test_replicated_rows_of_a_state_stay_whole():
    """A single Mamba-2 group's B and C (256 of 5,376 channels) are kept by every rank: 256 + 5,120 / 4 on four."""
    part = StateTensor(name="conv", shape=(5_376, 4), taps=True, replicated=256)
    assert part.shard(4).shape == (256 + 1_280, 4)


# -- the inverse -------------------------------------------------------------------------------------------------------

KINDS = [
    LLAMA_3_70B,
    MISTRAL_7B,
    LLAMA_4,
    DEEPSEEK_V3,
    MLA(latent_dim=448, rope_dim=64, ratio=128),
    DSA,
    SparseIndex(dim=128, ratio=4),
    MAMBA_2,
    WHISPER_LARGE,
    CompressorState(dim=512, ratio=4, series=2),
]


@pytest.mark.parametrize("cache", KINDS, ids=lambda cache: f"{type(cache).__name__}-{getattr(cache, 'ratio', 1)}")
@pytest.mark.parametrize("dtype", [BF16, Q8_0, NVFP4], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("budget", [0, 1, 4_095, 4_096, 10**6, 2_664_448, 2_664_447, 33_554_432, 33_554_431, 2**40])
def test_longest_is_the_inverse_of_bytes_for(cache, dtype, budget):
    """`longest` fits and one token more does not; None fits at any length, -1 not even empty."""
    longest = cache.longest(budget, dtype, BF16)
    if longest is None:
        assert cache.bytes_for(10**12, dtype, BF16) <= budget
    elif longest == -1:
        assert cache.bytes_for(0, dtype, BF16) > budget
    else:
        assert cache.bytes_for(longest, dtype, BF16) <= budget < cache.bytes_for(longest + 1, dtype, BF16)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", KINDS, ids=lambda cache: f"{type(cache).__name__}-{getattr(cache, 'ratio', 1)}")
def test_the_formula_shows_the_figure_it_comes_to(cache):
    """Every kind writes its formula down with the bytes it comes to, for `--explain`."""
    formula = cache.formula(BF16, BF16)
    figure = cache.token_bytes(BF16) or cache.fixed_bytes(BF16)
    assert f"{figure:,} B" in formula


def test_equal_layers_compare_equal():
    """Layers that keep the same are equal and hash alike, so that engines can group them; another width is another."""
    assert len({LLAMA_3_70B, FullAttention(heads=8, key_dim=128, value_dim=128, query_heads=64)}) == 1
    assert FullAttention(heads=8, key_dim=128, value_dim=64) != FullAttention(heads=8, key_dim=128, value_dim=128)
    assert len({MISTRAL_7B, LLAMA_4}) == 2
