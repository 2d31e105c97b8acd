"""The general reader of multimodal models: a language model with towers beside it."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.family import Family, as_component
from kvplan.models.spec import Layer, Moe
from kvplan.weights.parts import Component, Part


class Multimodal(Family):
    """A language model under one key of the configuration and towers under others; what is cached is the language model's.

    Attributes:
        text_key: where the language model's configuration is.
        text_type: its model type where the file does not say; None: as the type's class declares.
        towers: key of each tower's configuration to the component it counts under.

    """

    text_key: ClassVar[str] = "text_config"
    text_type: ClassVar[str | None] = None
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision"}

    @cached_property
    def text(self) -> Family:
        """The family of the language model."""
        return self.nested(self.text_key, self.text_type)

    def tower(self, key: str) -> Family:
        """Return the family of the tower at `key`."""
        return self.nested(key)

    def projector_parts(self) -> Iterator[Part]:
        """Return what joins the towers to the language model."""
        return iter(())

    def layers(self) -> tuple[Layer, ...]:
        """Return the language model's layers."""
        return self.text.layers()

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the language model's draft layers."""
        return self.text.draft_layers()

    def outer(self) -> Iterator[Part]:
        """Return the language model's outer parts, the towers and the projector."""
        yield from self.text.outer()
        for key, component in self.towers.items():
            yield from as_component(self.tower(key).outer(), component)
        yield from self.projector_parts()

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Why the language model's or a tower's parameters cannot be counted."""
        families = (self.text, *(self.tower(key) for key in self.towers))
        return next((family.unknown_parameters for family in families if family.unknown_parameters), None)

    @cached_property
    def hidden_size(self) -> int:
        """The language model's."""
        return self.text.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The language model's."""
        return self.text.vocab_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The language model's."""
        return self.text.max_context_tokens

    @cached_property
    def moe(self) -> Moe | None:
        """The language model's."""
        return self.text.moe

    @cached_property
    def tied(self) -> bool:
        """The language model's."""
        return self.text.tied
