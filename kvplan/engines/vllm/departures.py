"""Where the layers that vLLM registers are not what the model's semantics say.

Each rule names vLLM 0.33's file. Families describe the model; what an engine makes of it stands here.
"""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.caches import MLA, FullAttention, LayerCache, SlidingWindow
from kvplan.errors import UnsupportedArchitectureError
from kvplan.models.spec import Layer, ModelSpec

# Latent attention is served as such for these types only; others run with expanded heads, values padded to the keys'
# width. transformers_utils/model_arch_config_convertor.py is_deepseek_mla; models/minicpm3.py.
_EXPANDED = ("minicpm3",)

# commandr.py (Cohere 2) passes the window itself, attention.py counts it with the token: one more than the file says.
_WINDOW_PLUS_ONE = ("cohere2", "cohere2_vision")

# falcon.py hands no cache configuration to its attention: the cache keeps the model's format, whatever --kv-cache-dtype.
_NEVER_QUANTISED = ("falcon",)

# Model types whose attention has sinks, which some kernels do not serve (models/gpt_oss.py, mimo_v2_flash.py).
SINKS = ("gpt_oss", "mimo_v2_flash", "mimo_v2")

# Families whose layers vLLM pages by rules of their own that are not built: nothing is guessed.
_NOT_ESTABLISHED = {
    "deepseek_v41": "models/deepseek_v41: entries shared between layers, windows that are replayed",
    "inkling": "models/inkling/nvidia/sconv_swa_attn.py: convolution states paged as windows",
    "inkling_text": "models/inkling/nvidia/sconv_swa_attn.py: convolution states paged as windows",
    "qwen4_exp": "models/qwen4_exp: several state layouts and summary caches",
    "qwen4_exp_text": "models/qwen4_exp: several state layouts and summary caches",
    "step5": "models/step5: summary caches and rings",
}


def ignores_kv_dtype(model: ModelSpec) -> bool:
    """Whether vLLM's model code does not pass the cache's format on."""
    return model.model_type in _NEVER_QUANTISED


def check_established(model: ModelSpec) -> None:
    """Refuse a family that vLLM pages by rules that are not built.

    Raises:
        UnsupportedArchitectureError: with vLLM's file.

    """
    where = _NOT_ESTABLISHED.get(model.model_type)
    if where is not None:
        raise UnsupportedArchitectureError(
            f"How vLLM pages {model.model_type} is not built yet ({where}).", hint="Plan with --engine textbook."
        )


def registered(model: ModelSpec, layer: Layer) -> Iterator[LayerCache]:
    """Return the caches that vLLM registers for a layer, whole (not split over ranks)."""
    for cache in layer.caches:
        yield _registered(model, cache)


def _registered(model: ModelSpec, cache: LayerCache) -> LayerCache:
    if isinstance(cache, MLA) and model.model_type in _EXPANDED:
        return FullAttention(
            heads=cache.heads,
            key_dim=cache.expanded_key_dim,
            value_dim=cache.expanded_key_dim,
            query_heads=cache.heads,
        )
    if isinstance(cache, SlidingWindow) and model.model_type in _WINDOW_PLUS_ONE:
        return replace(cache, window=cache.window + 1)
    return cache
