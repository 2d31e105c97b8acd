"""Aya Vision and Command A Vision: SigLIP, patches merged by a SwiGLU, in front of Command R."""

from collections.abc import Iterator
from typing import Any, ClassVar

from kvplan.models.families.llava import SIGLIP_SO400M
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, norm


class AyaVision(Composed):
    """Aya Vision."""

    model_types = ("aya_vision",)
    architectures = ("AyaVisionForConditionalGeneration",)
    source = "transformers 5.18 modeling_aya_vision.py, configuration_aya_vision.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {"vision_config": {**SIGLIP_SO400M, "num_attention_heads": 14}}

    @property
    def alignment_size(self) -> int:
        """Width between the two linears, before the gate halves it."""
        return self.config.count("alignment_intermediate_size", default=self.hidden_size)

    @property
    def merged(self) -> int:
        """Width of the patches merged into one."""
        return self.width_of("vision_config") * self.config.count("downsample_factor") ** 2

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        yield norm("layernorm", self.merged, bias=True, component="projector")
        yield self.join("linear_1", self.alignment_size, self.merged)
        yield self.join("linear_2", self.hidden_size, self.alignment_size // 2)


class Cohere2Vision(AyaVision):
    """Command A Vision: without the norm."""

    model_types = ("cohere2_vision",)
    architectures = ("Cohere2VisionForConditionalGeneration",)
    source = "transformers 5.18 modeling_cohere2_vision.py, configuration_cohere2_vision.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": {
            "hidden_size": 1152,
            "intermediate_size": 3072,
            "image_size": 512,
            "num_hidden_layers": 27,
            "num_attention_heads": 12,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        yield self.join("linear_1", self.alignment_size, self.merged, split="column")
        yield self.join("linear_2", self.hidden_size, self.alignment_size // 2, split="row")
