"""What a checkpoint takes on disk: every module of a model in the format that its scheme gives it."""

from collections.abc import Iterator

from kvplan.models.spec import ModelSpec
from kvplan.weights.parts import Part
from kvplan.weights.scheme import Scheme


def placed_parts(model: ModelSpec, *, drafts: bool = False) -> Iterator[tuple[Part, int | None]]:
    """Yield every part with the layer that it stands in (None: outside the layers); next-token layers follow the last one."""
    for part in model.outer:
        yield part, None
    layers = (*model.layers, *model.draft_layers) if drafts else model.layers
    for index, layer in enumerate(layers):
        for part in layer.parts:
            yield part, index


def checkpoint_bytes(model: ModelSpec, scheme: Scheme) -> int:
    """Return the bytes of a published checkpoint: all parts, next-token layers among them, each in its own format."""
    return sum(scheme.part_bytes(part, layer) for part, layer in placed_parts(model, drafts=True))
