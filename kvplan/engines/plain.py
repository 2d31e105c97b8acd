"""Layouts without an allocator of their own: each layer's cache beside the others, grouped by what is alike.

Shared by the engines that size a request by adding up its layers (`textbook`, `transformers`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kvplan.caches import LayerCache
from kvplan.dtypes import Dtype
from kvplan.engines.base import CacheGroup, CacheLayout
from kvplan.models.spec import Layer


def rank_caches(layers: Iterable[Layer], tensor: int) -> dict[LayerCache, int]:
    """Return the distinct caches of one tensor-parallel rank with the number of layers that keep one."""
    whole: dict[LayerCache, int] = {}
    for layer in layers:
        for cache in layer.caches:
            whole[cache] = whole.get(cache, 0) + 1
    counts: dict[LayerCache, int] = {}
    for cache, count in whole.items():
        part = cache.shard(tensor)
        counts[part] = counts.get(part, 0) + count
    return counts


@dataclass(frozen=True, kw_only=True)
class SummedLayout(CacheLayout):
    """What a request takes is the sum over its layers of `sizes[i](tokens)`.

    Attributes:
        groups: the distinct caches.
        sizes: bytes of all layers of each group for a request of that many tokens (encoder tokens for cross-attention).
        live: the same without what is reserved or rounded; None: nothing is.
        peaks: the most held on the way to that many tokens, where a cache may fall; None: `sizes` never fall.
        over_encoder: whether the group's length is the encoder's.
        block_tokens, bytes_per_block, host_bytes: as in `CacheLayout`.

    """

    groups: tuple[CacheGroup, ...]
    sizes: tuple[Callable[[int], int], ...]
    over_encoder: tuple[bool, ...]
    live: tuple[Callable[[int], int], ...]
    peaks: tuple[Callable[[int], int], ...] | None = None
    block_tokens: int | None = None
    bytes_per_block: int | None = None
    host_bytes: int = 0

    def request_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return the sum over the groups."""
        return _sum(self.sizes, self.over_encoder, tokens, encoder_tokens)

    def admits(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> bool:
        """Whether the fullest moment of one request fits."""
        return self._fullest(tokens, encoder_tokens) <= cache_bytes

    def concurrency(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> float:
        """Return how many requests fit, each at its fullest moment."""
        fullest = self._fullest(tokens, encoder_tokens)
        return max(cache_bytes, 0) / fullest if fullest else float("inf")

    def _fullest(self, tokens: int, encoder_tokens: int) -> int:
        return _sum(self.peaks or self.sizes, self.over_encoder, tokens, encoder_tokens)

    def live_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return the sum over the groups of what is really held."""
        return _sum(self.live, self.over_encoder, tokens, encoder_tokens)


def _sum(
    sizes: tuple[Callable[[int], int], ...], over_encoder: tuple[bool, ...], tokens: int, encoder_tokens: int
) -> int:
    return sum(size(encoder_tokens if other else tokens) for size, other in zip(sizes, over_encoder, strict=True))


def group_of(
    cache: LayerCache, layers: int, *, dtype: Dtype, model_dtype: Dtype, page_tokens: int | None = None
) -> CacheGroup:
    """Return the report's view of `layers` layers that keep `cache`."""
    state = cache.kind == "recurrent_state"
    fixed = cache.fixed_bytes(model_dtype)
    return CacheGroup(
        kind=cache.kind,
        layers=layers,
        kv_heads=cache.kv_heads,
        head_dim=cache.head_dim,
        dtype=model_dtype.name if state else dtype.name,
        window_tokens=cache.window_tokens if not state else None,
        bytes_per_token=layers * cache.growth_bytes(dtype),
        fixed_bytes=layers * fixed,
        page_bytes=fixed if state else cache.page_bytes(page_tokens or 1, dtype),
        block_tokens=None if state else page_tokens,
        formula=cache.formula(dtype, model_dtype),
    )
