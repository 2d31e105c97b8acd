"""Qwen 2-VL and 2.5-VL: their vision towers, and the models."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, head_width, patch_embedding, scaled, times
from kvplan.weights.parts import Part, linear, norm


class Qwen2VLVision(Tower):
    """Qwen 2-VL's tower: patches of several frames, layers of the ViT, a merger of neighbouring patches."""

    model_types = ("qwen2_vl_vision",)
    source = "transformers 5.18 modeling_qwen2_vl.py"
    patch_bias = False
    norm_bias = True

    @cached_property
    def width(self) -> int:
        """Width inside the tower; `hidden_size` is what it hands on."""
        return self.config.count("embed_dim")

    @cached_property
    def features(self) -> int:
        """Width of what the merger hands on."""
        return self.config.count("hidden_size")

    @cached_property
    def merged(self) -> int:
        """Width of the patches that the merger takes together."""
        return self.width * self.config.count("spatial_merge_size") ** 2

    def patches(self) -> Part:
        """Return the convolution over frames and patches."""
        frames = self.config.count("temporal_patch_size")
        return patch_embedding(self.config, self.width, bias=self.patch_bias, channels="in_channels", frames=frames)

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        return encoder_layer(self.width, scaled(self.config, "mlp_ratio", self.width))

    def merger(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        yield norm("merger.ln_q", self.width, bias=self.norm_bias, component="vision")
        yield linear("merger.mlp.0", self.merged, self.merged, bias=True, component="vision")
        yield linear("merger.mlp.2", self.features, self.merged, bias=True, component="vision", split="row")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield self.patches()
        yield from times(self.depth, self.layer())
        yield from self.merger()


class Qwen25VLVision(Qwen2VLVision):
    """Qwen 2.5-VL's: gated MLP and RMSNorm; EXAONE 4.5's has fewer KV heads."""

    model_types = ("qwen2_5_vl_vision", "qwen2_5_omni_vision_encoder", "exaone4_5_vision")
    source = "transformers 5.18 modeling_qwen2_5_vl.py, modeling_qwen2_5_omni.py, modeling_exaone4_5.py"
    norm_bias = False
    width = Tower.width

    @cached_property
    def features(self) -> int:
        """Width of what the merger hands on."""
        return self.config.count("out_hidden_size")

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        kv_inner = self.width
        if self.config.model_type == "exaone4_5_vision":
            heads = self.config.count("num_heads")
            kv_inner = self.config.count("num_key_value_heads") * head_width(self.config, self.width, heads)
        return encoder_layer(self.width, self.mlp, kv_inner=kv_inner, gated=True, norm_bias=False)


class Qwen2VL(Composed):
    """Qwen 2-VL; its hub files have the language model's keys at the top level."""

    model_types = ("qwen2_vl",)
    architectures = ("Qwen2VLForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen2_vl.py, configuration_qwen2_vl.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen2_vl_vision", "text_config": "qwen2_vl_text"}
    tie_either = True

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The tower of a file that leaves it out is counted only if its output fits the language model."""
        if not self.config.states("vision_config") and self.width_of("vision_config") != self.hidden_size:
            return "the file has no vision_config, and the tower of the type's defaults does not fit the language model"
        return super().unknown_parameters


class Qwen25VL(Qwen2VL):
    """Qwen 2.5-VL."""

    model_types = ("qwen2_5_vl",)
    architectures = ("Qwen2_5_VLForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen2_5_vl.py, configuration_qwen2_5_vl.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen2_5_vl_vision", "text_config": "qwen2_5_vl_text"}
