"""What vLLM registers for each layer: block size, page size, and the blocks one request takes.

Source: vLLM 0.33 v1/kv_cache_interface.py (page sizes, max_memory_usage_bytes), config/vllm.py (tokens in flight).
"""

from dataclasses import dataclass, replace

from kvplan.caches import ChunkedLocal, CrossAttention, FullAttention, LayerCache, RecurrentState, SlidingWindow
from kvplan.dtypes import Dtype
from kvplan.units import ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """What a request may have in flight beside the positions it keeps.

    Attributes:
        tokens: concurrent batches x max_num_batched_tokens.
        batched_tokens: max_num_batched_tokens, which sizes cross-attention.
        state_pages: pages of recurrent state per request.
        context_ranks: decode context parallel size, which splits the positions of growing caches.

    """

    tokens: int
    batched_tokens: int
    state_pages: int
    context_ranks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer's cache as vLLM registers it.

    Attributes:
        cache: the layer's cache on this rank.
        dtype: its number format.
        block_tokens: positions of a block.
        page_bytes: of one block, padding included.

    """

    cache: LayerCache
    dtype: Dtype
    block_tokens: int
    page_bytes: int

    @property
    def is_state(self) -> bool:
        """Whether it is recurrent state, whose page does not grow with the block."""
        return isinstance(self.cache, RecurrentState)

    @property
    def grows(self) -> bool:
        """Whether it is paged for every position (full attention, latents, indexers)."""
        return self.cache.grows

    @property
    def paddable(self) -> bool:
        """Whether its page may be padded to any size: latents and indexers may not (they are read by whole rows)."""
        return isinstance(self.cache, FullAttention | RecurrentState | CrossAttention)

    def with_block(self, block_tokens: int) -> "LayerSpec":
        """Return the spec with another block size; a state's page stays."""
        if self.is_state:
            return replace(self, block_tokens=block_tokens)
        return replace(self, block_tokens=block_tokens, page_bytes=self.cache.page_bytes(block_tokens, self.dtype))

    def as_full(self) -> "LayerSpec":
        """Return the spec as it is allocated when the hybrid manager is off: a window is paged for every position."""
        cache = self.cache
        if isinstance(cache, SlidingWindow | ChunkedLocal):
            full = FullAttention(
                heads=cache.heads, key_dim=cache.key_dim, value_dim=cache.value_dim, query_heads=cache.query_heads
            )
            return replace(self, cache=full)
        return self

    def blocks(self, tokens: int, flight: InFlight) -> int:
        """Return the blocks that one request of `tokens` positions reserves."""
        cache, block = self.cache, self.block_tokens
        if isinstance(cache, RecurrentState):
            return flight.state_pages
        if isinstance(cache, CrossAttention):
            return ceil_div(flight.batched_tokens, block)
        if isinstance(cache, SlidingWindow):
            # One block more: the window need not start on a block's edge.
            return ceil_div(min(cache.window - 1 + flight.tokens, tokens), block) + 1
        if isinstance(cache, ChunkedLocal):
            return ceil_div(min(cache.chunk + flight.tokens, tokens), block)
        return ceil_div(ceil_div(tokens, flight.context_ranks), block)

    def live_blocks(self, tokens: int, flight: InFlight) -> int:
        """Return the blocks that a request of `tokens` positions holds while it decodes one token at a time."""
        window = self.cache.window_tokens
        if window is None or self.is_state or not isinstance(self.cache, FullAttention):
            return self.blocks(tokens, flight)
        return min(ceil_div(tokens, self.block_tokens), ceil_div(window - 1, self.block_tokens) + 1)
