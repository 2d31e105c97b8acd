"""Hunyuan-VL and Hunyuan-OCR: SigLIP with a class position, patches merged by convolutions, a dense Hunyuan."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.config import Config
from kvplan.models.decoder import Decoder
from kvplan.models.family import Family
from kvplan.models.towers import Composed, Tower, encoder_layer, head_width, patch_embedding, times
from kvplan.weights.parts import Part, convolution, embedding, norm, vector


class HunyuanVLVision(Tower):
    """Hunyuan-VL's tower; its merger ends in the language model's width."""

    model_types = ("hunyuan_vl_vision",)
    source = "transformers 5.18 modeling_hunyuan_vl.py"

    def outer(self) -> Iterator[Part]:
        """Return all but the merger."""
        c = self.config
        heads = c.count("num_attention_heads")
        head = c.optional_count("head_dim", minimum=0) or head_width(c, self.width, heads)
        positions = (c.count("max_image_size") // c.count("patch_size")) ** 2 + 1
        yield patch_embedding(c, self.width, bias=True)
        yield embedding("position_embedding", positions, self.width, component="vision", split="replicated")
        yield from times(self.depth, encoder_layer(self.width, self.mlp, inner=heads * head))


class HunyuanVLText(Decoder):
    """Hunyuan's dense language model: norms on the heads of Q and K."""

    model_types = ("hunyuan_vl_text",)
    source = "transformers 5.18 modeling_hunyuan_vl.py"
    qk_norm = True
    mlp_bias = False

    @cached_property
    def head_dim(self) -> int:
        """Stated, also as `attention_head_dim`, else hidden size / heads."""
        return self.config.optional_count("head_dim", "attention_head_dim", minimum=0) or self._derived_head_dim()


class HunyuanVL(Composed):
    """Hunyuan-VL; the language model's keys may stand at the top level, where they win over `text_config`."""

    model_types = ("hunyuan_vl",)
    architectures = ("HunYuanVLForConditionalGeneration",)
    source = "transformers 5.18 modeling_hunyuan_vl.py, configuration_hunyuan_vl.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "hunyuan_vl_vision", "text_config": "hunyuan_vl_text"}

    def _part(self, key: str, model_type: str | None) -> Config:
        part = super()._part(key, model_type)
        if key == self.text_key and part.facts:
            known = {*part.facts.defaults, *part.facts.attribute_map} - {"tie_word_embeddings", "is_encoder_decoder"}
            top = {name: value for name, value in self.config.values.items() if name in known}
            self.config.read.update(top)
            part.values = {**part.values, **top}
        return part

    def _tied(self, text: Family) -> bool:
        stated = self.config.states("tie_word_embeddings")
        return self.config.flag("tie_word_embeddings") if stated else text.tied

    def projector_parts(self) -> Iterator[Part]:
        """Return the tower's merger: convolutions, a linear, four vectors and two norms."""
        vision = self.tower("vision_config")
        width, merge = self.width_of("vision_config"), vision.config.count("spatial_merge_size")
        yield convolution(
            "proj_conv", 2 * width, width, merge, merge, bias=True, component="projector", split="replicated"
        )
        yield convolution("proj_out", 4 * width, 2 * width, 1, 1, bias=True, component="projector", split="replicated")
        yield self.join("mlp", self.hidden_size, 4 * width)
        yield vector("image_newline", 4 * width, component="projector")
        yield vector("image_begin_end_sep", self.hidden_size, component="projector", count=3)
        yield norm("before_rms", width, component="projector")
        yield norm("after_rms", self.hidden_size, component="projector")
