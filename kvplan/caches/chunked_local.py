"""Chunked local attention (Llama 4): a token attends within its own chunk, so at most one chunk is kept."""

from dataclasses import dataclass
from typing import ClassVar

from kvplan.caches.full_attention import FullAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkedLocal(FullAttention):
    """Keys and values of the current chunk.

    bytes(n) = min(n, chunk) x heads x (key_dim + value_dim) x bytes per number

    Attributes:
        chunk: positions of one chunk.

    """

    kind: ClassVar[str] = "chunked_local"
    chunk: int

    def kept_tokens(self, tokens: int) -> int:
        """Return min(tokens, chunk): the fullest moment, at the end of a chunk, so that it never falls."""
        return min(tokens, self.chunk)

    @property
    def _length(self) -> str:
        return f"min(n, {self.chunk:,})"

    @property
    def window_tokens(self) -> int:
        """The chunk."""
        return self.chunk
