"""Ovis 2: patches become a mixture of visual words, which have an embedding of their own."""

from collections.abc import Iterator
from typing import Any, ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, patch_grid, times
from kvplan.weights.parts import Part, embedding, linear, norm


class Ovis2Vision(Tower):
    """AIMv2 with a head over visual words; `num_visual_indicator_tokens` of them are not the head's."""

    model_types = ("ovis2_vision",)
    source = "transformers 5.18 modeling_ovis2.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        bias = c.flag("qkv_bias", default=False)
        layer = encoder_layer(
            width,
            self.mlp,
            qkv_bias=bias,
            output_bias=bias,
            gated=True,
            mlp_bias=c.flag("mlp_bias", default=False),
            norm_bias=False,
        )
        words = c.count("vocab_size") - c.count("num_visual_indicator_tokens", minimum=0)
        if words < 1:
            raise c.fail("vocab_size", "has no words besides the indicators.")
        yield patch_embedding(c, width, bias=True)
        yield embedding("position_embedding", patch_grid(c), width, component="vision", split="replicated")
        yield norm("rms_norms", width, component="vision", count=2)
        yield from times(self.depth, layer)
        yield linear("head_linear", words, width * c.count("hidden_stride") ** 2, component="vision")
        yield norm("head_norm", words, bias=True, component="vision")


class Ovis2(Composed):
    """Ovis 2."""

    model_types = ("ovis2",)
    architectures = ("Ovis2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_ovis2.py, configuration_ovis2.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "ovis2_vision"}
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": {
            "hidden_size": 1024,
            "intermediate_size": 2816,
            "num_hidden_layers": 24,
            "num_attention_heads": 8,
            "image_size": 224,
            "patch_size": 14,
            "vocab_size": 16384,
            "hidden_stride": 1,
            "num_visual_indicator_tokens": 5,
        }
    }

    @property
    def flat(self) -> bool:
        """The top level's `hidden_size` is that of the visual words."""
        return False

    def projector_parts(self) -> Iterator[Part]:
        """Return the embedding of the visual words."""
        words = self.tower("vision_config").config.count("vocab_size")
        yield embedding("visual_embeddings_table", words, self.config.count("hidden_size"), component="projector")

    def outer(self) -> Iterator[Part]:
        """Return everything; the head has the top level's sizes."""
        rows, width = self.config.count("vocab_size"), self.config.count("hidden_size")
        for part in super().outer():
            if part.component == "head":
                yield linear("lm_head", rows, width, component="head", split="vocabulary")
            else:
                yield part
