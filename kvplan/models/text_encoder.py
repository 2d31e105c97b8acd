"""The general reader of text encoders in the form of BERT: tokens attend both ways, so nothing is kept.

A few of these classes can also be decoders (`is_decoder: true`), with cross-attention where `add_cross_attention` says so.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import architecture, label_count, named
from kvplan.models.spec import Layer
from kvplan.models.towers import feed_forward, self_attention, times
from kvplan.weights.parts import Part, embedding, linear, norm, vector

BASE, LANGUAGE = "Model", "ForMaskedLM"
# What a class name may end in: the head that the class adds to the encoder.
_HEADS = (
    "ForMaskedLM",
    "ForPreTraining",
    "ForNextSentencePrediction",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)
_DECODERS = ("ForCausalLM", "LMHeadModel", "Decoder")


class TextEncoder(Decoder):
    """A text encoder: embeddings and a norm, layers, a pooler, the head that the file's class name ends in.

    A file that names no class is read as the encoder with its pooler, as embedding models are published.

    Attributes:
        prefix: what the class names of the type start with; a file that names another class runs other code.
        pooled: the heads whose class keeps the pooler.
        dense_classifier: the sequence classifier has a linear before the last one (RoBERTa).
        can_decode: the class honours `is_decoder`.
        position_rows: the learned positions are parameters.
        embedding_norm, final_norm: norms beside those of the layers.

    """

    gated_mlp = False
    norm_bias = True
    qkv_bias = True
    output_bias = True
    mlp_bias = True
    prefix: ClassVar[tuple[str, ...]] = ()
    pooled: ClassVar[frozenset[str]] = frozenset((BASE, "ForMultipleChoice"))
    dense_classifier: ClassVar[bool] = True
    can_decode: ClassVar[bool] = False
    learned_positions: ClassVar[bool] = True
    position_offset: ClassVar[bool] = False  # RoBERTa counts positions from pad_token_id + 1
    embedding_norm: ClassVar[bool] = True
    final_norm: ClassVar[bool] = False
    language_bias: ClassVar[bool] = True  # the head's bias is a tensor of its own, tied with the matrix

    # -- what the file describes ---------------------------------------------------------------------------------------

    @cached_property
    def name(self) -> str:
        """The class that the file names; a composite model sets it."""
        return architecture(self.config)

    @cached_property
    def head(self) -> str:
        """Which head: one of `_HEADS`, the decoder's as the masked one, or none."""
        if self.name.endswith(_DECODERS):
            return LANGUAGE
        return next((head for head in _HEADS if self.name.endswith(head)), BASE)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Classes of other code are not counted."""
        bare = self.name.endswith(("Model", "Encoder"))
        if self.name and not (self.name.startswith(self.prefix) and (bare or self.head != BASE)):
            return f"the class {self.name} is not one that is counted"
        if self.config.text("position_embedding_type", default="absolute") != "absolute":
            return "position_embedding_type is one that transformers 5.18 does not have"
        return None

    @cached_property
    def decodes(self) -> bool:
        """Whether tokens attend to earlier ones only."""
        return self.can_decode and self.config.flag("is_decoder", default=False)

    @cached_property
    def crosses(self) -> bool:
        """Whether the layers read an encoder."""
        return self.decodes and self.config.flag("add_cross_attention", default=False)

    @cached_property
    def cacheless(self) -> str | None:
        """An encoder keeps nothing."""
        return None if self.decodes else "a text encoder: tokens attend both ways"

    @cached_property
    def has_encoder(self) -> bool:
        """Whether decoding reads an encoder's output."""
        return self.crosses

    @cached_property
    def embedding_size(self) -> int:
        """Width of the embeddings."""
        return self.hidden_size

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads, which the reference insists is whole."""
        if self.hidden_size % self.heads:
            raise self.config.fail("hidden_size", f"is {self.hidden_size}, not a multiple of the {self.heads} heads.")
        return self.hidden_size // self.heads

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The positions, less those that RoBERTa's counting leaves out."""
        rows = self.config.optional_count("max_position_embeddings")
        if rows is None or not self.position_offset:
            return rows
        return max(rows - self.config.count("pad_token_id", default=1, minimum=0) - 1, 1)

    # -- layers --------------------------------------------------------------------------------------------------------

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers of a decoder; an encoder's keep nothing and count outside."""
        return super().layers() if self.decodes else ()

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return what a decoder's layer keeps."""
        own = self.full_attention(index)
        if not self.crosses:
            return (own,)
        return (own, CrossAttention(heads=own.heads, key_dim=own.key_dim, value_dim=own.value_dim))

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return self-attention, and cross-attention with its norm."""
        for prefix in ("self.", "crossattention.") if self.crosses else ("self.",):
            yield from named(prefix, self.one_attention(index))
        if self.crosses:
            yield norm("crossattention.LayerNorm", self.hidden_size, bias=self.norm_bias)

    def one_attention(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return one attention's projections."""
        return self_attention(
            self.hidden_size,
            component="attention",
            inner=self.heads * self.head_dim,
            kv_inner=self.kv_heads * self.head_dim,
            qkv_bias=self.qkv_bias,
            output_bias=self.output_bias,
        )

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return the MLP."""
        return feed_forward(self.hidden_size, width, component="mlp", gated=self.gated_mlp, bias=self.mlp_bias)

    def encoder_parts(self) -> Iterator[Part]:
        """Return all layers of an encoder."""
        return times(self.layer_count, self.parts(0))

    # -- outside the layers --------------------------------------------------------------------------------------------

    def outer(self) -> Iterator[Part]:
        """Return embeddings, an encoder's layers, pooler and head."""
        yield from self.embedding_parts()
        if self.embedding_norm:
            yield norm("embeddings.LayerNorm", self.embedding_size, bias=self.norm_bias)
        if not self.decodes:
            yield from self.encoder_parts()
        if self.final_norm:
            yield norm("LayerNorm", self.hidden_size, bias=self.norm_bias)
        if self.head in self.pooled:
            yield from self.pooler_parts()
        yield from self.head_parts()

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of tokens, positions and token types."""
        yield embedding("word_embeddings", self.vocab_size, self.embedding_size)
        if self.learned_positions:
            rows = self.config.count("max_position_embeddings")
            yield embedding("position_embeddings", rows, self.embedding_size, split="replicated")
        if types := self.config.optional_count("type_vocab_size", minimum=0):
            yield embedding("token_type_embeddings", types, self.embedding_size, split="replicated")

    def pooler_parts(self) -> Iterator[Part]:
        """Return the pooler: one linear."""
        yield self.head_linear("pooler", self.hidden_size)

    def head_linear(self, name: str, out: int, source: int | None = None) -> Part:
        """Return a linear of the head."""
        return linear(name, out, source or self.hidden_size, bias=True, component="head", split="replicated")

    def head_parts(self) -> Iterator[Part]:
        """Return the head."""
        head = self.head
        if head in (LANGUAGE, "ForPreTraining"):
            yield from self.language_head_parts()
        if head in ("ForPreTraining", "ForNextSentencePrediction"):
            yield self.head_linear("seq_relationship", 2)
        if head == "ForSequenceClassification":
            yield from self.classifier_parts()
        if head in ("ForTokenClassification", "ForQuestionAnswering"):
            yield self.head_linear("classifier", label_count(self.config))
        if head == "ForMultipleChoice":
            yield self.head_linear("classifier", 1)

    def classifier_parts(self) -> Iterator[Part]:
        """Return the sequence classifier."""
        if self.dense_classifier:
            yield self.head_linear("dense", self.hidden_size)
        yield self.head_linear("classifier", label_count(self.config))

    def language_head_parts(self) -> Iterator[Part]:
        """Return the language model's head: a linear, a norm, the matrix (the embedding, where tied) and its bias."""
        yield self.head_linear("transform", self.embedding_size)
        yield norm("transform.LayerNorm", self.embedding_size, bias=True, component="head")
        yield from self.vocabulary_parts()

    def vocabulary_parts(self) -> Iterator[Part]:
        """Return the matrix where it is not tied, and the bias: one tensor, two where nothing is tied."""
        if not self.tied:
            yield linear("decoder", self.vocab_size, self.embedding_size, component="head", split="vocabulary")
        biases = 1 if self.tied or not self.language_bias else 2
        yield vector("bias", self.vocab_size, component="head", split="vocabulary", count=biases)
