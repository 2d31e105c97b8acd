"""LLaVA 1.5: a CLIP tower and a two-layer projector in front of a language model."""

from collections.abc import Iterator

from kvplan.models.multimodal import Multimodal
from kvplan.weights.parts import Part, linear


class Llava(Multimodal):
    """LLaVA 1.5, Pixtral in transformers' form."""

    model_types = ("llava",)
    architectures = ("LlavaForConditionalGeneration",)
    source = "transformers 5.18 modeling_llava.py"

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears, fed by one or several of the tower's layers."""
        layers = self.config.raw("vision_feature_layer")
        features = len(layers) if isinstance(layers, list) else 1
        vision = self.config.part("vision_config").count("hidden_size")
        bias = self.config.flag("multimodal_projector_bias", default=True)
        yield linear(
            "linear_1", self.hidden_size, vision * features, bias=bias, component="projector", split="replicated"
        )
        yield linear(
            "linear_2", self.hidden_size, self.hidden_size, bias=bias, component="projector", split="replicated"
        )
