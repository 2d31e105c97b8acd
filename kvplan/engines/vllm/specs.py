"""What vLLM registers for one layer: how long a block is, what a page costs, and how many blocks one request takes.

Source: vLLM 0.33 v1/kv_cache_interface.py (KVCacheSpec and its subclasses: page_size_bytes, max_memory_usage_bytes).
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import Literal, NamedTuple

from kvplan.caches import LayerCache
from kvplan.dtypes import Dtype
from kvplan.units import ceil_div, round_up

# vLLM's spec classes, by the name their groups have in its reports (get_kv_cache_spec_kind).
Kind = Literal["full", "mla", "sliding", "sliding_mla", "chunked", "mamba", "cross", "ring"]


class Flight(NamedTuple):
    """What a request reserves beside the positions it keeps.

    Attributes:
        tokens: concurrent batches x max_num_batched_tokens (config/vllm.py max_in_flight_tokens): blocks that left a
            window are freed only when the batch that left them behind is settled.
        encoder_tokens: what sizes cross-attention: max_num_encoder_input_tokens, which is max_num_batched_tokens
            (config/scheduler.py), whatever the encoder's own length.
        context_ranks: decode context parallel size, which splits the positions of what grows.
        retained: positions that windows keep beyond their own, for next-token modules that read ahead.

    """

    tokens: int
    encoder_tokens: int
    context_ranks: int = 1
    retained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer's cache on one rank, as vLLM registers it.

    Attributes:
        cache: what the layer keeps, sharded.
        dtype: its number format.
        kind: vLLM's class of spec.
        block_tokens: positions of a block.
        content_bytes: of one stored row (all heads); of the whole state for `mamba`.
        ratio: positions that share a row (DeepSeek V4's compressed entries).
        align: the page is rounded up to a multiple of this (packed MLA formats).
        window: positions attended to (`sliding`, `sliding_mla`) or the chunk (`chunked`); None elsewhere.
        state_pages: pages that one request holds (`mamba`).
        page_per_block: whether it holds a page for each block of its length beside them (mamba_cache_mode "all").
        live_pages: of these, the ones it needs while it decodes.
        padded_bytes: the page, where it was padded to the pages of other layers.
        kernel_block: the longest block that its kernel reads, where it takes only fixed ones: blocks are then whole
            kernel blocks apart (v1/worker/utils.py customize_attention_spec).
        row_aligned: blocks are whole rows apart (sparse kernels; mla/sparse_utils.py align_blocks_to_rows).

    """

    cache: LayerCache
    dtype: Dtype
    kind: Kind
    block_tokens: int
    content_bytes: int
    ratio: int = 1
    align: int = 1
    window: int | None = None
    state_pages: int = 0
    page_per_block: bool = False
    live_pages: int = 0
    padded_bytes: int | None = None
    kernel_block: int | None = None
    row_aligned: bool = False

    @property
    def page_bytes(self) -> int:
        """Bytes of one block of this layer: rows x bytes of a row, aligned; the state for `mamba`; or as padded."""
        if self.padded_bytes is not None:
            return self.padded_bytes
        rows = 1 if self.kind == "mamba" else self.block_tokens // self.ratio
        return round_up(rows * self.content_bytes, self.align)

    @property
    def stride_bytes(self) -> int:
        """Bytes that blocks are a multiple of apart (v1/kv_cache_interface.py get_block_stride_alignment)."""
        if self.row_aligned:
            return self.content_bytes
        if self.kernel_block is None:
            return 1
        block = gcd(self.kernel_block, self.block_tokens)
        return 1 if block == self.block_tokens else replace(self, block_tokens=block).page_bytes

    @property
    def grows(self) -> bool:
        """Whether it is paged for every position (full attention, latents, indexers)."""
        return self.kind in ("full", "mla")

    @property
    def paddable(self) -> bool:
        """Whether its page may be padded to any size: latents may not, sparse kernels read them by whole rows.

        Source: v1/core/kv_cache_planning.py unify_kv_cache_spec_page_size.
        """
        return self.kind != "mla"

    def with_block(self, block_tokens: int) -> "LayerSpec":
        """Return the spec with another block size."""
        return replace(self, block_tokens=block_tokens)

    def padded(self, page_bytes: int) -> "LayerSpec":
        """Return the spec with its page padded to `page_bytes`."""
        return replace(self, padded_bytes=page_bytes)

    def blocks(self, tokens: int, flight: Flight) -> int:
        """Return the blocks that one request of `tokens` positions reserves."""
        block = self.block_tokens
        if self.kind in ("full", "mla"):
            return ceil_div(ceil_div(tokens, flight.context_ranks), block)
        if self.kind == "mamba":
            return self.state_pages + (ceil_div(tokens, block) if self.page_per_block else 0)
        if self.kind == "ring":
            return 1
        if self.kind == "cross":
            return ceil_div(flight.encoder_tokens, block)
        if self.kind == "chunked":
            return ceil_div(min((self.window or 0) + flight.tokens, tokens), block)
        # One block more: the window need not start on a block's edge.
        return ceil_div(min((self.window or 0) - 1 + flight.retained + flight.tokens, tokens), block) + 1

    def live_blocks(self, tokens: int, encoder_tokens: int, flight: Flight) -> int:
        """Return the blocks that a request of `tokens` positions holds while it decodes one token at a time.

        Source: v1/core/single_type_kv_cache_manager.py (get_num_skipped_tokens, remove_skipped_blocks).
        """
        block = self.block_tokens
        held = ceil_div(tokens, block)
        if self.kind in ("full", "mla"):
            return ceil_div(ceil_div(tokens, flight.context_ranks), block)
        if self.kind == "mamba":
            return self.live_pages + (held if self.page_per_block else 0)
        if self.kind == "ring":
            return 1
        if self.kind == "cross":
            return ceil_div(encoder_tokens, block)
        window = self.window or 0
        if self.kind == "chunked":
            return min(held, ceil_div(window, block))
        return min(held, ceil_div(window - 1, block) + 1)
