"""What one rank holds of a model's weights: the fullest tensor-parallel rank of a pipeline stage."""

from collections.abc import Iterable

from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Part


def stage_parts(model: ModelSpec, layers: range) -> Iterable[Part]:
    """Return the parts of a pipeline stage: its layers; embeddings and towers on the first, norm and head on the last.

    A tied head needs the embedding on the last stage too.
    """
    first, last = layers.start == 0, layers.stop == len(model.layers)
    for index in layers:
        yield from model.layers[index].parts
    for part in model.outer:
        at_end = part.component in ("head", "norms")
        if (last if at_end else first) or (part.component == "embeddings" and model.tied and last):
            yield part


def rank_bytes(parts: Iterable[Part], form: WeightFormat, unquantised_bytes: int, tensor: int) -> int:
    """Return the bytes on the fullest of `tensor` ranks: split parts divided and rounded up, replicated ones whole."""
    split = replicated = 0
    for part in parts:
        size = form.part_bytes(part, unquantised_bytes)
        if part.split == "replicated":
            replicated += size
        else:
            split += ceil_div(size, tensor)
    return split + replicated
