"""The questions every cache kind answers."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from kvplan.dtypes import Dtype


class LayerCache(ABC):
    """What one layer keeps for one request.

    Subclasses are frozen, slotted dataclasses: equal layers compare equal, so an engine can group them. Sizes are bytes
    of one sequence on one rank; `model_dtype` is the model's own number format, which parts that are never quantised
    (recurrent state, convolutions) keep whatever the cache dtype is.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @abstractmethod
    def token_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one kept token (position)."""

    def kept_tokens(self, tokens: int) -> int:
        """Return how many positions are kept of a sequence of `tokens`; never falls as `tokens` grows."""
        return tokens

    def fixed_bytes(self, model_dtype: Dtype) -> int:  # noqa: ARG002
        """Return the bytes kept whatever the length of the sequence."""
        return 0

    def bytes_for(self, tokens: int, dtype: Dtype, model_dtype: Dtype) -> int:
        """Return the bytes of a sequence of `tokens`: kept tokens x bytes per token + fixed bytes. No page rounding."""
        return self.kept_tokens(tokens) * self.token_bytes(dtype) + self.fixed_bytes(model_dtype)

    def page_bytes(self, block_tokens: int, dtype: Dtype) -> int:
        """Return the bytes of one page (block) of `block_tokens` positions of this layer."""
        return block_tokens * self.token_bytes(dtype)

    def longest(self, budget_bytes: int, dtype: Dtype, model_dtype: Dtype) -> int | None:
        """Return the longest sequence whose cache is at most `budget_bytes`: None where any length fits, -1 where none does.

        Closed form: `bytes_for` is fixed + kept(n) * token_bytes with kept(n) = n up to `window_tokens`, constant after.
        """
        left = budget_bytes - self.fixed_bytes(model_dtype)
        if left < 0:
            return -1
        per_token = self.token_bytes(dtype)
        if per_token == 0:
            return None
        kept = left // per_token
        limit = self.window_tokens
        return None if limit is not None and kept >= limit else self.longest_keeping(kept)

    def longest_keeping(self, kept: int) -> int:
        """Return the longest sequence of which no more than `kept` positions are kept; `kept` is below `window_tokens`."""
        return kept

    @property
    def window_tokens(self) -> int | None:
        """The most positions that are ever kept; None: all of them."""
        return None

    def growth_bytes(self, dtype: Dtype) -> int:
        """Return the bytes that each further token adds once every window is full, rounded up."""
        return self.token_bytes(dtype) if self.grows else 0

    @abstractmethod
    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:
        """Return the bytes of one layer in figures, as a person would write them down."""

    @property
    def grows(self) -> bool:
        """Whether the cache of a long sequence still grows by the token."""
        return self.window_tokens is None

    @property
    def kv_heads(self) -> int | None:
        """KV heads kept; None where the kind has none."""
        return None

    @property
    def head_dim(self) -> int | None:
        """Width of one key head (of the latent, for MLA); None where the kind has none."""
        return None

    @abstractmethod
    def shard(self, tensor: int) -> Self:
        """Return the part that the fullest of `tensor` tensor-parallel ranks keeps."""


def heads_on_rank(heads: int, tensor: int) -> int:
    """Return the heads of the fullest tensor-parallel rank.

    Heads are split, rounded up where they do not divide; with fewer heads than ranks every rank keeps one whole head
    (replication). Source: vLLM config/model.py get_num_kv_heads, max(1, heads // tp).
    """
    return max(1, -(-heads // tensor)) if heads else 0
