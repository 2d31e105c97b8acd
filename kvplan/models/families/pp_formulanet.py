"""PaddleOCR's readers of formulas and charts: SAM in front of mBART's decoder, or in front of Qwen 2."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.config import Config
from kvplan.models.families.bart import MBart
from kvplan.models.families.sam import GotOcr2, SamVision
from kvplan.models.family import Family
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, convolution, linear

# transformers 5.18 configuration_pp_formulanet.py, PPFormulaNetVisionConfig and PPFormulaNetTextConfig.
_VISION: dict[str, Any] = {
    "hidden_size": 768,
    "output_channels": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 512,
    "patch_size": 16,
    "window_size": 14,
    "global_attn_indexes": [2, 5, 8, 11],
    "mlp_dim": 3072,
    "post_conv_in_channels": 256,
    "post_conv_mid_channels": 512,
    "post_conv_out_channels": 1024,
    "decoder_hidden_size": 512,
}
_TEXT: dict[str, Any] = {
    "vocab_size": 50000,
    "max_position_embeddings": 2560,
    "d_model": 512,
    "decoder_layers": 8,
    "decoder_ffn_dim": 2048,
    "decoder_attention_heads": 16,
}


class PpFormulaNet(Family):
    """PP-FormulaNet: the image's grid is quartered twice before the decoder reads it; the head is never tied."""

    model_types = ("pp_formulanet",)
    architectures = ("PPFormulaNetForConditionalGeneration",)
    source = "transformers 5.18 modeling_pp_formulanet.py, configuration_pp_formulanet.py"
    has_encoder = True
    tied = False

    def _filled(self, key: str, values: dict[str, Any]) -> Config:
        """Return the part at `key` over the values of its class; its facts are the class's own, not the whole file's."""
        stated = self.config.part(key, "")
        part = Config({**values, **stated.values}, where=stated.where, path=stated.path, model_type="-")
        stated.read = part.read
        return part

    @cached_property
    def decoder(self) -> MBart:
        """The decoder: mBART's on its own."""
        decoder = MBart(self._filled("text_config", _TEXT))
        decoder.alone = True
        decoder.tied = True
        decoder.head_tied = False
        return decoder

    @cached_property
    def vision(self) -> SamVision:
        """The encoder."""
        return SamVision(self._filled("vision_config", _VISION))

    @cached_property
    def encoder_tokens(self) -> int:
        """Positions of the image: patches per side, halved twice."""
        config = self.vision.config
        side = config.count("image_size") // config.count("patch_size")
        return (-(-side // 4)) ** 2

    @cached_property
    def hidden_size(self) -> int:
        """The decoder's."""
        return self.decoder.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The decoder's."""
        return self.decoder.vocab_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The decoder's."""
        return self.decoder.max_context_tokens

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers with the image's keys and values."""
        cross = self.decoder.cross_attention
        return tuple(
            Layer(caches=(*layer.caches, cross(index)), parts=layer.parts)
            for index, layer in enumerate(self.decoder.layers())
        )

    def outer(self) -> Iterator[Part]:
        """Return the encoder, the projector and the decoder's outer parts."""
        yield from self.vision.outer()
        config = self.vision.config
        first, middle, last = (config.count(f"post_conv_{name}_channels") for name in ("in", "mid", "out"))
        yield convolution("projector.conv1", middle, first, 3, 3, component="projector", split="replicated")
        yield convolution("projector.conv2", last, middle, 3, 3, component="projector", split="replicated")
        yield linear("projector.linear_1", last, last, bias=True, component="projector", split="replicated")
        width = config.count("decoder_hidden_size")
        yield linear("projector.linear_2", width, last, bias=True, component="projector", split="replicated")
        yield from self.decoder.outer()


class PpChart2Table(GotOcr2):
    """PP-Chart2Table: GOT-OCR 2."""

    model_types = ("pp_chart2table",)
    source = "transformers 5.18 configuration_pp_chart2table.py"
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": {key: value for key, value in _VISION.items() if key in GotOcr2.filled["vision_config"]}
        | {"image_size": 1024}
    }
