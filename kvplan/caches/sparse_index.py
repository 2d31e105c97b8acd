"""The indexer cache of sparse attention (DeepSeek-V3.2's DSA and its kin): small keys that choose what to attend to."""

from dataclasses import dataclass
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache
from kvplan.dtypes import Dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseIndex(LayerCache):
    """One index key per position, kept beside the layer's main cache.

    bytes(n) = floor(n / ratio) x heads x dim x bytes per number

    Attributes:
        dim: index_head_dim.
        heads: index keys per position (1 but for a few models).
        ratio: positions pooled into one index key.

    """

    kind: ClassVar[str] = "sparse_index"
    dim: int
    heads: int = 1
    ratio: int = 1

    def token_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one index entry."""
        return self.heads * (dtype.row_bytes(self.dim) + dtype.scale_bytes)

    def kept_tokens(self, tokens: int) -> int:
        """Return floor(tokens / ratio)."""
        return tokens // self.ratio

    def page_bytes(self, block_tokens: int, dtype: Dtype) -> int:
        """Return the bytes of one page: block_tokens / ratio entries."""
        return -(-block_tokens // self.ratio) * self.token_bytes(dtype)

    def longest_keeping(self, kept: int) -> int:
        """Return the last position before the next entry is written."""
        return (kept + 1) * self.ratio - 1

    def growth_bytes(self, dtype: Dtype) -> int:
        """Return the bytes of one entry / ratio, rounded up."""
        return -(-self.token_bytes(dtype) // self.ratio)

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return entries x heads x width x bytes."""
        length = "n" if self.ratio == 1 else f"n / {self.ratio}"
        return f"{length} x {self.heads} x {self.dim} x {dtype.bits / 8:g} B ({self.token_bytes(dtype):,} B per entry)"

    @property
    def kv_heads(self) -> int:
        """Index keys per position."""
        return self.heads

    @property
    def head_dim(self) -> int:
        """Width of one index key."""
        return self.dim

    def shard(self, tensor: int) -> Self:  # noqa: ARG002
        """Return itself: the indexer is replicated on every tensor-parallel rank."""
        return self
