"""The multimodal half of the profile run: the largest pictures or videos that the encoder's budget holds, at once.

The budget is max(max_num_batched_tokens, tokens of the largest item); its items' pixels and the encoder's outputs stay
until the language model has run, the encoder's own peak does not. With P patches, C numbers of a patch, V the tower's width
and M that of its MLP on this rank: pixels P x C, a gated block 3 M + 4 V for each patch, else 2 M + 4 V.
Source: v1/core/encoder_cache_manager.py compute_mm_encoder_budget; v1/worker/gpu_model_runner.py profile_run; each model's
get_mm_max_tokens_per_item.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.ranks import Ranks, shard

_NUMBER = 2
_PIXEL_CHANNELS = 3
# Residual, norm and rotary tables of a block: 3.2 to 3.5 tower widths by three logs of Qwen 3.5 models (0.17, 0.29).
_RESIDUALS = 3.33


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """The largest item of a model: tokens for the language model, patches for the tower, what it is."""

    tokens: int
    patches: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What the encoder's run takes.

    Attributes:
        held: pixels and outputs, which stay.
        peak: what the tower takes beside them.
        formula: how they come about.

    """

    held: int
    peak: int
    formula: str


NOTHING = Encoding(held=0, peak=0, formula="no encoder")


def encoding(model: ModelSpec, ranks: Ranks, *, tokens: int, context: int, most: int | None = None) -> Encoding:
    """Return the encoder's run for a batch of tokens; nothing for a model without a tower, or one that is left out.

    Args:
        model: with its tower.
        ranks: how the tower is spread, or that it is left out.
        tokens: of a batch.
        context: max_model_len.
        most: items that all requests of a batch may have; None: not bounded.

    """
    vision = [shard(part, ranks) for part in model.outer if part.component == "vision"]
    item = _largest(model, context)
    if not vision or item is None or "vision" in ranks.left_out:
        return NOTHING
    budget = max(tokens, item.tokens)
    count = max(budget // item.tokens, 1) if most is None else min(max(budget // item.tokens, 1), most)
    if not count:
        return NOTHING
    patches, outputs = count * item.patches, count * item.tokens
    width = _tower_width(model)
    mlp = [part for part in vision if part.kind == "linear" and not part.name.startswith(("merger", "deepstack"))]
    first = sum(part.shape[0] for part in mlp if part.name.endswith(("gate_proj", "up_proj", "fc1")))
    down = next((part.shape[1] for part in mlp if part.name.endswith(("down_proj", "fc2"))), first)
    pixels = patches * _patch_numbers(model) * _NUMBER
    held = pixels + outputs * model.hidden_size * (1 + _deepstack(model)) * _NUMBER
    peak = int(patches * (first + down + _RESIDUALS * width) * _NUMBER)
    formula = f"{count} {item.what} of {item.tokens:,} tokens, {patches:,} patches"
    return Encoding(held=held, peak=peak, formula=formula)


# The largest item of a family, by its configuration and max_model_len.
Rule = Callable[[Mapping[str, Any], int], Item]
# Qwen's largest picture, and the pairs of frames that a video has at most (models/qwen2_vl.py _MAX_FRAMES_PER_VIDEO).
_TOKENS, _PAIRS = 16_384, 7

# -- the largest item, by family -------------------------------------------------------------------------------------------


def _qwen_pictures(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """16,384 tokens: 12,845,056 pixels of 28 x 28, or 16,777,216 of 32 x 32 for a token (image processors' longest_edge)."""
    return Item(tokens=_TOKENS, patches=_TOKENS * _merge(config) ** 2, what="picture")


def _qwen_videos(config: Mapping[str, Any], context: int) -> Item:
    """Frames of the largest size in pairs, as many as the context holds, at most 14 (models/qwen2_vl.py)."""
    pairs = max(1, min(context // _TOKENS, _PAIRS))
    if pairs == 1:
        return _qwen_pictures(config, context)
    return Item(
        tokens=16_384 * pairs, patches=16_384 * pairs * _merge(config) ** 2, what=f"video of {2 * pairs} frames"
    )


def _square(side: int, patch: int, tokens: int, what: str = "picture") -> Rule:
    return lambda _config, _context: Item(tokens=tokens, patches=(side // patch) ** 2, what=what)


def _gemma4(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """32 frames x (70 soft tokens + 8), 9 patches each (models/gemma4_mm.py get_mm_max_tokens_per_item)."""
    return Item(tokens=32 * 78, patches=32 * 70 * 9, what="video of 32 frames")


def _pixtral(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """One picture of the tower's largest size, a token for each merged patch and one for each row."""
    vision = config.get("vision_config") or {}
    side = _number(vision, "image_size", 1540) // (_number(vision, "patch_size", 14))
    merge = _number(config, "spatial_merge_size", 2)
    rows = ceil_div(side, merge)
    return Item(tokens=rows * (rows + 1), patches=side**2, what="picture")


def _llama4(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """16 tiles and the whole picture, each 576 patches that 4 make a token."""
    return Item(tokens=17 * 145, patches=17 * 577, what="picture of 17 tiles")


def _internvl(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """12 tiles and a thumbnail of 448 pixels, 256 tokens each."""
    tiles = _number(config, "max_dynamic_patch", 12) + 1
    return Item(tokens=tiles * 256, patches=tiles * 1024, what=f"picture of {tiles} tiles")


_LARGEST: dict[str, Rule] = {
    "qwen2_vl": _qwen_videos,
    "qwen2_5_vl": _qwen_videos,
    "qwen3_vl": _qwen_pictures,
    "qwen3_5": _qwen_pictures,
    "gemma3": _square(896, 14, 256),
    "gemma4": _gemma4,
    "mistral3": _pixtral,
    "pixtral": _pixtral,
    "llama4": _llama4,
    "internvl": _internvl,
}


def longest_video(model: ModelSpec) -> int:
    """Return the max_model_len from which on a video grows no more; 0 for models whose items do not grow with it."""
    return _TOKENS * _PAIRS if _rule(model) is _qwen_videos else 0


def _rule(model: ModelSpec) -> Rule | None:
    known = max((key for key in _LARGEST if model.model_type.startswith(key)), key=len, default=None)
    return None if known is None else _LARGEST[known]


def _largest(model: ModelSpec, context: int) -> Item | None:
    rule = _rule(model)
    if rule is not None:
        return rule(model.config, context)
    if not any(part.component == "vision" for part in model.outer):
        return None
    # A family that no rule covers: four patches make a token, as in most.
    return Item(tokens=4096, patches=4 * 4096, what="picture, as most families have them,")


def _merge(config: Mapping[str, Any]) -> int:
    return _number(config.get("vision_config") or {}, "spatial_merge_size", 2)


def _tower_width(model: ModelSpec) -> int:
    vision = model.config.get("vision_config")
    for part in model.outer:
        if part.component == "vision" and part.name.startswith("patch_embedding"):
            return part.shape[0]
    return _number(vision if isinstance(vision, Mapping) else {}, "hidden_size", 1152)


def _patch_numbers(model: ModelSpec) -> int:
    vision = model.config.get("vision_config")
    vision = vision if isinstance(vision, Mapping) else {}
    side = _number(vision, "patch_size", 14)
    return _PIXEL_CHANNELS * side**2 * _number(vision, "temporal_patch_size", 1)


def _deepstack(model: ModelSpec) -> int:
    """Layers of the tower whose outputs are added to the language model's first layers."""
    vision = model.config.get("vision_config")
    indexes = vision.get("deepstack_visual_indexes") if isinstance(vision, Mapping) else None
    return len(indexes) if isinstance(indexes, list) else 0


def _number(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key) if isinstance(config, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
