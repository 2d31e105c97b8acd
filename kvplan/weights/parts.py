"""The parts a model's parameters are counted in, and the words a family describes them with.

A family lists its modules as they stand in the reference implementation:

    linear("q_proj", heads * head_dim, hidden, bias=True, component="attention")
    norm("input_layernorm", hidden)

Each part knows how many parameters it has, which component it belongs to, how tensor parallelism splits it and whether
quantisation formats touch it, so that totals, ranks and formats all come from the same list.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Component = Literal[
    "embeddings",
    "attention",
    "mixer",
    "indexer",
    "mlp",
    "router",
    "experts",
    "shared_experts",
    "norms",
    "head",
    "encoder",
    "vision",
    "audio",
    "projector",
    "draft",
    "other",
]
Split = Literal["column", "row", "vocabulary", "experts", "replicated"]
PartKind = Literal["linear", "embedding", "vector", "convolution"]


@dataclass(frozen=True, slots=True)
class Part:
    """One module's parameters, possibly many times.

    Attributes:
        name: the module's path within its layer (or the model), as the reference implementation names it.
        component: where the total counts it.
        shape: (out, in) of a linear, (rows, width) of an embedding, the axes of anything else.
        kind: a linear can be quantised; embeddings, vectors (norms, biases, scalars) and convolutions are not.
        bias: whether shape[0] biases come with it.
        count: equal copies (experts).
        split: how tensor parallelism divides it: output rows, input columns, vocabulary rows, whole experts, or not.
        units: pieces that a split keeps whole (KV heads): every rank has at least one; 0: any division will do.

    """

    name: str
    component: Component
    shape: tuple[int, ...]
    kind: PartKind
    bias: bool = False
    count: int = 1
    split: Split = "replicated"
    units: int = 0

    @property
    def parameters(self) -> int:
        """Parameters of all copies, biases included."""
        return self.count * (math.prod(self.shape) + (self.shape[0] if self.bias else 0))


def linear(
    name: str,
    out_features: int,
    in_features: int,
    *,
    component: Component,
    bias: bool = False,
    split: Split = "column",
    count: int = 1,
    units: int = 0,
) -> Part:
    """Return a linear layer: out x in parameters (+ out biases)."""
    return Part(name, component, (out_features, in_features), "linear", bias, count, split, units)


def norm(name: str, width: int, *, bias: bool = False, component: Component = "norms", count: int = 1) -> Part:
    """Return a norm: width parameters, twice with a bias (LayerNorm)."""
    return Part(name, component, (width,), "vector", bias, count)


def vector(name: str, *shape: int, component: Component, split: Split = "replicated", count: int = 1) -> Part:
    """Return a free parameter of any shape: sinks, gates, A_log, dt_bias."""
    return Part(name, component, shape, "vector", split=split, count=count)


def embedding(
    name: str, rows: int, width: int, *, component: Component = "embeddings", split: Split = "vocabulary"
) -> Part:
    """Return a table of rows x width parameters."""
    return Part(name, component, (rows, width), "embedding", split=split)


def convolution(
    name: str, *shape: int, component: Component, bias: bool = False, split: Split = "column", count: int = 1
) -> Part:
    """Return a convolution kernel (out, in / groups, taps, ...) (+ out biases)."""
    return Part(name, component, shape, "convolution", bias, count, split)


def total(parts: Iterable[Part]) -> int:
    """Return the parameters of all parts."""
    return sum(part.parameters for part in parts)
