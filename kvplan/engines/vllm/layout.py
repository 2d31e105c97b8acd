"""The layout of one rank: groups over a shared pool, priced by the block."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from kvplan.dtypes import Dtype
from kvplan.engines.base import CacheGroup, CacheLayout
from kvplan.engines.plain import group_of
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.grouping import Group, pool_bytes_per_block
from kvplan.engines.vllm.specs import Flight, LayerSpec
from kvplan.units import ceil_div, format_bytes


@dataclass(frozen=True, kw_only=True)
class VllmLayout(CacheLayout):
    """Every group draws its blocks from one pool: a request costs the sum of its groups' blocks, each at one price.

    blocks = available // bytes_per_block; concurrency = blocks / blocks of one request; the printed tokens are
    int(concurrency x max_model_len). Source: vLLM 0.33 v1/core/kv_cache_utils.py get_kv_cache_capacity; what older
    releases print and ask for at start-up stands in `changes`.

    Attributes:
        parts: the groups of this rank.
        flight: what requests reserve beside their positions.
        model_dtype: the format that states keep.
        version: whose accounts are kept.
        registered: the specs of this rank's layers before they were grouped.
        blocks_override: num_gpu_blocks_override, which stands in for the blocks that the memory would give.
        block_tokens: the engine's block size.
        host_bytes: this rank's part of --kv-offloading-size, which keeps what the GPU's cache lets go.

    """

    parts: tuple[Group, ...]
    flight: Flight
    model_dtype: Dtype
    version: Version
    registered: tuple[LayerSpec, ...] = ()
    blocks_override: int | None = None
    block_tokens: int | None = None
    host_bytes: int = 0

    @cached_property
    def groups(self) -> tuple[CacheGroup, ...]:  # type: ignore[override]  # worked out once, from `parts`
        """The report's view of the groups; layers of one spec as one."""
        counts = Counter(spec for part in self.parts for _, spec in part.members)
        return tuple(self._view(spec, count) for spec, count in counts.items())

    def _view(self, spec: LayerSpec, count: int) -> CacheGroup:
        view = group_of(spec.cache, count, dtype=spec.dtype, model_dtype=self.model_dtype)
        growth = ceil_div(spec.page_bytes, spec.block_tokens * self.flight.context_ranks) if spec.grows else 0
        return replace(
            view,
            window_tokens=None if spec.grows else view.window_tokens,
            bytes_per_token=count * growth,
            page_bytes=spec.page_bytes,
            block_tokens=None if spec.kind == "mamba" else spec.block_tokens,
        )

    @cached_property
    def bytes_per_block(self) -> int | None:  # type: ignore[override]  # worked out once, from `parts`
        """Bytes of one block: the pages of the largest group."""
        return pool_bytes_per_block(self.parts) or None

    @cached_property
    def _leaders(self) -> tuple[tuple[tuple[LayerSpec, ...], int], ...]:
        """The groups' deciding specs, with how many groups are alike."""
        return tuple(Counter(part.leaders for part in self.parts).items())

    @cached_property
    def _only(self) -> LayerSpec | None:
        """The one spec that decides, where there is one: most models."""
        leaders = self._leaders
        return leaders[0][0][0] if len(leaders) == 1 and len(leaders[0][0]) == 1 and leaders[0][1] == 1 else None

    def request_blocks(self, tokens: int) -> int:
        """Return the blocks that one request of `tokens` reserves."""
        flight = self.flight
        if self._only is not None:
            return self._only.blocks(tokens, flight)
        return sum(max(spec.blocks(tokens, flight) for spec in specs) * count for specs, count in self._leaders)

    def request_bytes(self, tokens: int, encoder_tokens: int) -> int:  # noqa: ARG002
        """Return blocks of one request x bytes per block."""
        return self.request_blocks(tokens) * (self.bytes_per_block or 0)

    def live_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return the blocks a request holds while it decodes x bytes per block."""
        flight = self.flight
        if self._only is not None:
            return self._only.live_blocks(tokens, encoder_tokens, flight) * (self.bytes_per_block or 0)
        blocks = sum(
            max(spec.live_blocks(tokens, encoder_tokens, flight) for spec in specs) * count
            for specs, count in self._leaders
        )
        return blocks * (self.bytes_per_block or 0)

    def blocks(self, cache_bytes: int) -> int | None:
        """Return the blocks of the pool: what the memory holds, or num_gpu_blocks_override."""
        if not self.bytes_per_block:
            return None
        return cache_bytes // self.bytes_per_block if self.blocks_override is None else self.blocks_override

    def concurrency(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> float:  # noqa: ARG002
        """Return whole blocks / blocks of one request. The null block is not taken off here (kv_cache_utils.py)."""
        blocks = self.blocks(max(cache_bytes, 0))
        return float("inf") if blocks is None else blocks / self._counted_blocks(tokens)

    def _counted_blocks(self, tokens: int) -> float:
        """Return what this version divides the pool's blocks by."""
        if self._counts_by_group:
            return self.request_blocks(tokens)
        if not applies("concurrency_by_need", self.version):
            return tokens / (self.block_tokens or 1)
        used = sum(max(spec.blocks(tokens, self.flight) for spec in p.leaders) * p.page_bytes for p in self.parts)
        return ceil_div(used, self.parts[0].page_bytes)

    @cached_property
    def _counts_by_group(self) -> bool:
        """Whether blocks are counted group by group; bytes divided by the first group's page come to the same but for V4."""
        if not applies("concurrency_by_need", self.version):
            return False
        return applies("blocks_counted_by_group", self.version) or not any(part.packed for part in self.parts)

    def printed_tokens(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> int | None:
        """Return "GPU KV cache size" as this version prints it; None where nothing bounds it."""
        if self._prints_by_concurrency:
            return super().printed_tokens(cache_bytes, tokens, encoder_tokens)
        blocks = self.blocks(max(cache_bytes, 0))
        if blocks is None:
            return None
        # A state's block is the whole length where it is not cached.
        smallest = min(
            spec.block_tokens if self._has_blocks(spec) else tokens for p in self.parts for spec in p.leaders
        )
        return blocks // len(self.parts) * smallest * self.flight.context_ranks

    @staticmethod
    def _has_blocks(spec: LayerSpec) -> bool:
        return spec.kind != "mamba" or spec.page_per_block or spec.state_pages > 1

    @cached_property
    def _prints_by_concurrency(self) -> bool:
        return applies("tokens_by_concurrency", self.version)

    # -- start-up ----------------------------------------------------------------------------------------------------

    def needed_bytes(self, tokens: int) -> int:
        """Return the memory that start-up asks for one request of `tokens`, as this version counts it.

        Source: v1/core/kv_cache_utils.py check_enough_kv_cache_memory, _max_memory_usage_bytes_from_groups.
        """
        if self._priced_by_pool:
            return self.request_blocks(tokens) * (self.bytes_per_block or 0)
        flight = self.flight
        if not applies("need_by_groups", self.version):
            return sum(spec.page_bytes * spec.blocks(tokens, flight) * count for spec, count in self._layers)
        first = self.parts[0]
        if len(self.parts) == 1 and len(first.leaders) > 1:
            return sum(spec.page_bytes * spec.blocks(tokens, flight) for _, spec in first.members)
        if any(part.packed for part in self.parts):
            sizes = Counter(spec.page_bytes for _, spec in first.members)
            rows = max(max(Counter(spec.page_bytes for _, spec in part.members).values()) for part in self.parts)
            return sum(sizes) * rows * self.request_blocks(tokens)
        counted = self.parts if applies("need_of_all_groups", self.version) else self.parts[:1]
        blocks = sum(max(spec.blocks(tokens, flight) for spec in part.leaders) for part in counted)
        return blocks * (self.bytes_per_block or 0)

    @cached_property
    def _priced_by_pool(self) -> bool:
        """Whether the need is the request's blocks x the pool's price: by rule, or because one group leaves no other way."""
        plain = len(self.parts) == 1 and len(self.parts[0].leaders) == 1 and len(set(self.registered)) <= 1
        return plain or applies("need_priced_by_pool", self.version)

    @cached_property
    def _layers(self) -> tuple[tuple[LayerSpec, int], ...]:
        return tuple(Counter(self.registered).items())

    def checked_bytes(self, cache_bytes: int) -> int:
        """Return the memory that start-up compares the need of one request with."""
        price = self.bytes_per_block or 0
        if self.blocks_override is not None and applies("override_decides", self.version):
            cache_bytes = self.blocks_override * price
        return cache_bytes - (price if self._null_block else 0)

    @cached_property
    def _null_block(self) -> bool:
        return applies("null_block", self.version)

    def admits(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> bool:  # noqa: ARG002
        """Whether start-up accepts the length, and the pool then holds one request of it."""
        if not self.bytes_per_block:
            return True
        if self.blocks_override is not None and self.blocks_override * self.bytes_per_block > cache_bytes:
            return False  # the check passes (kv_cache_planning.py), the allocation does not
        if self.needed_bytes(tokens) > self.checked_bytes(cache_bytes):
            return False
        # Releases that count the first group only, or each layer for itself, start with pools that hold no such request.
        return self._priced_by_pool or self._counted_blocks(tokens) <= (self.blocks(cache_bytes) or 0)

    def estimated_length(self, cache_bytes: int, tokens: int) -> int:
        """Return the "estimated maximum model length" of vLLM's refusal of `tokens`; 0 where it names none.

        Source: v1/core/kv_cache_utils.py estimate_max_model_len, _estimate_max_model_len_from_groups (bisection).
        """
        memory = self.checked_bytes(cache_bytes)
        low, high = 0, tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self.needed_bytes(middle) <= memory:
                low = middle
            else:
                high = middle - 1
        return low

    def refusal(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> str | None:  # noqa: ARG002
        """Return what vLLM says when it refuses to start for this length; None where it starts."""
        if not self.bytes_per_block:
            return None
        memory, needed = self.checked_bytes(cache_bytes), self.needed_bytes(tokens)
        if needed <= memory:
            return None
        if cache_bytes <= 0:
            return "vLLM refuses to start: no available memory for the cache blocks."
        longest = self.estimated_length(cache_bytes, tokens)
        estimate = f"; the estimated maximum model length is {longest:,}" if longest else ""
        return (
            f"vLLM refuses to start: to serve one request of {tokens:,} tokens {format_bytes(needed)} of cache are needed, "
            f"{format_bytes(max(memory, 0))} are available{estimate}."
        )
