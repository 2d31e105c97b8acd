"""The weights of one pipeline stage's ranks as a figure that can be taken apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from kvplan.weights.parts import Component

Origin = Literal["headers", "file sizes", "published size", "configuration", "published total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightItem:
    """One thing that is loaded with the weights.

    Attributes:
        name: for people: `stored weights`, `rotary tables`, `draft model`.
        bytes: on the fullest rank.
        formula: how it comes about, in figures.
        source: where the rule is from.

    """

    name: str
    bytes: int
    formula: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the weights of a stage take on its fullest rank.

    Attributes:
        origin: the most exact source at hand.
        scheme: name of the format.
        items: the stored weights, then what the engine adds in loading them, then adapters and drafts.
        low, high: bounds of the sum.
        by_component: the stored weights by component; empty where they are not known apart.
        left_alone: linears that a quantised format leaves in plain numbers, by component.
        stated: whether the checkpoint's own section says which these are; else the format's rule does.
        least: the sum on the stage's least full rank, where experts do not come out even; None: all ranks are equal.

    """

    origin: Origin
    scheme: str
    items: tuple[WeightItem, ...]
    low: int
    high: int
    by_component: Mapping[Component, int]
    left_alone: Mapping[Component, int] = field(default_factory=dict)
    stated: bool = False
    least: int | None = None

    @cached_property
    def bytes(self) -> int:
        """The sum of the items."""
        return sum(item.bytes for item in self.items)

    @property
    def formula(self) -> str:
        """How the sum comes about, in figures."""
        if len(self.items) == 1:
            return self.items[0].formula
        return " + ".join(f"{item.name} {item.bytes:,} B" for item in self.items)
