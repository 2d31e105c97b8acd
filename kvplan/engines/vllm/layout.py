"""The layout of one rank: groups over a shared pool, priced by the block."""

from dataclasses import dataclass, replace
from functools import cached_property

from kvplan.dtypes import Dtype
from kvplan.engines.base import CacheGroup, CacheLayout
from kvplan.engines.plain import group_of
from kvplan.engines.vllm.grouping import Group, pool_bytes_per_block
from kvplan.engines.vllm.specs import Flight, LayerSpec
from kvplan.units import ceil_div


@dataclass(frozen=True, kw_only=True)
class VllmLayout(CacheLayout):
    """Every group draws its blocks from one pool: a request costs the sum of its groups' blocks, each at one price.

    blocks = available // bytes_per_block; concurrency = blocks / blocks of one request; the printed tokens are
    int(concurrency x max_model_len). Source: vLLM 0.33 v1/core/kv_cache_utils.py get_kv_cache_capacity.

    Attributes:
        parts: the groups of this rank.
        flight: what requests reserve beside their positions.
        model_dtype: the format that states keep.
        blocks_override: num_gpu_blocks_override, which stands in for the blocks that the memory would give.
        block_tokens: the engine's block size.

    """

    parts: tuple[Group, ...]
    flight: Flight
    model_dtype: Dtype
    blocks_override: int | None = None
    block_tokens: int | None = None

    @cached_property
    def groups(self) -> tuple[CacheGroup, ...]:  # type: ignore[override]  # worked out once, from `parts`
        """The report's view of the groups; layers of one spec as one."""
        counts: dict[LayerSpec, int] = {}
        for part in self.parts:
            for _, spec in part.members:
                counts[spec] = counts.get(spec, 0) + 1
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
        counts: dict[tuple[LayerSpec, ...], int] = {}
        for part in self.parts:
            counts[part.leaders] = counts.get(part.leaders, 0) + 1
        return tuple(counts.items())

    def request_blocks(self, tokens: int) -> int:
        """Return the blocks that one request of `tokens` reserves."""
        flight = self.flight
        return sum(max(spec.blocks(tokens, flight) for spec in specs) * count for specs, count in self._leaders)

    def request_bytes(self, tokens: int, encoder_tokens: int) -> int:  # noqa: ARG002
        """Return blocks of one request x bytes per block."""
        return self.request_blocks(tokens) * (self.bytes_per_block or 0)

    def live_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return the blocks a request holds while it decodes x bytes per block."""
        flight = self.flight
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
        return float("inf") if blocks is None else blocks / self.request_blocks(tokens)

    def admits(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> bool:
        """Whether start-up accepts the length: the request fits beside the null block (kv_cache_planning.py)."""
        if not self.bytes_per_block:
            return True
        if self.blocks_override is not None:
            pool = self.blocks_override * self.bytes_per_block
            if pool > cache_bytes:
                return False  # the check passes (kv_cache_planning.py), the allocation does not
            cache_bytes = pool
        return self.request_bytes(tokens, encoder_tokens) <= cache_bytes - self.bytes_per_block
