"""MiniMax M3's tower and the whole model; its language model has a file of its own."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, times
from kvplan.weights.parts import Part, norm


class MiniMaxM3Vision(Tower):
    """CLIP's layers over patches of several frames; published files call it `clip_vision_model`."""

    model_types = ("minimax_m3_vl_vision",)
    source = "transformers 5.18 modeling_minimax_m3_vl.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield patch_embedding(
            self.config, self.width, bias=False, frames=self.config.count("temporal_patch_size", default=2)
        )
        yield norm("pre_layrnorm", self.width, bias=True, component="vision")
        yield from times(self.depth, encoder_layer(self.width, self.mlp))


class MiniMaxM3VL(Composed):
    """MiniMax M3: two linears per patch, two more over the merged patches."""

    model_types = ("minimax_m3_vl",)
    architectures = ("MiniMaxM3SparseForConditionalGeneration",)
    source = "transformers 5.18 modeling_minimax_m3_vl.py, configuration_minimax_m3_vl.py __post_init__"
    tie_either = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "minimax_m3_vl_vision", "text_config": "minimax_m3_vl_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the four linears."""
        merge = self.tower("vision_config").config.count("spatial_merge_size", default=2)
        stated = self.config.raw("merged_hidden_size")  # written by transformers, which then takes it as it stands
        merged = (
            self.hidden_size * merge**2 if stated is None else self.config.checked_count("projector_input_size", stated)
        )
        inner = self.config.count("projector_hidden_size")
        yield self.join("linear_1", inner, self.width_of("vision_config"), split="column")
        yield self.join("linear_2", self.hidden_size, inner, split="row")
        yield self.join("merge_linear_1", inner, merged, split="column")
        yield self.join("merge_linear_2", self.hidden_size, inner, split="row")
