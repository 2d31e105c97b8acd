"""The largest picture, video or recording of each family, as vLLM's profile run makes it up.

Sizes come from the model's configuration wherever vLLM takes them from there. What it takes from an image processor's
file, which kvplan does not read, is a constant here: that file's published value, or the processor class's default.
With S pixels of a side, P of a patch's side and m patches merged on a side, a picture has (S / P)^2 patches, and a
token for m x m of them. Where releases differ by more than a fifth a rule says so, and is the last one's.
Source: vLLM 0.33 model_executor/models/ and models/: get_mm_max_tokens_per_item, get_image_size_with_most_features, and
get_dummy_mm_data where the first returns nothing.
"""

from collections.abc import Callable, Mapping
from math import isqrt, sqrt
from typing import Any, NamedTuple

from kvplan.errors import ConfigError
from kvplan.models.config import Config, show
from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.parts import Component

# A max_model_len beyond all: items that grow with it as far as it goes.
_ENDLESS = 1 << 40


class Item(NamedTuple):
    """The largest item of a model.

    Attributes:
        tokens: what it takes of the encoder's budget.
        patches: what the tower sees of it; positions of a recording.
        what: it is: a picture, a video or a recording.
        outputs: rows for the language model, where they are not its tokens.
        tower: that sees it.
        numbers: of a patch, where they are not the patch embedding's.
        alive: numbers of a patch at the tower's peak, where it is no transformer.
        saved: hidden states of a patch that the tower keeps beside a block's.
        one_by_one: patches in the tower at once where items pass one after the other; 0: all items' together.
        each: whether each sequence of a V0 batch has one, whatever the budget (worker/enc_dec_model_runner.py).

    """

    tokens: int
    patches: int
    what: str
    outputs: int = 0
    tower: Component = "vision"
    numbers: int = 0
    alive: int = 0
    saved: int = 0
    one_by_one: int = 0
    each: bool = False


# The largest item of a family, by its configuration and max_model_len.
Rule = Callable[[Mapping[str, Any], int], Item]


def largest(model: ModelSpec, context: int) -> Item | None:
    """Return the largest item; None for a model without towers.

    Args:
        model: to look at.
        context: max_model_len.

    Raises:
        ConfigError: a size that decides it is broken; names the key.

    """
    rule = _RULES.get(model.model_type)
    if rule is not None:
        item = rule(model.config, context)
        if item.tokens < 1:
            raise _no_token(item.what)
        return item
    towers = {part.component for part in model.outer}
    if "vision" in towers:
        # A family that no rule covers: four patches make a token, as in most.
        return Item(tokens=4096, patches=4 * 4096, what="picture, as most families have them,")
    return _recording(model.config, context) if "audio" in towers else None


def has_rule(model_type: str) -> bool:
    """Return whether a family's largest item is known and not guessed."""
    return model_type in _RULES


def are_bounded(item: Item, model: ModelSpec, pictures: int) -> bool:
    """Return whether a limit of pictures bounds the items: not videos, which stand in where no picture is let in."""
    return item.what.startswith("picture") and (pictures > 0 or model.model_type in _PICTURES_ONLY)


def longest_video(model: ModelSpec) -> int:
    """Return the max_model_len from which on the largest item grows no more; 0 where it does not grow with it."""
    return _GROWS_TO.get(model.model_type, 0)


# -- Qwen --------------------------------------------------------------------------------------------------------------

# Tokens of the largest picture: 12,845,056 pixels of 28 x 28, or 16,777,216 of 32 x 32 for a token (longest_edge of the
# image processors); Qwen 3 Omni has the former pixels and the latter patches. Frames of a video come in pairs.
_QWEN, _QWEN3_OMNI, _QWEN_PAIRS = 16_384, 12_544, 7


def _qwen_pictures(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """16,384 tokens (models/qwen3_vl.py)."""
    return Item(tokens=_QWEN, patches=_QWEN * _merge(config) ** 2, what="picture")


def _qwen_videos(picture: int) -> Rule:
    """Frames of the largest size in pairs, as many as the context holds, at most 14 (models/qwen2_vl.py).

    The Omni models' sound is smaller: 750 tokens (models/qwen2_5_omni_thinker.py, models/qwen3_omni_moe_thinker.py).
    """

    def rule(config: Mapping[str, Any], context: int) -> Item:
        pairs = max(1, min(context // picture, _QWEN_PAIRS))
        what = "picture" if pairs == 1 else f"video of {2 * pairs} frames"
        return Item(tokens=picture * pairs, patches=picture * pairs * _merge(config) ** 2, what=what)

    return rule


# -- pictures of one size ----------------------------------------------------------------------------------------------


def _gemma3(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """One picture of the tower's only size; pan and scan is off (models/gemma3_mm.py)."""
    tokens = _number(config, "mm_tokens_per_image", 256)
    return Item(tokens=tokens, patches=_grid(config, image=896) ** 2, what="picture")


def _pixtral(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """One picture of the tower's largest size, a token for each merged patch and each row (models/mistral3.py)."""
    side = _grid(config, image=1540)
    rows = ceil_div(side, _number(config, "spatial_merge_size", 2))
    return Item(tokens=rows * (rows + 1), patches=side**2, what="picture")


def _llava(config: Mapping[str, Any], context: int) -> Item:
    """CLIP's only size, of which the class position is dropped, or Pixtral's largest, unmerged (models/llava.py)."""
    if _vision(config).get("model_type") == "pixtral":
        return _pixtral({**config, "spatial_merge_size": 1}, context)
    patches = _grid(config, image=336) ** 2
    return Item(tokens=patches, patches=patches + 1, what="picture")


def _paddle(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """2,822,400 pixels (published max_pixels), 28 x 28 for a token: 60 x 60 (models/paddleocr_vl.py)."""
    tokens = isqrt(2_822_400 // (14 * _merge(config)) ** 2) ** 2
    return Item(tokens=tokens, patches=tokens * _merge(config) ** 2, what="picture")


def _lfm2(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """One tile: a picture of max_image_tokens is not cut (models/lfm2_vl.py get_image_size_with_most_features)."""
    tokens, merge = _number(config, "max_image_tokens", 256), _number(config, "downsample_factor", 2)
    tile = (_number(config, "tile_size", 512) // _number(config, "encoder_patch_size", 16)) ** 2
    return Item(tokens=tokens, patches=max(tokens * merge**2, tile), what="picture")


def _gemma3n(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """768 x 768 pixels, 256 tokens; sound has 188 (models/gemma3n_mm.py).

    MobileNet V5 peaks where a block widens 128 to 768 channels at a quarter of the picture's sides (timm
    mobilenetv5.py): the wide map and its activation beside the narrow one.
    """
    return Item(tokens=256, patches=192**2, numbers=3 * 4**2, alive=2 * 768 + 128, what="picture")


def _kimi(width: int, height: int, limit: int) -> Rule:
    """Patches of 14 pixels, at most so many before both sides are padded to merged ones.

    Kimi-VL: 1,024 x 1,024 pixels and 4,096 patches (models/kimi_vl.py; published in_token_limit). Kimi K2.5: 3,000 x
    3,000 and 16,384; its chunk of 4 frames of 4,096 has fewer tokens (models/kimi_k25.py get_dummy_mm_items). Kimi K3:
    the size that a search over all finds for 65,536 (models/kimi_k3/common/mm_preprocess.py get_max_image_size).
    """

    def rule(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
        scale = min(1.0, sqrt(limit / ((width // 14) * (height // 14))))
        tokens = ceil_div(int(width * scale), 28) * ceil_div(int(height * scale), 28)
        return Item(tokens=tokens, patches=4 * tokens, what="picture")

    return rule


# -- pictures cut into tiles -------------------------------------------------------------------------------------------


def _llama4(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """16 tiles and the whole picture, each 576 patches that 4 make a token (models/mllama4.py)."""
    return Item(tokens=17 * 145, patches=17 * 577, what="picture of 17 tiles")


# Language models with a token for videos (models/internvl.py ctx_video_token).
_SEES_FILMS = ("qwen2", "qwen3", "qwen3_moe", "gpt_oss")


def _internvl(config: Mapping[str, Any], context: int) -> Item:
    """12 tiles and a thumbnail, or a video of as many frames as the context holds after such a picture.

    The budget leaves room for the picture, the run does not. Source: models/internvl.py, models/interns1.py
    get_num_frames_with_most_features. Only pictures up to 0.9.0.
    """
    tiles = _number(config, "max_dynamic_patch", 12) + 1
    patches = _grid(config, image=448) ** 2
    tokens = patches // 4
    if not tokens:
        raise _no_token("picture")
    text = _part(config, "llm_config").get("model_type")
    films = config.get("model_type") != "internvl_chat" or text in _SEES_FILMS
    counted, frames = context // tokens - tiles, context // tokens
    if films and counted >= tiles:
        what = f"video of {frames} frames"
        return Item(tokens=counted * tokens, outputs=frames * tokens, patches=frames * (patches + 1), what=what)
    return Item(tokens=tiles * tokens, patches=tiles * (patches + 1), what=f"picture of {tiles} tiles")


def _tiles(tiles: int, image: int) -> Rule:
    """Return the rule of so many tiles with the whole picture, of the 12 that max_patches (a default) allows.

    Cohere's picture is 12 tiles high and one wide (models/cohere2_vision.py), Aya's a square of 3 x 3
    (models/aya_vision.py).
    """

    def rule(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
        side = _grid(config, image=image)
        tokens = (side // _number(config, "downsample_factor", 2)) ** 2
        return Item(tokens=tiles * tokens, patches=tiles * side**2, what=f"picture of {tiles} tiles")

    return rule


def _idefics3(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """4 x 4 tiles and the whole picture: it is enlarged to four tiles' side (default size; models/idefics3.py)."""
    side = _grid(config, image=364)
    tokens = side**2 // _number(config, "scale_factor", 2) ** 2
    return Item(tokens=17 * tokens, patches=17 * side**2, what="picture of 17 tiles")


def _llava_next(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """Return the best of image_grid_pinpoints: its tiles' positions, a line end each row, and the small picture.

    Source: models/llava_next.py get_image_size_with_most_features.
    """
    side = _grid(config, image=336)
    pixels = _number(_vision(config), "image_size", 336)
    grids = [(h // pixels, w // pixels) for h, w in _sizes(config, "image_grid_pinpoints", (672, 672))]
    tokens, tiles = max(((h * side) * (w * side + 1) + side**2, h * w + 1) for h, w in grids)
    return Item(tokens=tokens, patches=tiles * (side**2 + 1), what=f"picture of {tiles} tiles")


def _phi3(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """8,000 x 50 pixels: num_crops tiles (4 in Phi 3.5's file) one on the other, and the whole (models/phi3v.py)."""
    crops = 4
    tokens = (crops + 1) * 144 + 1 + (crops + 1) * 12
    return Item(tokens=tokens, patches=(crops + 1) * 577, what=f"picture of {crops + 1} tiles")


def _mllama(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """Return a picture of max_num_tiles; patches are padded to eights, and some layers' states kept.

    The newest of these is the block's own residual: so a log of 128 sequences of Llama 3.2 11B Vision, which printed
    36.63 GiB, is met within 2 %. Source: models/mllama.py to 0.10.1.
    """
    vision = _vision(config)
    tiles, patches = _number(vision, "max_num_tiles", 4), _grid(config, image=560) ** 2 + 1
    kept = vision.get("intermediate_layers_indices")
    return Item(
        tokens=tiles * patches,
        patches=tiles * 8 * ceil_div(patches, 8),
        saved=len(kept) - 1 if isinstance(kept, list) and kept else 4,
        each=True,
        what=f"picture of {tiles} tiles",
    )


def _step3(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """3,024 x 3,024 pixels: 36 windows of 504 and the whole at 728, of 81 and 169 tokens.

    Source: models/step3_vl.py, transformers_utils/processors/step3_vl.py. The budget also counts two marks of each and
    five line breaks.
    """
    windows = 36 if Config(_vision(config)).flag("enable_patch", default=True) else 0
    marks = 2 * windows + 2 + (5 if windows else 0)
    outputs, patches = windows * 81 + 169, windows * 36**2 + 52**2
    what = f"picture of {windows + 1} tiles"
    return Item(tokens=outputs + marks, outputs=outputs, patches=patches, what=what)


def _deepseek(tiles: int, columns: int) -> Rule:
    """Tiles of 640 and the whole at 1,024 pixels, patches of 16 merged by 4 x 4, one token for each row.

    Unlimited-OCR: 32 tiles one on the other (models/unlimited_ocr.py). DeepSeek-OCR: 2 x 2 (models/deepseek_ocr.py),
    also in the name of DeepSeek-VL2. Pictures pass one by one, tiles together. Up to 0.29 SAM's attention also holds a
    bias of heads x 1,600 x 1,600 numbers for each tile.
    """

    def rule(config: Mapping[str, Any], context: int) -> Item:
        names = config.get("architectures") or ()
        if config.get("model_type") == "deepseek_vl_v2" and "DeepseekOCRForCausalLM" not in names:
            return _deepseek_vl2(config, context)
        rows = tiles // columns
        tokens = 16 * 17 + 10 * rows * (10 * columns + 1) + 1
        patches, local = 64**2 + tiles * 40**2, tiles * 40**2
        return Item(tokens=tokens, patches=patches, one_by_one=local, what=f"picture of {tiles + 1} tiles")

    return rule


def _deepseek_vl2(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """Return the best of candidate_resolutions: tiles of 384, 14 x 14 tokens, one a row (models/deepseek_vl2.py)."""
    grids = [(h // 384, w // 384) for h, w in _sizes(config, "candidate_resolutions", (3456, 384))]
    tokens, tiles = max((14 * 15 + 14 * h * (14 * w + 1) + 1, h * w + 1) for h, w in grids)
    return Item(tokens=tokens, patches=tiles * 27**2, what=f"picture of {tiles} tiles")


# -- videos ------------------------------------------------------------------------------------------------------------


# Gemma 4's video: 32 frames x (70 soft tokens + 2 marks + 6 of the time stamp).
_FRAMES, _SOFT = 32, 70
GEMMA_4_VIDEO = _FRAMES * (_SOFT + 2 + 6)


def _gemma4(pooled: int) -> Rule:
    """32 frames, so many patches to a soft token (models/gemma4_mm.py, models/gemma4_unified.py)."""
    return lambda _config, _context: Item(
        tokens=GEMMA_4_VIDEO, patches=_FRAMES * _SOFT * pooled, what=f"video of {_FRAMES} frames"
    )


# Tokens of GLM's largest picture: 9,633,792 pixels (published longest_edge), which count twice, so 78 x 78. Tokens of
# its longest video: 11 frames, that are padded to 12, of 73 x 73; of GLM 5.3 Flash's: 9, padded to 10, of 77 x 97.
_GLM_PICTURE, _GLM_VIDEO, _GLM5_VIDEO = 78**2, 6 * 73**2, 5 * 77 * 97


def _glm_film(longest: int) -> tuple[int, int]:
    """Return frames and tokens of the video with most tokens among those of at most so many."""
    best = 1, _GLM_PICTURE
    for frames in range(2, 601):
        # smart_resize: frames in even numbers where it asks for the pixels, as they are where it divides them.
        fits = 2 * round(frames / 2) * _GLM_PICTURE <= 60_000
        tokens = ceil_div(frames, 2) * (_GLM_PICTURE if fits else isqrt(60_000 // frames) ** 2)
        if best[1] < tokens <= longest:
            best = frames, tokens
    return best


def _glm(config: Mapping[str, Any], context: int) -> Item:
    """Return the video with most tokens of at most 600 frames and 47,040,000 pixels (published longest_edge of videos).

    The budget leaves room for a picture in the context, the run does not. Source: models/glm4_1v.py
    _get_max_video_frames, transformers image_processing_glm4v.py smart_resize.
    """
    counted, (frames, outputs) = _glm_film(context - _GLM_PICTURE)[1], _glm_film(context)
    what = f"video of {max(frames, 2)} frames"
    return Item(tokens=counted, outputs=outputs, patches=outputs * _merge(config) ** 2, what=what)


def _glm5(config: Mapping[str, Any], context: int) -> Item:
    """Return a video for 30,000 tokens, as far as the context holds it; the budget adds 320 times of 6 tokens.

    Source: models/glm5next/common/multimodal.py _MAX_VIDEO_TOKENS. 0.30 and 0.31 have the processor's own 240,000.
    """
    outputs = min(_GLM5_VIDEO, context)
    return Item(tokens=30_000 + 320 * 6 + 2, outputs=outputs, patches=outputs * _merge(config) ** 2, what="video")


# Tokens of Ernie's largest picture: 6,177 x 28 x 28 pixels (published max_pixels), so 78 x 78.
_ERNIE = 78**2


def _ernie(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """Pairs of frames of the picture's size, as many as the context holds beside a picture: so the budget counts.

    The run's video has no picture beside it, and its processor makes frames smaller: 1,196 x 28 x 28 pixels (default
    longest_edge), so 34 x 34 tokens of a pair. The tower sees both frames. Source: models/ernie45_vl.py
    _get_max_video_frames, transformers video_processing_ernie4_5_vl_moe.py.
    """
    counted, pairs = max(1, (context - _ERNIE) // _ERNIE), max(1, context // _ERNIE)
    outputs = pairs * 34**2
    what = f"video of {2 * pairs} frames"
    return Item(tokens=counted * _ERNIE, outputs=outputs, patches=2 * 4 * outputs, what=what)


# Frames of MiniMax M3's longest video in pairs, tokens of a pair; frames of Molmo 2's, tokens of one with its marks.
_M3_PAIRS, _M3 = 250, 768
_MOLMO_FRAMES, _MOLMO = 384, 9**2 + 2


def _minimax_m3(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """Pairs of frames of 768 x 28 x 28 pixels (default max_pixels), 500 frames at most.

    Source: models/minimax_m3/common/mm_preprocess.py get_num_frames_with_most_features.
    """
    pairs = max(1, min(context // _M3, _M3_PAIRS))
    return Item(tokens=pairs * _M3, patches=pairs * _M3 * 4, what=f"video of {2 * pairs} frames")


def _molmo2(config: Mapping[str, Any], context: int) -> Item:
    """As many frames as the context holds, at most 384 (published), 3 x 3 patches a token (models/molmo2.py)."""
    frames = max(1, min(context // _MOLMO, _MOLMO_FRAMES))
    patches = _grid(config, image=378) ** 2
    return Item(tokens=frames * patches // 9, patches=frames * patches, what=f"video of {frames} frames")


# -- sound -------------------------------------------------------------------------------------------------------------


def _recording(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """30 seconds: 1,500 positions of two mel frames, two of them a token (models/qwen2_audio.py)."""
    audio = _part(config, "audio_config")
    positions = _number(audio, "max_source_positions", 1500)
    mel = 2 * _number(audio, "num_mel_bins", 128)
    return Item(tokens=positions // 2, patches=positions, numbers=mel, tower="audio", what="recording")


def _whisper(config: Mapping[str, Any], context: int) -> Item:  # noqa: ARG001
    """30 seconds: 1,500 positions of two mel frames for the decoder (models/whisper.py get_num_audio_tokens)."""
    positions = _number(config, "max_source_positions", 1500)
    mel = 2 * _number(config, "num_mel_bins", 80)
    return Item(tokens=positions, patches=positions, numbers=mel, tower="encoder", each=True, what="recording")


def _voxtral(config: Mapping[str, Any], context: int) -> Item:
    """As long as the context: a token is 1,280 samples, four positions of a window of 1,500 (models/voxtral.py)."""
    window = _number(_part(config, "audio_config"), "max_source_positions", 1500)
    positions = window * ceil_div(4 * context, window)
    return Item(tokens=context, patches=positions, numbers=1280 // 4, tower="audio", what="recording")


# -- the rules ---------------------------------------------------------------------------------------------------------

_RULES: dict[str, Rule] = {
    "aya_vision": _tiles(10, 364),
    "cohere2_vision": _tiles(13, 512),
    "deepseek_ocr": _deepseek(4, 2),
    "deepseek_vl_v2": _deepseek(4, 2),
    "ernie4_5_moe_vl": _ernie,
    "ernie4_5_vl_moe": _ernie,
    "gemma3": _gemma3,
    "gemma3n": _gemma3n,
    "gemma4": _gemma4(9),
    "gemma4_unified": _gemma4(1),
    "glm46v": _glm,
    "glm4v": _glm,
    "glm4v_moe": _glm,
    "glm5_next": _glm5,
    "glm_ocr": _glm,
    "idefics3": _idefics3,
    "intern_s2_preview": _qwen_pictures,
    "interns1": _internvl,
    "interns2_mobius": _qwen_pictures,
    "internvl": _internvl,
    "internvl_chat": _internvl,
    "kimi_k25": _kimi(3000, 3000, 16_384),
    "kimi_k3": _kimi(1861, 7041, 65_536),
    "kimi_vl": _kimi(1024, 1024, 4096),
    "lfm2-vl": _lfm2,
    "lfm2_vl": _lfm2,
    "lighton_ocr": _pixtral,
    "llama4": _llama4,
    "llava": _llava,
    "llava_next": _llava_next,
    "minimax_m3_vl": _minimax_m3,
    "ministral3": _pixtral,
    "mistral3": _pixtral,
    "mllama": _mllama,
    "molmo2": _molmo2,
    "paddleocr_vl": _paddle,
    "phi3_v": _phi3,
    "pixtral": _pixtral,
    "qwen2_5_omni": _qwen_videos(_QWEN),
    "qwen2_5_omni_thinker": _qwen_videos(_QWEN),
    "qwen2_5_vl": _qwen_videos(_QWEN),
    "qwen2_audio": _recording,
    "qwen2_vl": _qwen_videos(_QWEN),
    "qwen3_5": _qwen_pictures,
    "qwen3_5_moe": _qwen_pictures,
    "qwen3_omni_moe": _qwen_videos(_QWEN3_OMNI),
    "qwen3_omni_moe_thinker": _qwen_videos(_QWEN3_OMNI),
    "qwen3_vl": _qwen_pictures,
    "qwen3_vl_moe": _qwen_pictures,
    "qwen4_exp": _qwen_pictures,
    "smolvlm": _idefics3,
    "step3_vl": _step3,
    "step3p7": _step3,
    "unlimited-ocr": _deepseek(32, 1),
    "unlimited_ocr": _deepseek(32, 1),
    "voxtral": _voxtral,
    "whisper": _whisper,
}
# Families that take nothing but pictures (get_supported_mm_limits).
_PICTURES_ONLY = frozenset((
    "aya_vision", "cohere2_vision", "deepseek_ocr", "deepseek_vl_v2", "gemma3", "idefics3", "kimi_vl", "lfm2-vl", "lfm2_vl",
    "lighton_ocr", "llama4", "llava", "llava_next", "ministral3", "mistral3", "mllama", "phi3_v", "pixtral", "smolvlm",
    "step3_vl", "step3p7", "unlimited-ocr", "unlimited_ocr",
))  # fmt: skip
# Families whose largest item grows with max_model_len, and up to where.
_GROWS_TO: dict[str, int] = {
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen2_5_omni_thinker"), _QWEN * _QWEN_PAIRS),
    **dict.fromkeys(("qwen3_omni_moe", "qwen3_omni_moe_thinker"), _QWEN3_OMNI * _QWEN_PAIRS),
    **dict.fromkeys(("glm46v", "glm4v", "glm4v_moe", "glm_ocr"), _GLM_PICTURE + _GLM_VIDEO),
    "glm5_next": _GLM5_VIDEO,
    **dict.fromkeys(
        ("ernie4_5_moe_vl", "ernie4_5_vl_moe", "interns1", "internvl", "internvl_chat", "voxtral"), _ENDLESS
    ),
    "minimax_m3_vl": _M3 * _M3_PAIRS,
    "molmo2": _MOLMO * _MOLMO_FRAMES,
}


def _part(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}


def _vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(_part(config, "thinker_config") or config, "vision_config")


def _merge(config: Mapping[str, Any]) -> int:
    return _number(_vision(config), "spatial_merge_size", 2)


def _grid(config: Mapping[str, Any], *, image: int, patch: int = 14) -> int:
    """Return the patches of a picture's side."""
    vision = _vision(config)
    return _number(vision, "image_size", image) // _number(vision, "patch_size", patch)


def _sizes(config: Mapping[str, Any], key: str, default: tuple[int, int]) -> list[tuple[int, int]]:
    """Return heights and widths that a file lists.

    Raises:
        ConfigError: it lists something else.

    """
    checked = Config({key: config.get(key)})
    pairs = checked.items(key)
    if pairs is None:
        return [default]
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise checked.fail(key, f"holds {show(pair)}; a height and a width were expected.")
    if not pairs:
        raise checked.fail(key, "is empty; a list of heights and widths was expected.")
    return [(checked.checked_count(key, height), checked.checked_count(key, width)) for height, width in pairs]


def _number(config: Mapping[str, Any], key: str, default: int) -> int:
    """Return a whole number, the first of several, or the default where none is stated.

    Raises:
        ConfigError: something else is stated.

    """
    value = config.get(key)
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return Config({key: value}).count(key, default=default)


def _no_token(what: str) -> ConfigError:
    return ConfigError(
        f"config.json: the largest {what} has no token: image_size is too small for patch_size and what merges patches."
    )
