"""Where transformers caches something else than the model's own semantics. Each rule names the code that does it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from kvplan.caches import FullAttention, LayerCache, SlidingWindow
from kvplan.models.spec import Layer, ModelSpec


def as_cached(model: ModelSpec, layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """Return the layers with the caches that transformers' implementation of the model keeps."""
    departure = _DEPARTURES.get(model.model_type)
    if departure is None:
        yield from layers
        return
    for layer in layers:
        yield replace(layer, caches=tuple(departure(cache, model) for cache in layer.caches))


def _falcon(cache: LayerCache, model: ModelSpec) -> LayerCache:
    """Keys and values are broadcast to all query heads before they are cached (modeling_falcon.py _split_heads)."""
    if isinstance(cache, FullAttention) and model.config.get("new_decoder_architecture"):
        return replace(cache, heads=cache.query_heads)
    return cache


def _gpt_neo(cache: LayerCache, model: ModelSpec) -> LayerCache:  # noqa: ARG001
    """Local layers keep every position: the cache sees no window in the configuration (modeling_gpt_neo.py)."""
    if isinstance(cache, SlidingWindow):
        return FullAttention(
            heads=cache.heads, key_dim=cache.key_dim, value_dim=cache.value_dim, query_heads=cache.query_heads
        )
    return cache


_DEPARTURES: dict[str, Callable[[LayerCache, ModelSpec], LayerCache]] = {
    "falcon": _falcon,
    "gpt_neo": _gpt_neo,
}
