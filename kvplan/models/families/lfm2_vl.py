"""LFM2-VL: SigLIP 2 and two linears in front of LFM2."""

from collections.abc import Iterator

from kvplan.models.family import Family
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, norm


class Lfm2Vl(Composed):
    """LFM2-VL, LFM2.5-VL; `tie_embedding` is its older word for a tied head."""

    model_types = ("lfm2_vl", "lfm2-vl")
    architectures = ("Lfm2VlForConditionalGeneration",)
    source = "transformers 5.18 modeling_lfm2_vl.py, configuration_lfm2_vl.py __post_init__"

    def _tied(self, text: Family) -> bool:
        if self.config.states("tie_embedding"):
            return self.config.flag("tie_embedding")
        return super()._tied(text)

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm where there is one and the two linears."""
        merged = self.width_of("vision_config") * self.config.count("downsample_factor") ** 2
        inner, bias = self.config.count("projector_hidden_size"), self.config.flag("projector_bias", default=True)
        if self.config.flag("projector_use_layernorm", default=True):
            yield norm("layer_norm", merged, bias=True, component="projector")
        yield self.join("linear_1", inner, merged, bias=bias)
        yield self.join("linear_2", self.hidden_size, inner, bias=bias)
