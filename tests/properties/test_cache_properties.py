"""What holds for every cache of every kind, whatever its widths."""

from dataclasses import replace

from architectures import KV_DTYPES, MODEL_DTYPES, any_cache, full, windows
from hypothesis import given
from hypothesis import strategies as st

from kvplan.caches import FullAttention, RecurrentState
from kvplan.dtypes import find_dtype

TOKENS = st.integers(0, 10**7)
FORMATS = KV_DTYPES.filter(lambda name: name != "auto").map(find_dtype)
PLAIN = MODEL_DTYPES.map(find_dtype)


@given(any_cache(), FORMATS, PLAIN, TOKENS, st.integers(0, 10**4))
def test_size_never_falls_with_tokens(cache, dtype, model_dtype, tokens, more):
    """A longer sequence never takes less."""
    assert cache.bytes_for(tokens, dtype, model_dtype) <= cache.bytes_for(tokens + more, dtype, model_dtype)


@given(any_cache(), PLAIN, TOKENS)
def test_size_never_falls_with_bits(cache, model_dtype, tokens):
    """A cache in 8 bits takes no more than in 16, and in 16 no more than in 32."""
    sizes = [cache.bytes_for(tokens, find_dtype(name), model_dtype) for name in ("fp8", "bf16", "fp32")]
    assert sizes == sorted(sizes)


@given(full(), FORMATS, PLAIN, TOKENS, st.integers(1, 8))
def test_size_is_proportional_to_heads(cache, dtype, model_dtype, tokens, factor):
    """Twice the KV heads take twice the bytes."""
    wider = replace(cache, heads=factor * cache.heads)
    assert wider.bytes_for(tokens, dtype, model_dtype) == factor * cache.bytes_for(tokens, dtype, model_dtype)


@given(windows(), FORMATS, PLAIN, TOKENS)
def test_a_window_costs_no_more_than_full_attention(cache, dtype, model_dtype, tokens):
    """A window costs as much as full attention while it fills, and never more."""
    whole = FullAttention(heads=cache.heads, key_dim=cache.key_dim, value_dim=cache.value_dim)
    assert cache.bytes_for(tokens, dtype, model_dtype) <= whole.bytes_for(tokens, dtype, model_dtype)
    filling = min(tokens, cache.window)
    assert cache.bytes_for(filling, dtype, model_dtype) == whole.bytes_for(filling, dtype, model_dtype)


@given(any_cache(), FORMATS, PLAIN, TOKENS, st.integers(1, 64))
def test_ranks_together_hold_at_least_the_whole(cache, dtype, model_dtype, tokens, ranks):
    """What tensor-parallel ranks keep adds up to the whole or more, and no rank keeps more than the whole."""
    whole = cache.bytes_for(tokens, dtype, model_dtype)
    part = cache.shard(ranks).bytes_for(tokens, dtype, model_dtype)
    assert part <= whole <= ranks * part


@given(any_cache(), FORMATS, PLAIN, st.integers(0, 2**50))
def test_longest_inverts_the_size(cache, dtype, model_dtype, budget):
    """The longest sequence of a budget fits, and one token more does not."""
    longest = cache.longest(budget, dtype, model_dtype)
    if longest is None:
        assert cache.bytes_for(10**18, dtype, model_dtype) <= budget
    elif longest == -1:
        assert cache.bytes_for(0, dtype, model_dtype) > budget
    else:
        assert cache.bytes_for(longest, dtype, model_dtype) <= budget
        assert cache.bytes_for(longest + 1, dtype, model_dtype) > budget


@given(any_cache(), FORMATS, st.integers(1, 512), st.integers(1, 64))
def test_pages_hold_their_positions(cache, dtype, block, pages):
    """Pages of a block are at least as large as the positions they are for."""
    if not isinstance(cache, RecurrentState):
        positions = cache.kept_tokens(block * pages)
        assert pages * cache.page_bytes(block, dtype) >= positions * cache.token_bytes(dtype)


@given(any_cache(), FORMATS, PLAIN)
def test_a_cache_describes_itself(cache, dtype, model_dtype):
    """Every kind has a formula in words, a kind of the contract, and growth only where it has no window."""
    assert cache.formula(dtype, model_dtype)
    assert cache.kind in (
        "full_attention", "sliding_window", "chunked_local", "mla", "sparse_index", "recurrent_state", "cross_attention",
    )  # fmt: skip
    assert (cache.growth_bytes(dtype) > 0) == cache.grows
