"""Idefics 1: Llama with gated layers between its own that look at the image (or what a resampler makes of it)."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.families.clip import ClipVision
from kvplan.models.family import Family, as_component
from kvplan.models.towers import Tower, self_attention, times
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class IdeficsVision(ClipVision):
    """CLIP's tower under other names."""

    model_types = ("idefics_vision",)
    source = "transformers 5.18 idefics/vision.py"


class IdeficsPerceiver(Tower):
    """The resampler's settings; its parameters depend on the tower's width."""

    model_types = ("idefics_perciever",)
    source = "transformers 5.18 idefics/perceiver.py"
    cacheless = "a resampler"
    unknown_parameters = "the resampler on its own is not counted"


class Idefics(Decoder):
    """Idefics 1. The gated layers compute the image's keys and values anew at every step: nothing of it is kept.

    Source: IdeficsGatedCrossAttentionLayer.forward refuses past_key_values; generation hands on the image's states instead.
    """

    model_types = ("idefics",)
    architectures = ("IdeficsForVisionText2Text", "IdeficsModel")
    source = "transformers 5.18 modeling_idefics.py, idefics/perceiver.py"
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def vision(self) -> Family:
        """The tower."""
        return self.nested("vision_config", "idefics_vision")

    @cached_property
    def vision_size(self) -> int:
        """Width of the tower."""
        return self.vision.config.count("hidden_size", "embed_dim")

    @cached_property
    def qk_norm(self) -> bool:
        """`qk_layer_norms`: in the gated layers only, the text's have none."""
        return False

    def gated_parts(self) -> Iterator[Part]:
        """Return one gated layer.

        Raises:
            ConfigError: `alpha_type` is neither of the two.

        """
        config, width = self.config, self.hidden_size
        kind = config.text("alpha_type", default="float")
        if kind not in ("float", "vector"):
            raise config.fail("alpha_type", f"is {kind[:40]!r}; float or vector was expected.")
        yield from self_attention(
            width, component="attention", source=self.vision_size, qkv_bias=False, output_bias=False
        )
        if config.flag("qk_layer_norms", default=False):
            yield norm("qk_layer_norms", self.head_dim, count=2)
        yield from blocks.gated_mlp(width, self.intermediate_size)
        yield norm("layer_norms", width, count=2)
        yield vector("alphas", 2 * (width if kind == "vector" else 1), component="attention")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the table and its additional rows."""
        yield from super().embedding_parts()
        if rows := self.config.count("additional_vocab_size", default=0, minimum=0):
            yield embedding("additional_embedding", rows, self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return the head and its additional rows."""
        yield from super().head_parts()
        if not self.tied and (rows := self.config.count("additional_vocab_size", default=0, minimum=0)):
            yield linear("additional_fc", rows, self.hidden_size, component="head", split="vocabulary")

    def outer(self) -> Iterator[Part]:
        """Return the language model's, the gated layers, the tower and the resampler."""
        yield from super().outer()
        yield from times(self.layer_count // self.config.count("cross_layer_interval"), self.gated_parts())
        yield from as_component(self.vision.outer(), "vision")
        if self.config.flag("use_resampler", default=False):
            yield from as_component(self.resampler_parts(), "projector")

    def resampler_parts(self) -> Iterator[Part]:
        """Return the resampler: latents, blocks of attention and MLP, a norm."""
        perceiver = self.config.part("perceiver_config", "idefics_perciever")
        width = self.vision_size
        size = perceiver.count("resampler_head_dim")
        inner = perceiver.count("resampler_n_heads") * size
        yield vector("latents", perceiver.count("resampler_n_latents"), width, component="projector")
        block = [
            *self_attention(width, component="projector", inner=inner, qkv_bias=False, output_bias=False),
            *blocks.plain_mlp(width, 4 * width, bias=False, component="projector"),
            norm("layer_norms", width, bias=True, component="projector", count=3),
        ]
        if perceiver.flag("qk_layer_norms_perceiver", default=False):
            block.append(norm("qk_layer_norms", size, bias=True, component="projector", count=2))
        yield from times(perceiver.count("resampler_depth", minimum=0), block)
        yield norm("layer_norm", width, bias=True, component="projector")
