"""Decoders in the form of GPT-2: a KV head per query head, LayerNorm, a plain MLP, biases nearly everywhere."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, embedding, vector


class BiasedHead(Decoder):
    """A decoder whose head has a bias, which stays its own where the head's matrix is the embedding."""

    head_bias = True

    def head_parts(self) -> Iterator[Part]:
        """Return the head, or its bias alone where it is tied."""
        yield from super().head_parts()
        if self.tied and self.head_bias:
            yield vector("lm_head.bias", self.vocab_size, component="head", split="vocabulary")


class Classic(Decoder):
    """A decoder of multi-head attention, norms with biases and a plain MLP.

    Attributes:
        learned_positions: rows that the table of learned positions has beyond the longest sequence; None: no table.

    """

    gated_mlp = False
    norm_bias = True
    qkv_bias: bool = True
    output_bias: bool = True
    mlp_bias: bool = True
    learned_positions: ClassVar[int | None] = None

    @cached_property
    def heads(self) -> int:
        """Query heads, which divide the hidden size.

        Raises:
            ConfigError: they do not.

        """
        heads = super().heads
        if self.hidden_size % heads:
            raise self.config.fail(
                "num_attention_heads", f"is {heads}, which does not divide hidden_size ({self.hidden_size})."
            )
        return heads

    @cached_property
    def kv_heads(self) -> int:
        """One per query head; the reference has no key for another number, so a file that states one is wrong.

        Raises:
            ConfigError: the file states another number.

        """
        return self._only("num_key_value_heads", self.heads)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads; no key for another width either.

        Raises:
            ConfigError: the file states another width.

        """
        return self._only("head_dim", self.hidden_size // self.heads)

    def _only(self, key: str, value: int) -> int:
        if self.config.optional_count(key, minimum=0) not in (None, 0, value):
            raise self.config.fail(key, f"is not {value}, the only value that {self.config.model_type} models have.")
        return value

    @cached_property
    def intermediate_size(self) -> int:
        """`n_inner`, else four times the hidden size."""
        return self.config.optional_count("n_inner") or 4 * self.hidden_size

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return what layer `index` keeps.

        Raises:
            UnsupportedArchitectureError: the decoder of an encoder-decoder pair, which also keeps the encoder's.

        """
        if self.config.flag("add_cross_attention", default=False):
            raise self.refuse(
                "add_cross_attention",
                "is true: layers also keep the keys and values of an encoder.",
                "Give the configuration of the whole encoder-decoder model.",
            )
        return super().caches(index)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the token embedding and the learned positions.

        Raises:
            ConfigError: positions are learned, but the file does not say how many.

        """
        yield from super().embedding_parts()
        if self.learned_positions is not None:
            if not self.max_context_tokens:
                raise self.config.fail("max_position_embeddings", "is not stated: the rows of the learned positions.")
            rows = self.max_context_tokens + self.learned_positions
            yield embedding("embed_positions", rows, self.hidden_size, split="replicated")
