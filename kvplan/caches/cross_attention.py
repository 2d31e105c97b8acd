"""Cross-attention: keys and values of the encoder's (or image's) positions, fixed once the prompt is read."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache, heads_on_rank
from kvplan.caches.full_attention import head_formula, head_token_bytes
from kvplan.dtypes import Dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttention(LayerCache):
    """Keys and values over the encoder's output.

    bytes = encoder_tokens x heads x (key_dim + value_dim) x bytes per number, whatever the decoder's length

    Sized by calling `bytes_for` with the encoder's tokens: the engine layouts pass them instead of the decoder's.

    Attributes:
        heads: KV heads.
        key_dim, value_dim: widths of one head.

    """

    kind: ClassVar[str] = "cross_attention"
    heads: int
    key_dim: int
    value_dim: int

    def token_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one encoder position."""
        return head_token_bytes(self.heads, self.key_dim, self.value_dim, dtype)

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return encoder positions x heads x (key + value) x bytes."""
        return f"encoder tokens x {head_formula(self.heads, self.key_dim, self.value_dim, dtype)}"

    @property
    def grows(self) -> bool:
        """False: decoding adds nothing."""
        return False

    @property
    def kv_heads(self) -> int:
        """KV heads."""
        return self.heads

    @property
    def head_dim(self) -> int:
        """Width of one key head."""
        return self.key_dim

    def shard(self, tensor: int) -> Self:
        """Split the heads; replicate where there are fewer heads than ranks."""
        return replace(self, heads=heads_on_rank(self.heads, tensor))
