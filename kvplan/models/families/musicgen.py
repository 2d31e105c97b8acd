"""MusicGen and MusicGen Melody: a decoder of audio codes that reads a T5's text."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import EncoderDecoder, named
from kvplan.models.family import Family, as_component
from kvplan.models.spec import Layer
from kvplan.models.towers import self_attention
from kvplan.weights.parts import Part, embedding, linear


class MusicgenDecoder(Decoder):
    """The decoder: a table and a head for each codebook, sinusoidal positions, cross-attention in every layer."""

    model_types = ("musicgen_decoder",)
    source = "transformers 5.18 modeling_musicgen.py"
    gated_mlp = False
    norm_bias = True
    norms_per_layer = 3
    mlp_bias = False
    tied = False
    crosses = True

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_dim`."""
        return self.config.count("ffn_dim")

    @cached_property
    def codebooks(self) -> int:
        """Codes of one frame."""
        return self.config.count("num_codebooks")

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return self-attention and, in MusicGen, cross-attention, all without biases."""
        for prefix in ("self_attn.", "encoder_attn.") if self.crosses else ("self_attn.",):
            attention = self_attention(self.hidden_size, component="attention", qkv_bias=False, output_bias=False)
            yield from named(prefix, attention)

    def embedding_parts(self) -> Iterator[Part]:
        """Return a table for each codebook, with a row for padding."""
        yield embedding("embed_tokens", self.codebooks * (self.vocab_size + 1), self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return a head for each codebook."""
        yield linear("lm_heads", self.codebooks * self.vocab_size, self.hidden_size, component="head")


class MelodyDecoder(MusicgenDecoder):
    """Melody's decoder: text and chroma are a prefix of its own positions."""

    model_types = ("musicgen_melody_decoder",)
    source = "transformers 5.18 modeling_musicgen_melody.py"
    norms_per_layer = 2
    crosses = False


class Musicgen(Family):
    """MusicGen: T5's encoder, EnCodec, the decoder, and a projection of the text where the widths differ."""

    model_types = ("musicgen",)
    architectures = ("MusicgenForConditionalGeneration",)
    source = "transformers 5.18 modeling_musicgen.py MusicgenForConditionalGeneration"
    decoder_type = "musicgen_decoder"
    has_encoder = True

    def part(self, key: str) -> Family:
        """Return the family of the part at `key`.

        Raises:
            ConfigError: the file has no such part.

        """
        if not self.config.states(key):
            raise self.config.fail(key, "is not stated; a configuration was expected.")
        return self.nested(key)

    @cached_property
    def text(self) -> Family:
        """The text encoder: of an encoder-decoder only that half."""
        family = self.part("text_encoder")
        if isinstance(family, EncoderDecoder):
            family.encoder_only = True
        return family

    @cached_property
    def decoder(self) -> MusicgenDecoder:
        """The decoder.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested("decoder", self.decoder_type)
        if not isinstance(family, MusicgenDecoder):
            raise self.refuse("decoder", f"is of type {family.config.model_type!r}.", "Use the published files' type.")
        return family

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The encoders'."""
        return self.text.unknown_parameters or self.part("audio_encoder").unknown_parameters

    @cached_property
    def hidden_size(self) -> int:
        """The decoder's."""
        return self.decoder.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The decoder's."""
        return self.decoder.vocab_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """Nothing bounds it: positions are computed as far as needed."""
        return None

    def caches(self, layer: Layer) -> tuple[LayerCache, ...]:
        """Return what a layer keeps: its own and the text's."""
        decoder = self.decoder
        return (
            *layer.caches,
            CrossAttention(heads=decoder.heads, key_dim=decoder.head_dim, value_dim=decoder.head_dim),
        )

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers."""
        return tuple(Layer(caches=self.caches(layer), parts=layer.parts) for layer in self.decoder.layers())

    def outer(self) -> Iterator[Part]:
        """Return both encoders, the decoder's outer parts and the projections."""
        yield from as_component(self.text.outer(), "encoder")
        yield from as_component(self.part("audio_encoder").outer(), "audio")
        yield from self.decoder.outer()
        yield from self.projector_parts()

    def projector_parts(self) -> Iterator[Part]:
        """Return the projection of the text."""
        own = self.decoder.config.optional_count("cross_attention_hidden_size")
        width = self.text.hidden_size
        if width != self.hidden_size and own is None:
            yield linear("enc_to_dec_proj", self.hidden_size, width, bias=True, component="projector")


class MusicgenMelody(Musicgen):
    """MusicGen Melody: text and chroma stand before the codes in the decoder's own cache."""

    model_types = ("musicgen_melody",)
    architectures = ("MusicgenMelodyForConditionalGeneration",)
    source = "transformers 5.18 modeling_musicgen_melody.py MusicgenMelodyForConditionalGeneration"
    decoder_type = "musicgen_melody_decoder"
    has_encoder = False

    def caches(self, layer: Layer) -> tuple[LayerCache, ...]:
        """Return the layer's own."""
        return layer.caches

    def projector_parts(self) -> Iterator[Part]:
        """Return the projections of text and chroma."""
        yield from super().projector_parts()
        chroma = self.config.count("num_chroma", default=12)
        if chroma != self.hidden_size:
            yield linear("audio_enc_to_dec_proj", self.hidden_size, chroma, bias=True, component="projector")
