"""The weights of one pipeline stage, from the most exact source at hand: headers, file sizes, configuration, a total."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.figure import Origin, WeightItem, Weights
from kvplan.weights.parts import Component
from kvplan.weights.ranks import RankParts, Ranks, rank_parts
from kvplan.weights.scheme import Scheme
from kvplan.weights.stored import as_in_files, checkpoint_bytes

if TYPE_CHECKING:
    from kvplan.checkpoints.tensors import Checkpoint
    from kvplan.weights.headers import PlacedCheckpoint


def stage_weights(
    model: ModelSpec,
    layers: range,
    scheme: Scheme | None,
    ranks: Ranks,
    *,
    as_published: bool,
    parts: RankParts | None = None,
    extras: Iterable[WeightItem] = (),
    spread: tuple[int, int] = (1000, 1000),
) -> Weights | None:
    """Return what the fullest rank of a stage loads; None where no source says.

    Args:
        model: whose weights they are.
        layers: of the stage.
        scheme: how they are stored; None: not understood.
        ranks: how the engine spreads them.
        as_published: whether the checkpoint is loaded as it is (no other format was asked for), so that its headers count.
        parts: what the rank holds by the configuration, where the caller has it; else it is worked out here.
        extras: what the engine adds in loading, adapters and drafts.
        spread: the least and the most of what the engine really takes, in thousandths of the figure here.

    """
    if parts is None and scheme is not None and model.unknown_parameters is None:
        parts = rank_parts(model, layers, scheme, ranks)
    weights = _most_exact(model, layers, scheme, ranks, parts, as_published=as_published, extras=tuple(extras))
    if weights is not None and parts is not None and parts.least_bytes < parts.bytes:
        # Of headers the same share is left out as of the modules.
        uneven = weights.items[0].bytes * (parts.bytes - parts.least_bytes) // parts.bytes
        weights = replace(weights, least=weights.bytes - uneven)
    if weights is None or spread == (1000, 1000):
        return weights
    return replace(weights, low=weights.low * spread[0] // 1000, high=ceil_div(weights.high * spread[1], 1000))


def _most_exact(
    model: ModelSpec,
    layers: range,
    scheme: Scheme | None,
    ranks: Ranks,
    parts: RankParts | None,
    *,
    as_published: bool,
    extras: tuple[WeightItem, ...],
) -> Weights | None:
    checkpoint = model.checkpoint if as_published else None
    if checkpoint is not None and checkpoint.tensors:
        return _from_headers(placed(model), layers, scheme, ranks, extras)
    if checkpoint is not None and parts is not None and scheme is not None:
        return _from_file_sizes(model, checkpoint, parts, scheme, extras)
    if parts is not None and scheme is not None:
        return _from_configuration(model, parts, scheme, ranks, extras)
    if scheme is not None and model.parameters is not None:
        return _from_total(model, layers, scheme, ranks, extras)
    return None


@lru_cache(maxsize=16)
def placed(model: ModelSpec) -> "PlacedCheckpoint":
    """Return a model's tensors in their places; found once for all stages and plans.

    Raises:
        ValueError: the model has no headers.

    """
    from kvplan.weights.headers import PlacedCheckpoint  # noqa: PLC0415  only for models with headers

    if model.checkpoint is None:
        raise ValueError(f"{model.id} has no checkpoint")
    return PlacedCheckpoint(model=model, checkpoint=model.checkpoint)


def _figure(
    origin: Origin,
    scheme: str,
    stored: WeightItem,
    bounds: tuple[int, int],
    by_component: Mapping[Component, int],
    extras: tuple[WeightItem, ...],
) -> Weights:
    """Return the stored weights with what is added to them; the bounds are of the stored weights alone."""
    added = sum(extra.bytes for extra in extras)
    return Weights(
        origin=origin,
        scheme=scheme,
        items=(stored, *extras),
        low=bounds[0] + added,
        high=bounds[1] + added,
        by_component=by_component,
    )


def _stored(size: int, formula: str, source: str) -> WeightItem:
    return WeightItem(name="stored weights", bytes=size, formula=formula, source=source)


def _from_headers(
    placed: "PlacedCheckpoint", layers: range, scheme: Scheme | None, ranks: Ranks, extras: tuple[WeightItem, ...]
) -> Weights:
    checkpoint, stored = placed.checkpoint, _formats(placed.checkpoint)
    name = stored if scheme is None or scheme.is_plain else scheme.name
    formula = f"{len(checkpoint.tensors):,} tensors as their headers list them{_over(ranks)}"
    cast_to = None
    casts = scheme is not None and scheme.is_plain and checkpoint.container == "safetensors" and stored != scheme.name
    if scheme is not None and casts and set(stored.split(" + ")) <= set(_PLAIN_NAMES.values()):
        # Files in another number format than the engine's, float32 most often.
        name, cast_to = scheme.name, scheme.plain_bytes
        formula += f", loaded in {name}"
    sizes = placed.rank_bytes(layers, ranks, cast_to)
    size = sum(sizes.values())
    item = _stored(size, formula, placed.checkpoint.source)
    return _figure("headers", name, item, (size, size), sizes, extras)


# A format that is less than this share of a checkpoint is not in its name.
_NAMED_FROM = 0.1
_PLAIN_NAMES = {"f64": "float64", "bf16": "bfloat16", "f16": "float16", "f32": "float32"}


def _formats(checkpoint: "Checkpoint") -> str:
    """Return what a checkpoint is stored in by its tensors' own words: `bfloat16`, `q4_k + q6_k`."""
    sizes: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.bytes
    total = max(sum(sizes.values()), 1)
    named = sorted((name for name, size in sizes.items() if size >= _NAMED_FROM * total), key=lambda name: -sizes[name])
    return " + ".join(_PLAIN_NAMES.get(name, name) for name in named)


def _from_file_sizes(
    model: ModelSpec, checkpoint: "Checkpoint", parts: RankParts, scheme: Scheme, extras: tuple[WeightItem, ...]
) -> Weights:
    """Return the files' bytes, divided over the ranks as the configuration's modules are."""
    total = checkpoint.total_bytes
    whole = max(checkpoint_bytes(model, as_in_files(scheme, checkpoint, model.parameters)), 1)
    size = ceil_div(total * parts.bytes, whole)
    formula = f"{total:,} B of files x {parts.bytes:,} of {whole:,} B on this rank"
    item = _stored(size, formula, "sizes of the PyTorch files; their pickles are not opened")
    bounds = (min(size, parts.bytes), max(size, parts.bytes))
    return _figure("file sizes", scheme.name, item, bounds, parts.by_component, extras)


def _from_configuration(
    model: ModelSpec, parts: RankParts, scheme: Scheme, ranks: Ranks, extras: tuple[WeightItem, ...]
) -> Weights:
    formula = f"{model.parameters:,} parameters in {scheme.name}{_over(ranks)}"
    item = _stored(parts.bytes, formula, scheme.source or "parameters x bytes of their format")
    figure = _figure("configuration", scheme.name, item, scheme.bounds(parts.bytes), parts.by_component, extras)
    return replace(figure, left_alone=parts.left_alone if scheme.form or scheme.rules else {}, stated=scheme.stated)


def _from_total(
    model: ModelSpec, layers: range, scheme: Scheme, ranks: Ranks, extras: tuple[WeightItem, ...]
) -> Weights:
    """Return a published total where no rule counts the parts: an even split, as first order."""
    parameters = model.parameters or 0
    total = scheme.form.approximate_bytes(parameters) if scheme.form else parameters * scheme.plain_bytes
    pieces = ranks.tensor * ceil_div(max(len(model.layers), 1), max(len(layers), 1))
    size = ceil_div(total, pieces)
    over = f", over {pieces} ranks" if pieces > 1 else ""
    item = _stored(size, f"{parameters:,} parameters (published total) in {scheme.name}{over}", scheme.source)
    return _figure("published total", scheme.name, item, scheme.bounds(size), {}, extras)


def _over(ranks: Ranks) -> str:
    return f", the fullest of {ranks.tensor} ranks" if ranks.tensor > 1 else ""
