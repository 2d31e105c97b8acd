"""Dia: text to the codes of speech, KV heads in the decoder, cross-attention of its own width."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import named
from kvplan.models.multimodal import Multimodal
from kvplan.models.towers import Tower, encoder_layer, times
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, norm


class DiaEncoder(Tower):
    """The text encoder: rotary positions, gated MLPs, no biases."""

    model_types = ("dia_encoder",)
    source = "transformers 5.18 modeling_dia.py"
    cacheless = "a text encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        heads, size = config.count("num_attention_heads"), config.count("head_dim")
        yield embedding("embedding", config.count("vocab_size"), width, component="encoder")
        layer = encoder_layer(
            width,
            self.mlp,
            component="encoder",
            inner=heads * size,
            kv_inner=(config.optional_count("num_key_value_heads") or heads) * size,
            qkv_bias=False,
            output_bias=False,
            gated=True,
            mlp_bias=False,
            norm_bias=False,
        )
        yield from times(self.depth, layer)
        yield norm("norm", width, component="encoder")


class DiaDecoder(Decoder):
    """The decoder: a table and a head for each channel of codes."""

    model_types = ("dia_decoder",)
    source = "transformers 5.18 modeling_dia.py DiaCrossAttention"
    qkv_bias = False
    mlp_bias = False
    norms_per_layer = 3
    tied = False

    @cached_property
    def channels(self) -> int:
        """Codes of one frame."""
        return self.config.count("num_channels")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the layer's own and the text's."""
        size = self.config.count("cross_head_dim")
        cross = CrossAttention(heads=self.config.count("cross_num_key_value_heads"), key_dim=size, value_dim=size)
        return (*super().caches(index), cross)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return both attentions."""
        yield from named("self_attention.", super().attention_parts(index))
        cross = blocks.attention(
            self.hidden_size,
            heads=self.config.count("cross_num_attention_heads"),
            kv_heads=self.config.count("cross_num_key_value_heads"),
            key_dim=self.config.count("cross_head_dim"),
            kv_source=self.config.count("cross_hidden_size"),
        )
        yield from named("cross_attention.", cross)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the channels' tables."""
        yield embedding("embeddings", self.channels * self.vocab_size, self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return the channels' heads."""
        yield linear("logits_dense", self.channels * self.vocab_size, self.hidden_size, component="head")


class Dia(Multimodal):
    """Dia."""

    model_types = ("dia",)
    architectures = ("DiaForConditionalGeneration",)
    source = "transformers 5.18 modeling_dia.py"
    text_key = "decoder_config"
    text_type = "dia_decoder"
    towers = {"encoder_config": "encoder"}  # noqa: RUF012
    has_encoder = True
