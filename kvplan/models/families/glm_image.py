"""GLM-Image: GLM-4 that draws codes, a tower to see, a codebook in between."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models import vqgan
from kvplan.models.decoder import Decoder
from kvplan.models.families.glm4v import GlmOcrText
from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, patch_grid, times
from kvplan.weights.parts import Component, Part, embedding, linear


class GlmImageVision(Tower):
    """A vision transformer without a final norm."""

    model_types = ("glm_image_vision",)
    source = "transformers 5.18 modeling_glm_image.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        bias = self.config.flag("attention_bias", default=True)
        yield patch_embedding(self.config, self.width, bias=True, channels="in_channels")
        yield embedding(
            "position_embedding", patch_grid(self.config), self.width, component="vision", split="replicated"
        )
        yield from times(self.depth, encoder_layer(self.width, self.mlp, qkv_bias=bias, output_bias=bias))


class GlmImageCodes(Tower):
    """The codebook, without encoder and decoder."""

    model_types = ("glm_image_vqmodel",)
    source = "transformers 5.18 modeling_glm_image.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        return vqgan.codebook(self.config)


class GlmImageText(GlmOcrText):
    """The language model: biases on Q, K and V where `attention_bias` says so; its head has the codes only."""

    model_types = ("glm_image_text",)
    source = "transformers 5.18 modeling_glm_image.py"
    qkv_bias = Decoder.qkv_bias

    @cached_property
    def tied(self) -> bool:
        """Never: the head is over the codes."""
        return False

    def head_parts(self) -> Iterator[Part]:
        """Return the head over `vision_vocab_size` codes."""
        yield linear(
            "lm_head", self.config.count("vision_vocab_size"), self.hidden_size, component="head", split="vocabulary"
        )


class GlmImage(Composed):
    """GLM-Image's language part; the diffusion decoder is another model."""

    model_types = ("glm_image",)
    architectures = ("GlmImageForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm_image.py"
    never_tied = True
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "vq_config": "vision"}
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "glm_image_vision",
        "vq_config": "glm_image_vqmodel",
        "text_config": "glm_image_text",
    }
