"""Chameleon: a Llama with norms over whole heads of Q and K, and an image tokenizer whose codes are words."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models import vqgan
from kvplan.models.decoder import Decoder
from kvplan.models.towers import Tower
from kvplan.weights.parts import Part, norm


class ChameleonTokenizer(Tower):
    """The image tokenizer; only its encoder is there."""

    model_types = ("chameleon_vqgan",)
    source = "transformers 5.18 modeling_chameleon.py"

    def outer(self) -> Iterator[Part]:
        """Return encoder and codebook."""
        config = self.config
        vanilla = config.text("attn_type", default="vanilla") == "vanilla"
        sizes = config.items("attn_resolutions") or ()
        resolution = config.count("resolution")
        attends = [vanilla and resolution >> index in sizes for index in range(len(vqgan.widths(config)))]
        yield from vqgan.encoder(config, attends, middle_attends=vanilla)
        yield from vqgan.codebook(config)


class Chameleon(Decoder):
    """Chameleon 7B and 34B."""

    model_types = ("chameleon",)
    architectures = ("ChameleonForConditionalGeneration",)
    source = "transformers 5.18 modeling_chameleon.py"

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads: this class does not look at `head_dim`."""
        return self._derived_head_dim()

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the norms, which have a weight and a bias for every element of every head."""
        yield from super().attention_parts(index)
        yield norm("q_norm", self.heads * self.head_dim, bias=True)
        yield norm("k_norm", self.kv_heads * self.head_dim, bias=True)

    def outer(self) -> Iterator[Part]:
        """Return the decoder's outer parts and the tokenizer."""
        yield from super().outer()
        yield from self.nested("vq_config", "chameleon_vqgan").outer()
