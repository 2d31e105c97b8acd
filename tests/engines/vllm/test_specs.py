"""Blocks of one request by kind of layer, worked by hand."""

import pytest

from kvplan.caches import FullAttention, SlidingWindow
from kvplan.dtypes import find_dtype
from kvplan.engines.vllm.specs import Flight, LayerSpec

BF16 = find_dtype("bfloat16")
# An H100's defaults: two batches of 8,192 tokens in flight.
H100 = Flight(tokens=2 * 8192, encoder_tokens=8192)


def spec(kind="full", *, block=16, content=4096, **changes):
    heads = FullAttention(heads=8, key_dim=128, value_dim=128)
    return LayerSpec(cache=heads, dtype=BF16, kind=kind, block_tokens=block, content_bytes=content, **changes)


@pytest.mark.parametrize("tokens, blocks", [(1, 1), (16, 1), (17, 2), (4096, 256), (4097, 257)])
def test_full_attention_takes_whole_blocks(tokens, blocks):
    """ceil(L / block) (v1/kv_cache_interface.py FullAttentionSpec)."""
    assert spec().blocks(tokens, H100) == blocks


def test_context_ranks_split_positions_before_blocks_are_rounded():
    """ceil(ceil(L / ranks) / block): 1,000 positions over 4 ranks are 250, 16 blocks."""
    assert spec().blocks(1000, Flight(tokens=0, encoder_tokens=0, context_ranks=4)) == 16


@pytest.mark.parametrize(
    "window, tokens, blocks",
    [
        (128, 32_768, 1033),  # gpt-oss: ceil((127 + 16,384) / 16) + 1
        (4096, 32_768, 1281),  # Mistral 7B v0.1
        (4096, 4096, 257),  # one block more than full attention's 256
    ],
)
def test_a_window_reserves_what_is_in_flight(window, tokens, blocks):
    """ceil(min(W - 1 + in flight, L) / block) + 1 (SlidingWindowSpec.max_admission_blocks_per_request)."""
    assert spec("sliding", window=window).blocks(tokens, H100) == blocks


def test_a_chunk_reserves_what_is_in_flight_without_the_extra_block():
    """ceil(min(C + in flight, L) / block): Llama 4's 8,192 and 16,384 are 1,536 blocks."""
    assert spec("chunked", window=8192).blocks(1_000_000, H100) == 1536


def test_cross_attention_is_sized_by_the_batch_not_by_the_encoder():
    """ceil(max_num_batched_tokens / block): 512 blocks for Whisper's 1,500 positions."""
    assert spec("cross").blocks(448, H100) == 512
    assert spec("cross").live_blocks(448, 1500, H100) == 94


def test_what_a_request_holds_while_it_decodes_is_at_most_what_it_reserves():
    """A window's live blocks forget what is in flight: 128 positions span at most 9 blocks."""
    window = spec("sliding", window=128)
    assert window.live_blocks(32_768, 0, H100) == 9
    for tokens in (1, 100, 5000, 100_000):
        assert window.live_blocks(tokens, 0, H100) <= window.blocks(tokens, H100)


def test_an_aligned_page_of_pooled_entries():
    """DeepSeek V4: 256 positions are 64 rows of 584 B, rounded up to 576: 37,440 B."""
    assert spec("mla", block=256, content=584, ratio=4, align=576).page_bytes == 37_440
    assert spec("mla", block=256, content=132, ratio=4, align=576).page_bytes == 8640


def test_blocks_are_whole_kernel_blocks_apart_where_the_kernel_reads_only_some():
    """A page of 4,352 positions read 256 at a time: strides are multiples of 64 rows x 132 B (get_block_stride_alignment)."""
    index = spec("mla", block=4352, content=132, ratio=4, kernel_block=256)
    assert index.stride_bytes == 8448
    assert spec("mla", block=64, content=1152, kernel_block=64).stride_bytes == 1
    assert spec("mla", block=64, content=1152, row_aligned=True).stride_bytes == 1152


def test_the_report_names_the_window_of_a_layer():
    """A sliding layer is reported as one, with its window."""
    cache = SlidingWindow(heads=8, key_dim=128, value_dim=128, window=128)
    assert (
        LayerSpec(cache=cache, dtype=BF16, kind="sliding", block_tokens=16, content_bytes=4096).cache.window_tokens
        == 128
    )
