"""One tensor of a weight file, and all that a checkpoint's headers list."""

import math
from dataclasses import dataclass
from typing import Literal

Container = Literal["safetensors", "gguf", "torch"]
# Number formats of weights that are not quantised, as safetensors and GGUF spell them.
_PLAIN = frozenset({"f64", "f32", "f16", "bf16"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as its file's header lists it.

    Attributes:
        name: as the file spells it.
        dtype: as the file spells it, in lower case (`bf16`, `f8_e4m3`, `i32`, `q4_k`).
        shape: axes, outermost first (GGUF lists them the other way round).
        bytes: what it takes in the file.

    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def numbers(self) -> int:
        """How many it holds, packed ones counted once."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether it is of floating-point numbers that an engine casts to its own format."""
        return self.dtype in _PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Files or tensors that stand in the repository and are no part of what an engine loads from it.

    Attributes:
        what: for people: `original/`, `consolidated.safetensors`.
        why: one reason in words.
        bytes: what they take; None where nothing says.

    """

    what: str
    why: str
    bytes: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The weights of one model as its files' headers list them. Compared by identity, as models are.

    Attributes:
        container: kind of the files.
        source: for people: which files, and where.
        tensors: every tensor, in the order of the files; empty for PyTorch files, whose pickles are never opened.
        total_bytes: of all tensors; of the files, where there are no headers to read.
        left_out: what stands beside them and was not counted.
        notes: what to know about the figure (`the index states 5 bytes more`).

    """

    container: Container
    source: str
    tensors: tuple[Tensor, ...]
    total_bytes: int
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
