"""ProphetNet: BART's shape with n-gram streams in the decoder; only the main stream's keys and values are kept."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import EncoderDecoder
from kvplan.weights.parts import Part, embedding, linear, norm


class ProphetNet(EncoderDecoder):
    """ProphetNet and XLM-ProphetNet.

    The predicting streams' keys and values live for one step (ProphetNetNgramSelfAttention.forward updates the cache with
    the main stream's).
    """

    model_types = ("prophetnet", "xlm-prophetnet")
    architectures = ("ProphetNetForConditionalGeneration", "XLMProphetNetForConditionalGeneration")
    source = "transformers 5.18 modeling_prophetnet.py"

    @cached_property
    def layer_count(self) -> int:
        """`num_decoder_layers`."""
        return self.config.count("num_decoder_layers")

    @cached_property
    def encoder_layer_count(self) -> int:
        """`num_encoder_layers`."""
        return self.config.count("num_encoder_layers", minimum=0)

    @cached_property
    def heads(self) -> int:
        """`num_decoder_attention_heads`."""
        return self.config.count("num_decoder_attention_heads")

    @cached_property
    def max_context_tokens(self) -> int:
        """`max_position_embeddings`."""
        return self.config.count("max_position_embeddings")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return both attentions and the relative positions of every layer."""
        yield from super().attention_parts(index)
        buckets = self.config.count("num_buckets") * self.heads
        yield linear("relative_pos_embeddings", buckets, self.hidden_size, bias=True, component="attention")

    def encoder_parts(self) -> Iterator[Part]:
        """Return positions, norm and layers of the encoder."""
        yield embedding(
            "encoder.position_embeddings",
            self.max_context_tokens,
            self.hidden_size,
            component="encoder",
            split="replicated",
        )
        yield norm("encoder.embeddings_layer_norm", self.hidden_size, bias=True, component="encoder")
        yield from super().encoder_parts()

    def decoder_parts(self) -> Iterator[Part]:
        """Return positions, streams and norm of the decoder."""
        yield embedding("decoder.position_embeddings", self.max_context_tokens, self.hidden_size, split="replicated")
        yield embedding("decoder.ngram_embeddings", self.config.count("ngram"), self.hidden_size, split="replicated")
        yield norm("decoder.embeddings_layer_norm", self.hidden_size, bias=True)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables; a decoder on its own keeps two where they are not tied."""
        yield from super().embedding_parts()
        if self.alone and not self.tied:
            yield embedding("decoder.word_embeddings", self.vocab_size, self.hidden_size)
