"""The compressor of DeepSeek-V4's attention: the positions that are not yet, or still to be, pooled into an entry."""

from dataclasses import dataclass
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache
from kvplan.dtypes import Dtype, find_dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressorState(LayerCache):
    """Key-value and gate rows of the last positions, from which the next compressed entry is pooled.

    bytes(n) = min(n, window) x 2 x series x dim x bytes per number;   window = series x ratio

    The entries themselves are an `MLA` or a `SparseIndex` of the same ratio. An entry pools `ratio` positions; with two
    series it also weighs in the `ratio` positions before them, so that windows overlap.

    Attributes:
        dim: width of one entry.
        ratio: positions pooled into one entry.
        series: rows kept per position: 1, or 2 where windows overlap.
        dtype: number format, whatever the cache dtype is (vLLM 0.33 models/deepseek_v4/compressor.py: float32).

    """

    kind: ClassVar[str] = "sliding_window"
    dim: int
    ratio: int
    series: int = 1
    dtype: str = "float32"

    def token_bytes(self, dtype: Dtype) -> int:  # noqa: ARG002
        """Return the bytes of one position: a key-value row and a gate row of each series."""
        return 2 * self.series * self.dim * find_dtype(self.dtype).block_bytes

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return positions x (key-value + gate) x series x width x bytes."""
        size, each = find_dtype(self.dtype).block_bytes, self.token_bytes(dtype)
        return f"min(n, {self.window_tokens:,}) x 2 x {self.series} x {self.dim} x {size} B ({each:,} B per token)"

    def kept_tokens(self, tokens: int) -> int:
        """Return min(tokens, window): the fullest moment, so that it never falls."""
        return min(tokens, self.window_tokens)

    @property
    def window_tokens(self) -> int:
        """The positions of one entry, and of the one before where they overlap."""
        return self.series * self.ratio

    @property
    def head_dim(self) -> int:
        """Width of one entry."""
        return self.dim

    def shard(self, tensor: int) -> Self:  # noqa: ARG002
        """Return itself: the compressor is replicated on every tensor-parallel rank."""
        return self
