"""What one rank holds of a model's weights: the fullest tensor-parallel rank of a pipeline stage."""

from collections import Counter
from collections.abc import Iterable, Iterator

from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Part


def stage_parts(model: ModelSpec, layers: range) -> Iterator[tuple[Part, int]]:
    """Yield the parts of a pipeline stage, with how many layers have each.

    The first stage has embeddings and towers beside its layers, the last one norm and head; a tied head needs the
    embedding on the last stage too.
    """
    first, last = layers.start == 0, layers.stop == len(model.layers)
    # Equal layers are one object (Family.spec): counted by identity, eighty layers cost as much as one.
    counts = Counter(id(model.layers[index]) for index in layers)
    distinct = {id(model.layers[index]): model.layers[index] for index in layers}
    for key, layer in distinct.items():
        for part in layer.parts:
            yield part, counts[key]
    for part in model.outer:
        at_end = part.component in ("head", "norms")
        if (last if at_end else first) or (part.component == "embeddings" and model.tied and last):
            yield part, 1


def rank_bytes(parts: Iterable[tuple[Part, int]], form: WeightFormat, unquantised_bytes: int, tensor: int) -> int:
    """Return the bytes on the fullest of `tensor` ranks: split parts divided and rounded up, replicated ones whole."""
    total = 0
    for part, layers in parts:
        size = form.part_bytes(part, unquantised_bytes)
        total += layers * _on_rank(part, size, tensor)
    return total


def _on_rank(part: Part, size: int, tensor: int) -> int:
    """Return the fullest rank's bytes of a part: KV heads are kept whole, and repeated where there are more ranks."""
    if part.split == "replicated":
        return size
    if part.units:
        return ceil_div(size * ceil_div(part.units, tensor), part.units)
    return ceil_div(size, tensor)
