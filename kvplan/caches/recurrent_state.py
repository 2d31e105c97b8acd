"""Recurrent state: what state-space, linear-attention and short-convolution layers keep; constant in the length."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from kvplan.caches.base import LayerCache
from kvplan.dtypes import Dtype, find_dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTensor:
    """One tensor of a layer's state for one sequence.

    Attributes:
        name: `conv`, `ssm`, `shift`, ... as the implementations call it.
        shape: its axes; the first is the one tensor parallelism splits.
        dtype: a fixed number format, or `model`: the model's own.
        taps: the last axis counts a causal convolution's taps; implementations keep all of them or one less.
        replicated: rows of the first axis that every rank keeps whole (a single Mamba-2 group's B and C).

    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "model"
    taps: bool = False
    replicated: int = 0

    def number_bytes(self, model_dtype: Dtype) -> int:
        """Return the bytes of a number."""
        return (model_dtype if self.dtype == "model" else find_dtype(self.dtype)).block_bytes

    def bytes(self, model_dtype: Dtype) -> int:
        """Return the product of the axes x bytes per number."""
        return math.prod(self.shape) * self.number_bytes(model_dtype)

    def shard(self, tensor: int) -> "StateTensor":
        """Split the first axis but for its replicated rows, rounding up: the fullest rank."""
        rows = self.replicated + -(-(self.shape[0] - self.replicated) // tensor)
        return replace(self, shape=(rows, *self.shape[1:]))

    def without_current_tap(self) -> "StateTensor":
        """Return the convolution state of an engine that keeps only the taps of past tokens (vLLM, llama.cpp)."""
        return replace(self, shape=(*self.shape[:-1], self.shape[-1] - 1)) if self.taps else self


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentState(LayerCache):
    """The state of one recurrent layer: a fixed number of bytes for any sequence, however long.

    Attributes:
        style: `mamba1`, `mamba2`, `gated_delta_net`, `kda`, `lightning`, `rwkv`, `short_conv`, `rg_lru`, `mlstm`, ...
        tensors: the tensors kept.

    """

    kind: ClassVar[str] = "recurrent_state"
    style: str
    tensors: tuple[StateTensor, ...]

    def token_bytes(self, dtype: Dtype) -> int:  # noqa: ARG002
        """Return 0: nothing is kept by the token."""
        return 0

    def kept_tokens(self, tokens: int) -> int:  # noqa: ARG002
        """Return 0: nothing is kept by the token."""
        return 0

    def fixed_bytes(self, model_dtype: Dtype) -> int:
        """Return the bytes of all tensors."""
        return sum(tensor.bytes(model_dtype) for tensor in self.tensors)

    def page_bytes(self, block_tokens: int, dtype: Dtype) -> int:
        """Return 0: state is not paged by the token; engines give it pages of their own."""
        return block_tokens * self.token_bytes(dtype)

    def formula(self, dtype: Dtype, model_dtype: Dtype) -> str:  # noqa: ARG002
        """Return each tensor's axes x bytes, added up."""
        terms = [
            f"{part.name} {' x '.join(map(str, part.shape))} x {part.number_bytes(model_dtype)} B"
            for part in self.tensors
        ]
        return f"{' + '.join(terms)} ({self.fixed_bytes(model_dtype):,} B per request)"

    @property
    def window_tokens(self) -> int:
        """Zero: the state stands for all past positions."""
        return 0

    def shard(self, tensor: int) -> Self:
        """Split heads and channels where engines split them."""
        return replace(self, tensors=tuple(part.shard(tensor) for part in self.tensors))
