"""The largest item of each family and what the encoder takes of it, against vLLM's arithmetic, written out.

The sizes on the right were also got from vLLM 0.33's and transformers 5.19's own functions (smart_resize of GLM-4V, GLM
5.3, Ernie and PaddleOCR, ImagePatcher of Step 3, count_tiles of DeepSeek-OCR, navit_resize_image and get_max_image_size
of Kimi, get_number_of_image_patches of Idefics 3, SmolVLM, Cohere 2 and Aya), run without a GPU.
"""

import importlib
import json
import pkgutil

import pytest

import kvplan
from kvplan.catalogue import Catalogue
from kvplan.engines.vllm.profile.encoder import encoding
from kvplan.engines.vllm.profile.items import has_rule, largest, longest_video
from kvplan.models.multimodal import Multimodal
from kvplan.units import GIB
from kvplan.weights.ranks import Ranks

# Families with towers that no rule covers: a picture of 4,096 tokens or 30 seconds of sound is guessed.
GUESSED = {
    "NVLM_D",
    "NemotronH_Nano_Omni_Reasoning_V3",
    "NemotronH_Nano_VL_V2",
    "aria",
    "audioflamingo3",
    "bailing_moe_v3_vl",
    "blip-2",
    "cohere_compass",
    "cosmos3_edge",
    "cosmos3_omni",
    "deepseek_ocr2",
    "deepseek_v41",
    "deepseek_vl",
    "deepseek_vl_hybrid",
    "dia",
    "diffusion_gemma",
    "dots_ocr",
    "eagle_2_5_vl",
    "emu3",
    "exaone4_5",
    "florence2",
    "fun_asr_nano",
    "glm_image",
    "glmasr",
    "glmga",
    "got_ocr2",
    "granite4_vision",
    "granite_speech",
    "granite_speech_plus",
    "h2ovl_chat",
    "hunyuan_vl",
    "hyperclovax_vision_v2",
    "idefics2",
    "inkling_mm_model",
    "instructblip",
    "instructblipvideo",
    "janus",
    "kosmos-2",
    "kosmos-2.5",
    "llava_next_video",
    "llava_onevision",
    "minicpmv4_6",
    "minicpmv4_7",
    "minimax_vl_01",
    "muse_glimmer",
    "musicflamingo",
    "nemotron_h_omni",
    "ovis2",
    "paligemma",
    "pix2struct",
    "pp_chart2table",
    "qianfan_ocr",
    "qwen3_asr",
    "shieldgemma2",
    "skywork_chat",
    "video_llama_3",
    "video_llava",
    "vipllava",
    "voxtral_realtime",
}
LLAMA = {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 2}
LLAMA |= {"num_attention_heads": 32, "vocab_size": 49280, "max_position_embeddings": 131072}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
CLIP |= {"num_attention_heads": 16, "image_size": 336, "patch_size": 14}
SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
MOONVIT = {**SIGLIP, "model_type": "moonvit", "patch_size": 14, "merge_kernel_size": [2, 2]}
SAM = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 1024, "patch_size": 16}
SAM |= {"mlp_dim": 3072, "output_channels": 256, "downsample_channels": [512, 1024], "window_size": 14}
SAM |= {"global_attn_indexes": [2, 5, 8, 11]}
EXPERTS = {"n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 896}
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
CONFIGS = {
    "aya": {
        "model_type": "aya_vision",
        "vision_config": {**SIGLIP, "model_type": "siglip_vision_model", "image_size": 364, "patch_size": 14},
        "text_config": {},
    },
    "cohere2": {
        "model_type": "cohere2_vision",
        "vision_config": {**SIGLIP, "model_type": "siglip_vision_model", "image_size": 512, "patch_size": 16},
        "text_config": {},
    },
    "gemma3n": {"model_type": "gemma3n", "text_config": {}, "vision_config": {}, "audio_config": {}},
    "glm46v": {"model_type": "glm46v", "text_config": {}, "vision_config": {}},
    "idefics3": {
        "model_type": "idefics3",
        "scale_factor": 2,
        "vision_config": {**SIGLIP, "image_size": 364, "patch_size": 14},
        "text_config": LLAMA,
    },
    "kimi_vl": {"model_type": "kimi_vl", "vision_config": MOONVIT, "text_config": None},
    "llava_next": {
        "model_type": "llava_next",
        "image_grid_pinpoints": PINPOINTS,
        "vision_config": CLIP,
        "text_config": LLAMA,
    },
    "ministral3": {
        "model_type": "ministral3",
        "spatial_merge_size": 2,
        "architectures": ["Mistral3ForConditionalGeneration"],
        "vision_config": {**CLIP, "model_type": "pixtral", "image_size": 1540, "head_dim": 64},
        "text_config": {**LLAMA, "model_type": "ministral3"},
    },
    "qwen2_audio": {
        "model_type": "qwen2_audio",
        "audio_config": {"d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120, "num_mel_bins": 128},
        "text_config": {},
    },
    "qwen2_5_omni": {
        "model_type": "qwen2_5_omni",
        "thinker_config": {
            "model_type": "qwen2_5_omni_thinker",
            "text_config": {},
            "vision_config": {},
            "audio_config": {},
        },
    },
    "qwen3_omni": {
        "model_type": "qwen3_omni_moe",
        "thinker_config": {"text_config": {}, "vision_config": {}, "audio_config": {}},
    },
    "smolvlm": {
        "model_type": "smolvlm",
        "scale_factor": 3,
        "vision_config": {**SIGLIP, "image_size": 384, "patch_size": 14},
        "text_config": LLAMA,
    },
    "unlimited_ocr": {
        "model_type": "unlimited_ocr",
        "vision_config": {"sam_config": SAM, "encoder_config": {**CLIP, "image_size": 224}},
        "text_config": {**LLAMA, **EXPERTS, "model_type": "unlimited_ocr_text"},
    },
}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Read a model of the catalogue, or one of the configurations above."""
    folder = tmp_path_factory.mktemp("configs")

    def load(name):
        if name not in CONFIGS:
            return kvplan.load_model(name)
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"torch_dtype": "bfloat16", **CONFIGS[name]}))
        return kvplan.load_model(str(path))

    return load


@pytest.mark.parametrize(
    "name, context, tokens, outputs, patches",
    [
        # A square of 364: 3 x 3 tiles and the whole, 26 x 26 patches, 2 x 2 a token.
        ("aya", 8192, 10 * 13**2, 0, 10 * 26**2),
        # 512 x 6,144: 12 tiles and the whole, 32 x 32 patches.
        ("cohere2", 8192, 13 * 16**2, 0, 13 * 32**2),
        # 6,177 tokens' pixels make 78 x 78; one pair of frames each, of 34 x 34 in the run; 5 fit 32,768 - 6,084 less
        # one.
        ("ernie-4.5-vl-28b-a3b", 32768, 4 * 6084, 5 * 34**2, 2 * 5 * 4 * 34**2),
        ("ernie-4.5-vl-28b-a3b", 131072, 20 * 6084, 21 * 34**2, 2 * 21 * 4 * 34**2),
        ("ernie-4.5-vl-28b-a3b", 4096, 6084, 34**2, 2 * 4 * 34**2),
        ("gemma-3-27b", 8192, 256, 0, 64**2),
        ("gemma-4-31b", 8192, 32 * (70 + 8), 0, 32 * 70 * 9),
        # One patch of 48 pixels is one soft token.
        ("gemma-4-12b", 8192, 32 * (70 + 8), 0, 32 * 70),
        ("gemma3n", 8192, 256, 0, (768 // 4) ** 2),
        # 9,633,792 pixels count twice: sqrt(4,816,896) / 28 is 78.4. 11 frames: sqrt(47,040,000 / 11) / 28 is 73.9.
        ("glm-4.1v-9b", 65536, 6 * 73**2, 6 * 73**2, 4 * 6 * 73**2),
        ("glm-4.1v-9b", 16384, 78**2, 2 * 78**2, 4 * 2 * 78**2),
        ("glm46v", 65536, 6 * 73**2, 6 * 73**2, 4 * 6 * 73**2),
        # 9 frames are 8 for the budget of 30,000 x 2 x 784 pixels (77 x 97 tokens) and 10 for the tower.
        ("glm-5.3-flash", 131072, 30_000 + 320 * (2 + 4) + 2, 5 * 77 * 97, 4 * 5 * 77 * 97),
        ("glm-5.3-flash", 16384, 31_922, 16384, 4 * 16384),
        ("idefics3", 8192, 17 * 13**2, 0, 17 * 26**2),
        ("smolvlm", 8192, 17 * 9**2, 0, 17 * 27**2),
        # 13 tiles of 256 tokens; videos of 65,536 / 256 frames, of which the budget leaves out a picture's 13.
        ("internvl3-8b", 4096, 13 * 256, 0, 13 * 1025),
        ("internvl3-8b", 65536, (256 - 13) * 256, 256 * 256, 256 * 1025),
        # 3,000 / 14 is 214; sqrt(16,384) / 214 x 3,000 is 1,794, padded to 65 x 28.
        ("kimi-k2.5", 262144, 65**2, 0, 4 * 65**2),
        # 1,861 x 7,041 pixels, the best size: scaled to 1,850 x 7,002 by sqrt(65,536 / (132 x 502)), padded to 67 x
        # 251.
        ("kimi-k3", 1048576, 67 * 251, 0, 4 * 67 * 251),
        # 1,024 / 14 is 73; 64 / 73 x 1,024 is 897, padded to 33 x 28.
        ("kimi_vl", 131072, 33**2, 0, 4 * 33**2),
        # sqrt(256 x 32 x 32) is 512: one tile.
        ("lfm2.5-vl-1.6b", 32768, 256, 0, 32**2),
        ("llama-4-scout", 8192, 17 * 145, 0, 17 * 577),
        ("llava-1.5-7b", 4096, 576, 0, 577),
        # 672 x 672: 48 x 48, 48 line ends and 24 x 24 of the whole; 4 tiles and one.
        ("llava_next", 8192, 48 * 48 + 48 + 576, 0, 5 * 577),
        ("llama-3.2-11b-vision", 8192, 4 * 1601, 0, 4 * 1608),
        # 768 tokens for a pair of frames: 42 pairs in 32,768 tokens, 250 at most.
        ("minimax-m3", 32768, 42 * 768, 0, 42 * 768 * 4),
        ("minimax-m3", 1048576, 250 * 768, 0, 250 * 768 * 4),
        ("ministral3", 8192, 55 * 56, 0, 110**2),
        ("mistral-small-3.1-24b", 8192, 55 * 56, 0, 110**2),
        ("pixtral-12b", 8192, 64 * 65, 0, 64**2),
        # 9 x 9 tokens and two marks for a frame of 27 x 27 patches.
        ("molmo2-8b", 36864, 384 * 81, 0, 384 * 729),
        ("molmo2-8b", 8300, 100 * 81, 0, 100 * 729),
        ("paddleocr-vl-0.9b", 8192, 60**2, 0, 120**2),
        # 8,000 x 50: four tiles one on the other and the whole: 5 x 144 + 1 + 5 x 12.
        ("phi-3.5-vision", 8192, 781, 0, 5 * 577),
        ("qwen2.5-vl-7b", 32768, 2 * 16384, 0, 2 * 4 * 16384),
        ("qwen2_5_omni", 32768, 2 * 16384, 0, 2 * 4 * 16384),
        # 12,845,056 pixels of 32 x 32 for a token.
        ("qwen3_omni", 16384, 12544, 0, 4 * 12544),
        ("qwen3.5-9b", 32768, 16384, 0, 4 * 16384),
        ("qwen2_audio", 8192, 750, 0, 1500),
        # 36 windows of 504 pixels (36 x 36 patches, 9 x 9 tokens) and the whole at 728; 2 x 37 marks, 5 line breaks.
        ("step-3.7-flash", 32768, 36 * 81 + 169 + 74 + 5, 36 * 81 + 169, 36 * 36**2 + 52**2),
        # 16 x 17 for the whole, 320 x 11 for 32 tiles one on the other, a separator.
        ("unlimited_ocr", 32768, 272 + 3520 + 1, 0, 64**2 + 32 * 40**2),
        # 375 tokens make a window of 1,500 positions.
        ("voxtral-mini-3b", 32768, 32768, 0, 88 * 1500),
        ("whisper-large-v3", 448, 1500, 0, 1500),
    ],
)
def test_the_largest_item_is_what_vllm_makes_up(read, name, context, tokens, outputs, patches):
    item = largest(read(name), context)
    assert item is not None
    assert (item.tokens, item.outputs, item.patches) == (tokens, outputs, patches)


@pytest.mark.parametrize(
    "name, first, down, width, numbers",
    [
        # A block's MLP, not a merger's, an adapter's or a projector's; and 3 colours x frames x sides of a patch.
        ("ernie-4.5-vl-28b-a3b", 5120, 5120, 1280, 3 * 14**2),
        ("glm-4.1v-9b", 2 * 4096, 4096, 1536, 3 * 2 * 14**2),
        ("glm-5.3-flash", 2 * 4096, 4096, 1024, 3 * 2 * 14**2),
        ("internvl3-8b", 4096, 4096, 1024, 3 * 14**2),
        ("kimi-k2.5", 4304, 4304, 1152, 3 * 14**2),
        ("kimi-k3", 4096, 4096, 1024, 3 * 14**2),
        ("lfm2.5-vl-1.6b", 4304, 4304, 1152, 3 * 16**2),
        ("llama-4-scout", 5632, 5632, 1408, 3 * 14**2),
        ("llava-1.5-7b", 4096, 4096, 1024, 3 * 14**2),
        ("minimax-m3", 5120, 5120, 1280, 3 * 2 * 14**2),
        ("molmo2-8b", 4304, 4304, 1152, 3 * 14**2),
        ("paddleocr-vl-0.9b", 4304, 4304, 1152, 3 * 14**2),
        ("phi-3.5-vision", 4096, 4096, 1024, 3 * 14**2),
        ("pixtral-12b", 2 * 4096, 4096, 1024, 3 * 16**2),
        ("qwen2_audio", 5120, 5120, 1280, 2 * 128),
        ("step-3.7-flash", 8960, 8960, 1536, 3 * 14**2),
        ("voxtral-mini-3b", 5120, 5120, 1280, 1280 // 4),
        ("whisper-large-v3", 5120, 5120, 1280, 2 * 128),
    ],
)
def test_a_tower_s_peak_is_a_block_s(read, name, first, down, width, numbers):
    """Patches x (what a block widens to, what it narrows from, 3.33 widths) x 2 B, beside pixels and outputs."""
    model = read(name)
    item = largest(model, 8192)
    got = encoding(model, Ranks(), tokens=item.tokens, context=8192)
    assert got.peak == pytest.approx(item.patches * (first + down + 3.33 * width) * 2, abs=2)
    assert got.held == item.patches * numbers * 2 + (item.outputs or item.tokens) * model.hidden_size * 2


def test_pictures_of_deepseek_ocr_pass_one_by_one(read):
    """Two of 32 tiles are held, one's tiles are in SAM's 768-wide blocks at once."""
    got = encoding(read("unlimited_ocr"), Ranks(), tokens=2 * 3793, context=32768)
    assert got.formula.startswith("2 x picture of 33 tiles")
    assert got.peak == int(32 * 40**2 * (2 * 3072 + 3.33 * 768) * 2)


def test_ranks_share_the_mlp_and_not_the_width(read):
    model = read("glm-5.3-flash")
    got = encoding(model, Ranks(tensor=8), tokens=8192, context=16384)
    assert got.peak == int(4 * 16384 * (3 * 4096 // 8 + 3.33 * 1024) * 2)


def test_every_sequence_of_v0_has_a_picture(read):
    """128 of Llama 3.2 11B Vision: 36.63 GiB by a log of January 2025 (vllm-project/vllm pull 12126)."""
    got = encoding(read("llama-3.2-11b-vision"), Ranks(), tokens=65536, context=65536, sequences=128)
    assert got.formula == "128 x picture of 4 tiles of 6,404 tokens, 823,296 patches"
    assert (got.held + got.peak) / GIB == pytest.approx(36.63, rel=0.02)


def test_sequences_do_not_count_where_the_budget_does(read):
    model = read("gemma-3-27b")
    assert encoding(model, Ranks(), tokens=8192, context=8192, sequences=4) == encoding(
        model, Ranks(), tokens=8192, context=8192
    )


@pytest.mark.parametrize(
    "name, tokens, count", [("whisper-large-v3", 8192, 5), ("qwen2_audio", 8192, 10), ("voxtral-mini-3b", 8192, 1)]
)
def test_sound_is_counted_like_pictures(read, name, tokens, count):
    got = encoding(read(name), Ranks(), tokens=tokens, context=32768)
    assert got.formula.startswith(f"{count} x recording of ")
    assert got.formula.endswith(" positions")


def test_towers_that_are_left_out_take_nothing(read):
    without = Ranks(left_out=frozenset({"vision", "audio", "projector"}))
    for name in ("qwen2_audio", "voxtral-mini-3b", "kimi-k2.5"):
        assert encoding(read(name), without, tokens=8192, context=8192).held == 0


@pytest.mark.parametrize(
    "name", ["glm-4.1v-9b", "glm-5.3-flash", "minimax-m3", "molmo2-8b", "qwen2.5-vl-7b", "qwen3_omni"]
)
def test_items_grow_as_far_as_is_said(read, name):
    """No further; and a quarter of it is not yet the largest."""
    model = read(name)
    end = longest_video(model)
    assert largest(model, end) == largest(model, 10 * end)
    assert largest(model, end // 4) != largest(model, end)


@pytest.mark.parametrize("name", ["internvl3-8b", "voxtral-mini-3b", "ernie-4.5-vl-28b-a3b"])
def test_items_without_end_grow_with_every_context(read, name):
    assert longest_video(read(name)) > read(name).max_context_tokens


def test_every_model_with_a_tower_has_a_rule():
    """Of the catalogue."""
    without = [
        name
        for name, model in ((name, kvplan.load_model(name)) for name in Catalogue("model_specs").entries)
        if {"vision", "audio"} & {part.component for part in model.outer} and not has_rule(model.model_type)
    ]
    assert not without


def test_every_family_with_a_tower_has_a_rule_or_is_named():
    """Families that read a vision or audio tower, by their classes."""
    package = importlib.import_module("kvplan.models.families")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"kvplan.models.families.{module.name}")
    families = {name for family in _below(Multimodal) if family.towers for name in family.model_types}
    assert {name for name in families if not has_rule(name)} == GUESSED


def _below(kind):
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
