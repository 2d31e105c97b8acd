"""Muse Glimmer's language model: every fourth layer full, counted from the end; gated attention, four norms."""

from collections.abc import Iterator

from kvplan.models.decoder import FULL, SLIDING, Decoder
from kvplan.weights.parts import Part, linear


class MuseGlimmerText(Decoder):
    """Muse Glimmer 30B. Its Q/K norm has no weight."""

    model_types = ("muse_glimmer_text",)
    source = (
        "transformers 5.18 modeling_muse_glimmer.py, configuration_muse_glimmer.py; vLLM 0.33 models/muse_glimmer.py"
    )
    norms_per_layer = 4
    mlp_bias = False

    def layer_type_rule(self, index: int) -> str:
        """Make the last layer full, and every fourth before it."""
        return SLIDING if (self.layer_count - 1 - index) % 4 and self.window else FULL

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the output's gate."""
        yield from super().attention_parts(index)
        yield linear("gate_proj", self.heads * self.head_dim, self.hidden_size, component="attention")
