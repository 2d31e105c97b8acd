"""dots.ocr: a tower of its own with rotary positions, folded two by two, in front of Qwen 2.5."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, times
from kvplan.weights.parts import Part, linear, norm


class DotsVision(Tower):
    """The tower: RMSNorms, gated MLPs, a norm at the end, a merger of two linears."""

    model_types = ("dots_vit",)
    source = "vLLM 0.33 models/dots_ocr.py, transformers_utils/configs/dotsocr.py"

    @cached_property
    def width(self) -> int:
        """`embed_dim`."""
        return self.config.count("embed_dim", default=1536)

    @cached_property
    def depth(self) -> int:
        """Layers."""
        return self.config.count("num_hidden_layers", default=42)

    @cached_property
    def mlp(self) -> int:
        """Width of the MLPs."""
        return self.config.count("intermediate_size", default=4224)

    @cached_property
    def features(self) -> int:
        """`hidden_size`, the language model's."""
        return self.config.count("hidden_size", default=1536)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        bias = config.flag("use_bias", default=False)
        folded = width * config.count("spatial_merge_size", default=2) ** 2
        layer = encoder_layer(
            width, self.mlp, qkv_bias=bias, output_bias=bias, gated=True, mlp_bias=bias, norm_bias=False
        )
        yield patch_embedding(config, width, bias=True)
        yield norm("patchifier.norm", width, component="vision")
        yield from times(self.depth, layer)
        if config.flag("post_norm", default=True):
            yield norm("post_trunk_norm", width, component="vision")
        yield norm("merger.ln_q", width, bias=True, component="vision")
        yield linear("merger.mlp.0", folded, folded, bias=True, component="vision")
        yield linear("merger.mlp.2", self.features, folded, bias=True, component="vision", split="row")


class DotsOcr(Composed):
    """dots.ocr: the language model's values stand at the top level."""

    model_types = ("dots_ocr",)
    architectures = ("DotsOCRForCausalLM",)
    source = "vLLM 0.33 models/dots_ocr.py; total on the hub"
    text_type = "qwen2"
    fixed: ClassVar[dict[str, Any]] = {"vision_config": "dots_vit"}
