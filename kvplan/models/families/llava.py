"""LLaVA and its descendants: a CLIP or SigLIP tower and a two-layer projector in front of a language model."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.family import as_component
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, Split, convolution, norm, vector

_CLIP_LARGE = {
    "intermediate_size": 4096,
    "hidden_size": 1024,
    "patch_size": 14,
    "image_size": 336,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
SIGLIP_SO400M = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "patch_size": 14,
    "image_size": 384,
    "num_hidden_layers": 26,
    "num_attention_heads": 16,
    "vision_use_head": False,
}


class Llava(Composed):
    """LLaVA 1.5, Pixtral in transformers' form."""

    model_types = ("llava",)
    architectures = ("LlavaForConditionalGeneration",)
    source = "transformers 5.18 modeling_llava.py, configuration_llava.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {"vision_config": _CLIP_LARGE}
    tie_either = True
    layers_key = "vision_feature_layer"
    split_projector: ClassVar[bool] = True

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The original repository's files name their tower without describing it."""
        if self.config.states("mm_vision_tower"):
            return "the file names its vision tower (mm_vision_tower) without describing it"
        return super().unknown_parameters

    @cached_property
    def features(self) -> int:
        """Width of the tower's output: one of its layers or several side by side."""
        layers = self.config.raw(self.layers_key)
        return self.width_of("vision_config") * (len(layers) if isinstance(layers, list | tuple) else 1)

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        bias = self.config.flag("multimodal_projector_bias", default=True)
        column: Split = "column" if self.split_projector else "replicated"
        row: Split = "row" if self.split_projector else "replicated"
        yield self.join("linear_1", self.hidden_size, self.features, bias=bias, split=column)
        yield self.join("linear_2", self.hidden_size, self.hidden_size, bias=bias, split=row)


class LlavaNext(Llava):
    """LLaVA 1.6: the same and a vector that stands for the end of an image row."""

    model_types = ("llava_next",)
    architectures = ("LlavaNextForConditionalGeneration",)
    source = "transformers 5.18 modeling_llava_next.py, configuration_llava_next.py __post_init__"
    tie_either = False

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears and the row's end."""
        yield from super().projector_parts()
        yield vector("image_newline", self.hidden_size, component="projector")


class LlavaNextVideo(LlavaNext):
    """LLaVA-NeXT-Video: frames are pooled, by a convolution where the file says so."""

    model_types = ("llava_next_video",)
    architectures = ("LlavaNextVideoForConditionalGeneration",)
    source = "transformers 5.18 modeling_llava_next_video.py"
    tie_either = True
    split_projector = False

    def projector_parts(self) -> Iterator[Part]:
        """Return the linears, the row's end and the pooling convolution."""
        yield from super().projector_parts()
        if self.config.text("spatial_pool_mode", default="average") == "conv":
            vision, stride = self.width_of("vision_config"), self.config.count("spatial_pool_stride", default=2)
            out = self.config.count("spatial_pool_out_channels", default=vision)
            yield convolution(
                "vision_resampler.pool",
                out,
                vision,
                stride,
                stride,
                bias=True,
                component="projector",
                split="replicated",
            )


class LlavaOnevision(LlavaNext):
    """LLaVA-OneVision: SigLIP and Qwen 2."""

    model_types = ("llava_onevision",)
    architectures = ("LlavaOnevisionForConditionalGeneration",)
    source = "transformers 5.18 modeling_llava_onevision.py, configuration_llava_onevision.py __post_init__"
    split_projector = False
    absent: ClassVar[dict[str, dict[str, Any]]] = {"vision_config": SIGLIP_SO400M}
    tie_either = True


class VideoLlava(Llava):
    """Video-LLaVA: two towers of one description, for images and for video."""

    model_types = ("video_llava",)
    architectures = ("VideoLlavaForConditionalGeneration",)
    source = "transformers 5.18 modeling_video_llava.py, configuration_video_llava.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {"vision_config": {**_CLIP_LARGE, "image_size": 224}}
    tie_either = False

    def outer(self) -> Iterator[Part]:
        """Return everything, the tower once more for the video."""
        yield from super().outer()
        yield from as_component(self.tower("vision_config").outer(), "vision")


class VipLlava(Llava):
    """ViP-LLaVA: five of the tower's layers, normed."""

    model_types = ("vipllava",)
    architectures = ("VipLlavaForConditionalGeneration",)
    source = "transformers 5.18 modeling_vipllava.py"
    tie_either = False
    layers_key = "vision_feature_layers"

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        yield norm("projector_layernorm", self.features, bias=True, component="projector")
        yield self.join("linear_1", self.hidden_size, self.features)
        yield self.join("linear_2", self.hidden_size, self.hidden_size)


class MiniMaxVl01(Llava):
    """MiniMax-VL-01: CLIP and two linears in front of MiniMax-Text-01."""

    model_types = ("minimax_vl_01",)
    architectures = ("MiniMaxVL01ForConditionalGeneration",)
    source = "vLLM 0.22 models/minimax_vl_01.py; total on the hub"
    tie_either = False
