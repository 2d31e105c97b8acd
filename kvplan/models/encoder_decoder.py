"""The general reader of encoder-decoder models: an encoder, and a decoder whose layers also keep the encoder's keys and values."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.config import Config
from kvplan.models.decoder import Decoder
from kvplan.models.spec import Layer
from kvplan.models.towers import encoder_layer, self_attention, times
from kvplan.weights.parts import Part, embedding, linear


def architecture(config: Config) -> str:
    """Return the class that the file was saved from, empty where it does not say."""
    names = config.raw("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""


def label_count(config: Config, default: int = 2) -> int:
    """Return the outputs of a classification head: `id2label`, else `num_labels`, else 2 (PreTrainedConfig)."""
    labels = config.raw("id2label")
    return len(labels) if isinstance(labels, dict) else config.count("num_labels", default=default)


def named(prefix: str, parts: Iterable[Part]) -> Iterator[Part]:
    """Return the parts under a path of their own."""
    return (replace(part, name=prefix + part.name) for part in parts)


class EncoderDecoder(Decoder):
    """An encoder beside a decoder with self- and cross-attention in every layer, after BART's pattern.

    The decoder's numbers are the family's own (`layer_count`, `heads`, `intermediate_size`); the encoder's start with
    `encoder_`. Where the file names a `...ForCausalLM` class, or a composite model asks for it, the decoder stands alone.
    """

    gated_mlp = False
    norm_bias = True
    norms_per_layer = 3
    qkv_bias = True
    output_bias = True
    mlp_bias = True
    key_bias: ClassVar[bool | None] = None  # None: as the other projections
    default_labels: ClassVar[int] = 2

    @cached_property
    def alone(self) -> bool:
        """Whether only the decoder is there; its cross-attention has parameters but nothing to keep."""
        return architecture(self.config).endswith("ForCausalLM")

    @cached_property
    def encoder_only(self) -> bool:
        """Whether only the encoder is there (`T5EncoderModel`)."""
        return architecture(self.config).endswith("EncoderModel")

    @cached_property
    def has_encoder(self) -> bool:
        """Decoding reads an encoder unless the decoder stands alone."""
        return not (self.alone or self.encoder_only)

    @cached_property
    def cacheless(self) -> str | None:
        """An encoder on its own keeps nothing."""
        return f"an encoder on its own ({architecture(self.config)})" if self.encoder_only else None

    # -- the decoder ---------------------------------------------------------------------------------------------------

    @cached_property
    def hidden_size(self) -> int:
        """`d_model`."""
        return self.config.count("hidden_size", "d_model")

    @cached_property
    def layer_count(self) -> int:
        """Decoder layers. `num_hidden_layers` means the encoder's in these files."""
        return self.config.count("decoder_layers")

    @cached_property
    def heads(self) -> int:
        """Heads of the decoder."""
        return self.config.count("decoder_attention_heads")

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads, which the reference insists is whole."""
        if self.hidden_size % self.heads:
            raise self.config.fail("d_model", f"is {self.hidden_size}, not a multiple of the {self.heads} heads.")
        return self.hidden_size // self.heads

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the decoder's MLP."""
        return self.config.count("decoder_ffn_dim")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def head_tied(self) -> bool:
        """Whether the head is the embedding; a composite model may tie the tables but not the head."""
        return self.tied

    def cross_attention(self, index: int) -> CrossAttention:
        """Return what layer `index` keeps of the encoder's output."""
        return CrossAttention(
            heads=self.kv_heads_at(index), key_dim=self.key_dim_at(index), value_dim=self.value_dim_at(index)
        )

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return self-attention's keys and values and the encoder's."""
        own = super().caches(index)
        return own if self.alone else (*own, self.cross_attention(index))

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers; none for an encoder on its own."""
        return () if self.encoder_only else super().layers()

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return self-attention and cross-attention."""
        yield from named("self_attn.", self._projections(index, self.hidden_size))
        yield from named("encoder_attn.", self._projections(index, self.encoder_size))

    def _projections(self, index: int, source: int) -> Iterator[Part]:
        return self_attention(
            self.hidden_size,
            component="attention",
            inner=self.heads_at(index) * self.key_dim_at(index),
            source=source,
            qkv_bias=self.qkv_bias,
            k_bias=self.key_bias,
            output_bias=self.qkv_bias,
        )

    # -- the encoder ---------------------------------------------------------------------------------------------------

    @cached_property
    def encoder_size(self) -> int:
        """Width of the encoder's output."""
        return self.hidden_size

    @cached_property
    def encoder_layer_count(self) -> int:
        """Encoder layers."""
        return self.config.count("encoder_layers", minimum=0)

    @cached_property
    def encoder_intermediate_size(self) -> int:
        """Width of the encoder's MLP."""
        return self.config.count("encoder_ffn_dim")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder, its token embedding not included."""
        yield from times(self.encoder_layer_count, self.encoder_layer_parts())

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer."""
        return encoder_layer(
            self.hidden_size, self.encoder_intermediate_size, component="encoder", k_bias=self.key_bias
        )

    # -- outside the layers --------------------------------------------------------------------------------------------

    def outer(self) -> Iterator[Part]:
        """Return the embeddings, the encoder, what the decoder has outside its layers, and the head."""
        yield from self.embedding_parts()
        if not self.alone:
            yield from self.encoder_parts()
        if not self.encoder_only:
            yield from self.decoder_parts()
            yield from self.head_parts()

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's positions and norms."""
        return iter(())

    def embedding_parts(self) -> Iterator[Part]:
        """Return the token embedding: one table, or where nothing is tied also the encoder's and the decoder's own."""
        yield embedding("shared", self.vocab_size, self.hidden_size)
        if not self.tied and not self.alone:
            yield embedding("encoder.embed_tokens", self.vocab_size, self.hidden_size)
            if not self.encoder_only:
                yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)

    @property
    def _generates(self) -> bool:
        name = architecture(self.config)
        return not name.endswith("Model") or name.endswith(("MTModel", "LMHeadModel"))

    def head_parts(self) -> Iterator[Part]:
        """Return the head of the class that the file names; without one, the one that generates."""
        name = architecture(self.config)
        if name.endswith("ForSequenceClassification"):
            yield linear("dense", self.hidden_size, self.hidden_size, bias=True, component="head", split="replicated")
            yield linear(
                "out_proj",
                label_count(self.config, self.default_labels),
                self.hidden_size,
                bias=True,
                component="head",
                split="replicated",
            )
        elif name.endswith("ForQuestionAnswering"):
            yield linear("qa_outputs", 2, self.hidden_size, bias=True, component="head", split="replicated")
        elif self._generates and not self.head_tied:
            rows, width = self.vocab_size, self.hidden_size
            yield linear("lm_head", rows, width, bias=self.head_bias, component="head", split="vocabulary")
