"""Muse Glimmer's tower and the whole model; its language model has a file of its own."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, times
from kvplan.weights.parts import Part, embedding, linear, norm


class MuseGlimmerVision(Tower):
    """A vision transformer with a table of positions and norms at both ends."""

    model_types = ("muse_glimmer_vision",)
    source = "transformers 5.18 modeling_muse_glimmer.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        c.read.add("layer_types")  # windows inside the tower; nothing is cached
        patch = 3 * c.count("patch_temporal") * c.count("patch_size") ** 2
        positions = c.count("pos_emb_height") * c.count("pos_emb_width")
        yield linear("patch_embedding", self.width, patch, component="vision", split="replicated")
        yield embedding("position_embedding_table", positions, self.width, component="vision", split="replicated")
        yield norm("ln_pre_post", self.width, bias=True, component="vision", count=2)
        yield from times(self.depth, encoder_layer(self.width, self.mlp))


class MuseGlimmer(Composed):
    """Muse Glimmer: an adapter of two linears and a projection, all without biases."""

    model_types = ("muse_glimmer",)
    architectures = ("MuseGlimmerForConditionalGeneration",)
    source = "transformers 5.18 modeling_muse_glimmer.py"
    untied = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "muse_glimmer_vision", "text_config": "muse_glimmer_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the three linears."""
        inner = self.config.count("projector_hidden_size")
        yield self.join("vision_adapter.fc1", inner, self.config.count("out_hidden_size"), bias=False)
        yield self.join("vision_adapter.fc2", inner, inner, bias=False)
        yield self.join("vision_projection", self.hidden_size, inner, bias=False)
