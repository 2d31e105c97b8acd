"""What a checkpoint takes on disk: every module of a model in the format that its scheme gives it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kvplan.models.spec import ModelSpec
from kvplan.weights.parts import Part
from kvplan.weights.scheme import Scheme

if TYPE_CHECKING:
    from kvplan.checkpoints.tensors import Checkpoint


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


def as_in_files(scheme: Scheme, checkpoint: "Checkpoint", parameters: int | None) -> Scheme:
    """Return the scheme with the width of number that the files have: engines cast weights that are not quantised.

    Headers state it. Pickles are not opened: files of at least three bytes per parameter hold four.
    """
    if not scheme.is_plain or checkpoint.container == "gguf":
        return scheme
    if not checkpoint.tensors:
        return replace(scheme, plain_bytes=4 if parameters and checkpoint.total_bytes >= 3 * parameters else 2)
    plain = [tensor for tensor in checkpoint.tensors if tensor.is_plain]
    numbers = sum(tensor.numbers for tensor in plain)
    return replace(scheme, plain_bytes=round(sum(tensor.bytes for tensor in plain) / numbers)) if numbers else scheme
