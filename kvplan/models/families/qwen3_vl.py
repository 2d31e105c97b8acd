"""Qwen 3-VL: its vision tower with mergers at several depths, and the models."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.families.qwen2_vl import Qwen2VL, Qwen25VLVision
from kvplan.models.towers import encoder_layer
from kvplan.weights.parts import Part, embedding, linear, norm


class Qwen3VLVision(Qwen25VLVision):
    """Qwen 3-VL's tower: learned positions, plain layers, one merger at the end and one per depth in `deepstack_visual_indexes`."""

    model_types = (
        "qwen3_vl_vision",
        "qwen3_vl_moe_vision",
        "qwen3_omni_moe_vision_encoder",
        "cohere_compass_vision",
    )
    source = "transformers 5.18 modeling_qwen3_vl.py, modeling_qwen3_omni_moe.py"
    patch_bias = True

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        return encoder_layer(self.width, self.mlp)

    @cached_property
    def deep_mergers(self) -> int:
        """Mergers beside the last."""
        depths = self.config.counts("deepstack_visual_indexes", minimum=0) or []
        if self.config.states("deepstack_visual_indexes") and len(depths) > self.depth:
            raise self.config.fail("deepstack_visual_indexes", f"lists {len(depths)} of {self.depth} layers.")
        return len(depths)

    def _merger(self, name: str, norm_width: int) -> Iterator[Part]:
        yield norm(f"{name}.norm", norm_width, bias=True, component="vision")
        yield linear(f"{name}.linear_fc1", self.merged, self.merged, bias=True, component="vision")
        yield linear(f"{name}.linear_fc2", self.features, self.merged, bias=True, component="vision", split="row")

    def merger(self) -> Iterator[Part]:
        """Return the positions and the mergers; the deep ones norm after merging."""
        yield embedding(
            "pos_embed",
            self.config.count("num_position_embeddings"),
            self.width,
            component="vision",
            split="replicated",
        )
        yield from self._merger("merger", self.width)
        for index in range(self.deep_mergers):
            yield from self._merger(f"deepstack_merger_list.{index}", self.merged)


class Qwen3VL(Qwen2VL):
    """Qwen 3-VL, dense."""

    model_types = ("qwen3_vl",)
    architectures = ("Qwen3VLForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_vl.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen3_vl_vision", "text_config": "qwen3_vl_text"}
    tie_either = False


class Qwen3VLMoe(Qwen3VL):
    """Qwen 3-VL with experts."""

    model_types = ("qwen3_vl_moe",)
    architectures = ("Qwen3VLMoeForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_vl_moe.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen3_vl_moe_vision", "text_config": "qwen3_vl_moe_text"}
