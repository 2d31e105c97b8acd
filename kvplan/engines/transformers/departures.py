"""Where transformers 5.18 caches something else than the model's own semantics. Each rule names the code that does it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from kvplan.caches import CompressorState, FullAttention, LayerCache, SlidingWindow, SparseIndex
from kvplan.models.spec import Layer, ModelSpec

Caches = tuple[LayerCache, ...]


def as_cached(model: ModelSpec, layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """Return the layers with the caches that transformers' implementation of the model keeps."""
    departure = _DEPARTURES.get(model.model_type)
    for layer in layers:
        yield layer if departure is None else replace(layer, caches=departure(layer.caches, model))


def _all_heads(caches: Caches, model: ModelSpec) -> Caches:
    """Keep all query heads: keys and values are broadcast before they are cached (modeling_falcon.py _split_heads)."""
    if not model.config.get("new_decoder_architecture"):
        return caches
    return tuple(replace(c, heads=c.query_heads) if isinstance(c, FullAttention) else c for c in caches)


def _no_window(caches: Caches, model: ModelSpec) -> Caches:  # noqa: ARG001
    """Keep every position: the window is only in the mask (modeling_gpt_neo.py, modeling_minimax.py)."""
    return tuple(_as_full(c) if isinstance(c, SlidingWindow) else c for c in caches)


def _as_full(cache: SlidingWindow) -> FullAttention:
    return FullAttention(
        heads=cache.heads, key_dim=cache.key_dim, value_dim=cache.value_dim, query_heads=cache.query_heads
    )


def _own_values(caches: Caches, model: ModelSpec) -> Caches:  # noqa: ARG001
    """Keep values beside the equal keys in layers that compress nothing (modeling_deepseek_v4.py, DynamicSlidingWindowLayer)."""
    if len(caches) > 1:
        return caches
    return tuple(replace(c, value_dim=c.key_dim) if isinstance(c, SlidingWindow) else c for c in caches)


def _unpooled_index(caches: Caches, model: ModelSpec) -> Caches:  # noqa: ARG001
    """Keep an index row of two keys and a score for every token, unpooled (modeling_glm5_next.py Indexer)."""
    kept = (c for c in caches if not isinstance(c, CompressorState))
    return tuple(replace(c, dim=2 * c.dim + 1, ratio=1) if isinstance(c, SparseIndex) else c for c in kept)


def _nothing(caches: Caches, model: ModelSpec) -> Caches:  # noqa: ARG001
    """Keep nothing: the implementation has no cache at all (modeling_openai.py)."""
    return ()


_DEPARTURES: dict[str, Callable[[Caches, ModelSpec], Caches]] = {
    "falcon": _all_heads,
    "gpt_neo": _no_window,
    "minimax": _no_window,
    "deepseek_v4": _own_values,
    "glm5_next": _unpooled_index,
    "glm5_next_text": _unpooled_index,
    "openai-gpt": _nothing,
}
