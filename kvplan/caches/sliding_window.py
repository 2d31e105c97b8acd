"""Sliding-window attention: keys and values of the last `window` positions."""

from dataclasses import dataclass
from typing import ClassVar

from kvplan.caches.full_attention import FullAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindow(FullAttention):
    """Keys and values of the positions a token may still attend to.

    bytes(n) = min(n, window) x heads x (key_dim + value_dim) x bytes per number

    Attributes:
        window: positions a token attends to, itself included. Engines keep window - 1 (transformers), window plus the
            tokens in flight (vLLM) or more (llama.cpp); that is their layout's affair.

    """

    kind: ClassVar[str] = "sliding_window"
    window: int

    def kept_tokens(self, tokens: int) -> int:
        """Return min(tokens, window)."""
        return min(tokens, self.window)

    @property
    def _length(self) -> str:
        return f"min(n, {self.window:,})"

    @property
    def window_tokens(self) -> int:
        """The window."""
        return self.window
