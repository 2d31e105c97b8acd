"""Full attention: every position's key and value, for each KV head (MHA, GQA and MQA differ only in the heads)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache, heads_on_rank
from kvplan.dtypes import Dtype


def head_token_bytes(heads: int, key_dim: int, value_dim: int, dtype: Dtype) -> int:
    """Return the bytes of one token: heads x (row(key_dim) + row(value_dim)), each row in whole blocks plus its scale."""
    return heads * dtype.head_bytes(key_dim, value_dim)


def head_formula(heads: int, key_dim: int, value_dim: int, dtype: Dtype) -> str:
    """Return `head_token_bytes` in figures."""
    scales = f" + {dtype.scale_bytes} B scales" if dtype.scale_bytes else ""
    size = head_token_bytes(heads, key_dim, value_dim, dtype)
    if dtype.values is not None:
        rows = f"{dtype.row_bytes(key_dim)}{scales} + {dtype.values.row_bytes(value_dim)} + {dtype.values.scale_bytes} B scales"
        return f"{heads} heads x ({rows}) ({size:,} B per token)"
    return f"{heads} heads x ({key_dim} + {value_dim}) x {dtype.bits / 8:g} B{scales} ({size:,} B per token)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FullAttention(LayerCache):
    """Keys and values of all positions.

    bytes(n) = n x heads x (key_dim + value_dim) x bytes per number

    Attributes:
        heads: KV heads; equal to the query heads for MHA, 1 for MQA.
        key_dim, value_dim: widths of one head's key and value (numbers); value_dim is 0 where V is K itself.
        query_heads: heads of the query, for engines that cache expanded heads and for what-ifs.

    """

    kind: ClassVar[str] = "full_attention"
    heads: int
    key_dim: int
    value_dim: int
    query_heads: int = 0

    def token_bytes(self, dtype: Dtype) -> int:
        """Return heads x (key row + value row)."""
        return head_token_bytes(self.heads, self.key_dim, self.value_dim, dtype)

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return tokens x heads x (key + value) x bytes."""
        return f"{self._length} x {head_formula(self.heads, self.key_dim, self.value_dim, dtype)}"

    @property
    def _length(self) -> str:
        return "n"

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
        return replace(
            self, heads=heads_on_rank(self.heads, tensor), query_heads=heads_on_rank(self.query_heads, tensor)
        )
