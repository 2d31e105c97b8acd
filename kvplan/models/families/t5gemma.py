"""T5Gemma: two Gemma 2 stacks, the decoder's layers with cross-attention between self-attention and MLP."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import FULL, SLIDING, Decoder
from kvplan.models.family import Family, as_component
from kvplan.models.spec import Layer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class T5GemmaModule(Decoder):
    """One stack of T5Gemma: Gemma 2's layers. Where it stands alone it is read as the decoder without an encoder."""

    model_types = ("t5_gemma_module",)
    source = "transformers 5.18 modeling_t5gemma.py, configuration_t5gemma.py __post_init__"
    norms_per_layer = 4
    mlp_bias = False

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    def layer_type_rule(self, index: int) -> str:
        """Even layers slide."""
        return FULL if index % 2 or self.window is None else SLIDING

    def stack(self) -> Iterator[Part]:
        """Return all of the stack but its token embedding."""
        for index in range(self.layer_count):
            yield from self.parts(index)
        yield norm("norm", self.hidden_size)


class T5Gemma(Family):
    """T5Gemma: an embedding for each stack; the head's tie to the decoder's is the whole file's flag."""

    model_types = ("t5gemma",)
    architectures = ("T5GemmaForConditionalGeneration",)
    source = "transformers 5.18 modeling_t5gemma.py T5GemmaDecoderLayer, T5GemmaForConditionalGeneration"
    ignored = dict.fromkeys(
        ("layer_types", "sliding_window", "sliding_window_pattern"), "the encoder's; the decoder reads its own"
    )
    stack_type = "t5_gemma_module"
    has_encoder = True

    def stack(self, key: str) -> T5GemmaModule:
        """Return the stack at `key`.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested(key, self.stack_type)
        if not isinstance(family, T5GemmaModule):
            raise self.refuse(key, f"is of type {family.config.model_type!r}.", "Use the type of the published files.")
        return family

    @cached_property
    def decoder(self) -> T5GemmaModule:
        """The decoder's stack."""
        return self.stack("decoder")

    @cached_property
    def encoder(self) -> T5GemmaModule:
        """The encoder's text stack."""
        return self.stack("encoder")

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
        """The file's own flag."""
        return self.config.flag("tie_word_embeddings", default=True)

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers: the encoder's positions are all kept, in layers that slide too."""
        decoder = self.decoder
        return tuple(
            Layer(
                caches=(*decoder.caches(i), self.cross_attention(i)),
                parts=(*decoder.parts(i), *self.cross_attention_parts(i)),
            )
            for i in range(decoder.layer_count)
        )

    def cross_attention(self, index: int) -> LayerCache:
        """Return what layer `index` keeps of the encoder's output."""
        decoder = self.decoder
        return CrossAttention(
            heads=decoder.kv_heads_at(index), key_dim=decoder.key_dim_at(index), value_dim=decoder.value_dim_at(index)
        )

    def cross_attention_parts(self, index: int) -> Iterator[Part]:
        """Return cross-attention with its two norms."""
        decoder = self.decoder
        yield from blocks.attention(
            decoder.hidden_size,
            heads=decoder.heads_at(index),
            kv_heads=decoder.kv_heads_at(index),
            key_dim=decoder.key_dim_at(index),
            qkv_bias=decoder.qkv_bias,
            output_bias=decoder.output_bias,
            kv_source=self.encoder.hidden_size,
        )
        yield norm("cross_attn_layernorms", decoder.hidden_size, count=2)

    def outer(self) -> Iterator[Part]:
        """Return both embeddings, the encoder, the decoder's norm and the head."""
        yield from as_component(self.encoder.stack(), "encoder")
        yield from self.embedding_parts()
        yield norm("decoder.norm", self.hidden_size)
        if not self.tied:
            yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")

    def embedding_parts(self) -> Iterator[Part]:
        """Return an embedding for each stack."""
        yield embedding("encoder.embed_tokens", self.encoder.vocab_size, self.encoder.hidden_size)
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)


class T5Gemma2Stack(T5GemmaModule):
    """T5Gemma 2's decoder: Gemma 3's layers with Q and K norms, five of six sliding."""

    model_types = ("t5gemma2_decoder",)
    source = "transformers 5.18 modeling_t5gemma2.py, configuration_t5gemma2.py __post_init__"
    qk_norm = True

    def layer_type_rule(self, index: int) -> str:
        """All but every `sliding_window_pattern`-th layer slide."""
        full = (index + 1) % self.config.count("sliding_window_pattern", default=6) == 0
        return FULL if full or self.window is None else SLIDING


class T5Gemma2Text(T5Gemma2Stack):
    """T5Gemma 2's text encoder."""

    model_types = ("t5gemma2_text",)
    cacheless = "a text encoder"

    def layers(self) -> tuple[Layer, ...]:
        """Return nothing: tokens attend both ways."""
        return ()

    def outer(self) -> Iterator[Part]:
        """Return the embeddings and the stack."""
        yield embedding("embed_tokens", self.vocab_size, self.hidden_size)
        yield vector("eoi_embedding", self.hidden_size, component="embeddings")
        yield from as_component(self.stack(), "encoder")


class T5Gemma2Encoder(Family):
    """T5Gemma 2's encoder: text and a SigLIP tower with one projection."""

    model_types = ("t5gemma2_encoder",)
    source = "transformers 5.18 modeling_t5gemma2.py T5Gemma2Encoder"
    cacheless = "an encoder of text and images"
    ignored = T5Gemma.ignored

    @cached_property
    def text(self) -> T5GemmaModule:
        """The text stack.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested("text_config", "t5gemma2_text")
        if not isinstance(family, T5GemmaModule):
            raise self.refuse("text_config", "is no text encoder.", "Use the type of the published files.")
        return family

    @cached_property
    def hidden_size(self) -> int:
        """The text stack's."""
        return self.text.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The text stack's."""
        return self.text.vocab_size

    def outer(self) -> Iterator[Part]:
        """Return the text stack, the tower and what joins them."""
        yield from self.text.outer()
        vision = self.nested("vision_config", "siglip_vision_model")
        yield from vision.outer()
        width = vision.config.count("hidden_size")
        yield vector("mm_input_projection_weight", width, self.hidden_size, component="projector")
        yield norm("mm_soft_emb_norm", width, component="projector")


class T5Gemma2(T5Gemma):
    """T5Gemma 2: self- and cross-attention share their projections, both stacks one embedding; images enter the encoder."""

    model_types = ("t5gemma2",)
    architectures = ("T5Gemma2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_t5gemma2.py T5Gemma2MergedAttention"
    stack_type = "t5gemma2_decoder"

    def cross_attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing: the layer's own projections serve both."""
        return iter(())

    def outer(self) -> Iterator[Part]:
        """Return the encoder with the shared embedding, the decoder's norm, and what is not tied."""
        yield from self.nested("encoder", "t5gemma2_encoder").outer()
        yield norm("decoder.norm", self.hidden_size)
        if not self.tied:
            yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)
            yield vector("decoder.eoi_embedding", self.hidden_size, component="embeddings")
            yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
