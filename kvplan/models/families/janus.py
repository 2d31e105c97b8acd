"""Janus: SigLIP to see, an image tokenizer to draw, Llama in between."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models import vqgan
from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, patch_grid, scaled, times
from kvplan.weights.parts import Component, Part, embedding, norm


class JanusVision(Tower):
    """SigLIP without its head, with optional norms over Q and K."""

    model_types = ("janus_vision_model",)
    source = "transformers 5.18 modeling_janus.py"

    @cached_property
    def depth(self) -> int:
        """Layers of the tower; `depth` is the aligner's."""
        return self.config.count("num_hidden_layers", minimum=0)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        mlp = scaled(self.config, "mlp_ratio", self.width)
        bias = self.config.flag("attention_bias", default=True)
        yield patch_embedding(self.config, self.width, bias=True)
        yield embedding(
            "position_embedding", patch_grid(self.config), self.width, component="vision", split="replicated"
        )
        yield from times(self.depth, encoder_layer(self.width, mlp, qkv_bias=bias))
        if self.config.flag("use_qk_norm", default=False):
            yield norm("qk_norm", self.width, bias=True, component="vision", count=2 * self.depth)
        yield norm("post_layernorm", self.width, bias=True, component="vision")


class JanusTokenizer(Tower):
    """The image tokenizer: encoder, codebook and decoder; only the smallest level attends."""

    model_types = ("janus_vqgan",)
    source = "transformers 5.18 modeling_janus.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        levels = len(vqgan.widths(self.config))
        attends = [index == levels - 1 for index in range(levels)]
        yield from vqgan.encoder(self.config, attends)
        yield from vqgan.codebook(self.config)
        yield from vqgan.decoder(self.config, attends)


class Janus(Composed):
    """Janus and Janus-Pro."""

    model_types = ("janus",)
    architectures = ("JanusForConditionalGeneration",)
    source = "transformers 5.18 modeling_janus.py, configuration_janus.py __post_init__"
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "vq_config": "vision"}
    fixed: ClassVar[dict[str, str]] = {"vision_config": "janus_vision_model", "vq_config": "janus_vqgan"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the aligners of both towers, the embedding of the codes and the head that draws."""
        vision, codes = self.tower("vision_config").config, self.tower("vq_config").config
        yield from self._aligner(
            "aligner", self.width_of("vision_config"), vision.count("projection_dim"), vision.count("depth")
        )
        rows, width, inner = codes.count("num_embeddings"), codes.count("embed_dim"), codes.count("projection_dim")
        yield embedding("generation_embeddings", rows, width, component="projector")
        yield from self._aligner("generation_aligner", width, inner, codes.count("num_hidden_layers"))
        yield self.join("generation_head.proj_out", inner, codes.count("image_token_embed_dim"))
        yield self.join("generation_head.vision_head", rows, inner)

    def _aligner(self, name: str, source: int, width: int, depth: int) -> Iterator[Part]:
        yield self.join(f"{name}.fc1", width, source)
        yield from times(depth - 1, [self.join(f"{name}.hidden_layers", width, width)])
