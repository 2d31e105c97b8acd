"""Helium: Llama with an output projection as wide as the hidden size."""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part


class Helium(Decoder):
    """Helium 1."""

    model_types = ("helium",)
    architectures = ("HeliumForCausalLM",)
    source = "transformers 5.18 modeling_helium.py"
    output_bias = False

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections; O is D x D, whatever the heads' width."""
        square = (self.hidden_size, self.hidden_size)
        for part in super().attention_parts(index):
            yield replace(part, shape=square) if part.name == "o_proj" else part
