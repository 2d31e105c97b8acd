"""Speech recognisers with a FastConformer and a transformer decoder: Canary and Cohere's."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import EncoderDecoder, named
from kvplan.models.families.parakeet import encoder_part
from kvplan.models.family import Family
from kvplan.models.spec import Layer
from kvplan.models.towers import self_attention
from kvplan.weights.parts import Part, embedding, linear, norm


class CohereAsr(EncoderDecoder):
    """Cohere's recogniser: learned positions, the encoder projected once before the decoder reads it."""

    model_types = ("cohere_asr",)
    architectures = ("CohereAsrForConditionalGeneration",)
    source = "transformers 5.18 modeling_cohere_asr.py, configuration_cohere_asr.py _default_encoder_config_kwargs"
    encoder_defaults: ClassVar[dict[str, Any]] = {
        "hidden_size": 1280,
        "num_hidden_layers": 48,
        "intermediate_size": 5120,
        "num_mel_bins": 128,
    }
    head_bias = True

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so."""
        return self.config.flag("tie_word_embeddings", default=False)

    # One configuration whose plain keys are the decoder's, as the general reader has them.
    layer_count = Decoder.layer_count
    heads = Decoder.heads
    kv_heads = Decoder.kv_heads
    head_dim = Decoder.head_dim
    intermediate_size = Decoder.intermediate_size

    @cached_property
    def max_context_tokens(self) -> int:
        """The decoder's positions."""
        return self.config.count("max_position_embeddings")

    @property
    def qkv_bias(self) -> bool:
        """`attention_bias`, O's too."""
        return self.config.flag("attention_bias", default=True)

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return self-attention and cross-attention."""
        for prefix in ("self_attn.", "encoder_attn."):
            attention = self_attention(
                self.hidden_size,
                component="attention",
                inner=self.heads * self.head_dim,
                kv_inner=self.kv_heads * self.head_dim,
                qkv_bias=self.qkv_bias,
                output_bias=self.qkv_bias,
            )
            yield from named(prefix, attention)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the decoder's table and its positions."""
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)
        yield embedding("decoder.pos_emb", self.max_context_tokens, self.hidden_size, split="replicated")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder and its projection."""
        encoder = encoder_part(self, self.encoder_defaults)
        yield from encoder.outer()
        width = encoder.config.count("hidden_size")
        yield linear("decoder.proj", self.hidden_size, width, bias=True, component="projector")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the norms after the embedding and at the end."""
        yield norm("decoder.norms", self.hidden_size, bias=True, count=2)

    def head_parts(self) -> Iterator[Part]:
        """Return the head; its bias stays where the matrix is tied."""
        if self.tied:
            yield norm("proj_out.bias", self.vocab_size, component="head")
        else:
            yield from super().head_parts()


class CanaryDecoder(CohereAsr):
    """Canary's decoder: computed positions."""

    model_types = ("canary_decoder",)
    source = "transformers 5.18 modeling_canary.py CanaryDecoder"

    def embedding_parts(self) -> Iterator[Part]:
        """Return the table."""
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return nothing: the encoder stands beside it."""
        return iter(())


class Canary(Family):
    """Canary: the encoder as it is, the decoder under `decoder_config`."""

    model_types = ("canary",)
    architectures = ("CanaryForConditionalGeneration",)
    source = "transformers 5.18 modeling_canary.py, configuration_canary.py __post_init__"
    has_encoder = True
    absent_encoder: ClassVar[dict[str, Any]] = {"num_hidden_layers": 32, "num_mel_bins": 128}

    @cached_property
    def decoder(self) -> Family:
        """The decoder's family, its head tied as the whole file says."""
        decoder = self.nested("decoder_config", "canary_decoder")
        decoder.tied = self.config.flag("tie_word_embeddings", default=True)
        return decoder

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
        """The decoder's."""
        return self.decoder.max_context_tokens

    @cached_property
    def tied(self) -> bool:
        """The whole file's."""
        return self.decoder.tied

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers."""
        return self.decoder.layers()

    def outer(self) -> Iterator[Part]:
        """Return encoder and decoder."""
        absent = None if self.config.states("encoder_config") else self.absent_encoder
        yield from encoder_part(self, absent).outer()
        yield from self.decoder.outer()
