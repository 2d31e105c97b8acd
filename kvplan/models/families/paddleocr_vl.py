"""PaddleOCR-VL: SigLIP without its head, patches merged by two linears, ERNIE 4.5."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.decoder import Decoder
from kvplan.models.families.siglip import SiglipVision
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, norm


class PaddleOcrVision(SiglipVision):
    """SigLIP; the published weights also hold a head and packing positions, which the model does not use."""

    model_types = ("paddleocr_vl_vision",)
    source = "transformers 5.18 modeling_paddleocr_vl.py (_keys_to_ignore_on_load_unexpected)"
    pooled = False


class PaddleOcrText(Decoder):
    """ERNIE 4.5, dense: one switch for all biases."""

    model_types = ("paddleocr_vl_text",)
    source = "transformers 5.18 modeling_paddleocr_vl.py"

    @property
    def qkv_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """`use_bias`."""
        return self.qkv_bias


class PaddleOcrVL(Composed):
    """PaddleOCR-VL."""

    model_types = ("paddleocr_vl",)
    architectures = ("PaddleOCRVLForConditionalGeneration",)
    source = "transformers 5.18 modeling_paddleocr_vl.py, configuration_paddleocr_vl.py __post_init__"
    tie_either = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "paddleocr_vl_vision", "text_config": "paddleocr_vl_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        width = self.width_of("vision_config")
        merged = width * self.tower("vision_config").config.count("spatial_merge_size") ** 2
        yield norm("pre_norm", width, bias=True, component="projector")
        yield self.join("linear_1", merged, merged)
        yield self.join("linear_2", self.hidden_size, merged)
