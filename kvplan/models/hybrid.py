"""The general reader of models with recurrent layers: alone, or between layers of attention."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import FULL, LINEAR, Decoder
from kvplan.models.mixers import Mixer
from kvplan.weights.parts import Part

# transformers' older words (configuration_utils.py _LEGACY_LAYER_TYPE_REMAP, 5.18).
_OLDER = {"mamba": LINEAR, "attention": FULL}


class Hybrid(Decoder):
    """A decoder some (or all) of whose layers have a recurrent mixer in the place of attention.

    Families give `mixer`, and `layer_type_rule` for files without a list.

    Attributes:
        recurrent_word: the layer type that means the mixer.

    """

    recurrent_word: ClassVar[str] = LINEAR

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """One word per layer: stated under either of the two keys in use, else by the family's rule."""
        stated = self.config.items("layer_types", "layers_block_type")
        if not stated:
            return [self.layer_type_rule(i) for i in range(self.layer_count)]
        if len(stated) != self.layer_count or not all(isinstance(word, str) for word in stated):
            raise self.config.fail(
                "layer_types", f"has {len(stated)} words for {self.layer_count} layers; one each was expected."
            )
        return [_OLDER.get(word, word) for word in stated]

    @cached_property
    def mixer(self) -> Mixer:
        """The recurrent mixer, the same in every layer that has one."""
        raise NotImplementedError

    def is_recurrent(self, index: int) -> bool:
        """Whether layer `index` has the mixer."""
        return self.layer_types[index] == self.recurrent_word

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the mixer's state, or what attention keeps."""
        # Built for every file: the mixer's keys count as read though all layers may attend.
        mixer = self.mixer
        return (mixer.cache(),) if self.is_recurrent(index) else super().caches(index)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or the projections of attention."""
        yield from self.mixer.parts() if self.is_recurrent(index) else super().attention_parts(index)


class Recurrent(Hybrid):
    """A model of recurrent layers only: one norm and one mixer each, no MLP, nothing that grows, no longest context."""

    norms_per_layer = 1

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """Every layer is recurrent."""
        return LINEAR

    @cached_property
    def max_context_tokens(self) -> int | None:
        """Nothing bounds the length."""
        return None

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing: there is no MLP."""
        return iter(())
