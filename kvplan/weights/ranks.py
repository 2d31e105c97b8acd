"""What one rank holds of a model's weights: the fullest tensor-parallel rank of a pipeline stage."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from kvplan.models.spec import Layer, ModelSpec
from kvplan.units import ceil_div, round_up
from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Component, Part
from kvplan.weights.scheme import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """How an engine spreads weights over GPUs.

    Attributes:
        tensor: ranks that split a layer's modules.
        experts_over: ranks that have whole experts each (expert parallelism); 1: every rank has a piece of each expert.
        expert_pieces: ranks that split each expert; `tensor` unless expert parallelism or data parallelism say otherwise.
        redundant_experts: copies of busy experts beside the routed ones.
        vocabulary_multiple: the vocabulary is padded to a multiple of this.
        whole: components that every rank keeps whole whatever their modules say (towers under data parallelism).
        left_out: components that are not loaded.

    """

    tensor: int = 1
    experts_over: int = 1
    expert_pieces: int = 1
    redundant_experts: int = 0
    vocabulary_multiple: int = 1
    whole: frozenset[Component] = frozenset()
    left_out: frozenset[Component] = frozenset()


@lru_cache(maxsize=16_384)
def shard(part: Part, ranks: Ranks) -> Part:
    """Return the fullest rank's piece of a part: split axes divided and rounded up, replicated parts whole."""
    if part.split == "experts":
        return _expert_shard(part, ranks)
    if part.split == "vocabulary":
        padded = part.component in ("embeddings", "head")
        rows = round_up(part.shape[0], ranks.vocabulary_multiple) if padded else part.shape[0]
        tensor = 1 if part.component in ranks.whole else ranks.tensor
        return replace(part, shape=(ceil_div(rows, tensor), *part.shape[1:]))
    if part.split == "replicated" or ranks.tensor == 1 or part.component in ranks.whole:
        return part
    return _divided(part, ranks.tensor, by_rows=part.split == "column")


def _expert_shard(part: Part, ranks: Ranks) -> Part:
    count = ceil_div(part.count + (ranks.redundant_experts if part.count > 1 else 0), ranks.experts_over)
    pieces = ranks.expert_pieces
    # The last linear of an expert takes its inputs in pieces, the others give their outputs in pieces.
    by_rows = not part.name.endswith(("down_proj", "fc2", "w2"))
    return replace(_divided(part, pieces, by_rows=by_rows) if pieces > 1 else part, count=count)


def _is_uneven(part: Part, ranks: Ranks) -> bool:
    """Whether some ranks have an expert less than the others."""
    whole = part.split == "experts" and ranks.experts_over > 1 and part.count > 1
    return whole and (part.count + ranks.redundant_experts) % ranks.experts_over > 0


def _divided(part: Part, pieces: int, *, by_rows: bool) -> Part:
    first, *rest = part.shape
    if by_rows or not rest:
        if part.units:
            # Whole KV heads: each rank has at least one, repeated where there are more ranks than heads.
            return replace(part, shape=(ceil_div(first * ceil_div(part.units, pieces), part.units), *rest))
        return replace(part, shape=(ceil_div(first, pieces), *rest))
    return replace(part, shape=(first, ceil_div(rest[0], pieces), *rest[1:]))


class Piece(NamedTuple):
    """One module on one rank.

    Attributes:
        part: the rank's piece of it.
        form: its format; None: plain numbers.
        bytes: what it takes.
        uneven: what the least full rank lacks of it: an expert, where they do not come out even.

    """

    part: Part
    form: WeightFormat | None
    bytes: int
    uneven: int = 0


Group = tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class RankParts:
    """All modules of one rank.

    Attributes:
        groups: what stands outside the layers, then each layer's modules in order. Equal layers are one object, so that
            what is worked out for one serves all.

    """

    groups: tuple[Group, ...]

    @cached_property
    def distinct(self) -> tuple[tuple[Group, int], ...]:
        """The groups that differ, with how many there are of each."""
        counts = Counter(id(group) for group in self.groups)
        return tuple((group, counts[key]) for key, group in {id(group): group for group in self.groups}.items())

    @cached_property
    def bytes(self) -> int:
        """Their bytes."""
        return sum(self.by_component.values())

    @cached_property
    def least_bytes(self) -> int:
        """The bytes of the stage's least full rank."""
        return self.bytes - sum(copies * piece.uneven for group, copies in self.distinct for piece in group)

    @cached_property
    def by_component(self) -> Mapping[Component, int]:
        """Their bytes by component."""
        sizes: dict[Component, int] = {}
        for group, copies in self.distinct:
            for piece in group:
                sizes[piece.part.component] = sizes.get(piece.part.component, 0) + copies * piece.bytes
        return sizes

    @cached_property
    def left_alone(self) -> Mapping[Component, int]:
        """The bytes of linears that the format leaves in plain numbers, by component."""
        sizes: dict[Component, int] = {}
        for group, copies in self.distinct:
            for piece in group:
                if piece.form is None and piece.part.kind == "linear":
                    sizes[piece.part.component] = sizes.get(piece.part.component, 0) + copies * piece.bytes
        return sizes


def outer_parts(model: ModelSpec, layers: range) -> Iterator[Part]:
    """Yield what a pipeline stage has outside its layers.

    The first stage has embeddings and towers, the last one norm and head; a tied head needs the embedding on the last
    stage too.
    """
    first, last = layers.start == 0, layers.stop == len(model.layers)
    for part in model.outer:
        at_end = part.component in ("head", "norms")
        if (last if at_end else first) or (part.component == "embeddings" and model.tied and last):
            yield part


def stage_parts(model: ModelSpec, layers: range) -> Iterator[tuple[Part, int | None]]:
    """Yield the parts of a pipeline stage with the layer that each stands in; None: outside the layers."""
    for part in outer_parts(model, layers):
        yield part, None
    for index in layers:
        for part in model.layers[index].parts:
            yield part, index


@lru_cache(maxsize=64)
def rank_parts(model: ModelSpec, layers: range, scheme: Scheme, ranks: Ranks) -> RankParts:
    """Return what the fullest rank of a pipeline stage holds."""
    groups = [_group(outer_parts(model, layers), None, scheme, ranks)]
    # Equal layers are one object (Family.spec); only rules tell them apart.
    known: dict[int, Group] = {}
    for index in layers:
        layer = model.layers[index]
        key = index if scheme.rules else id(layer)
        if key not in known:
            known[key] = _group(layer.parts, index, scheme, ranks)
        groups.append(known[key])
    return RankParts(groups=tuple(groups))


def layer_bytes(layers: Iterable[tuple[int, Layer]], scheme: Scheme, ranks: Ranks) -> int:
    """Return the bytes of numbered layers (next-token layers follow the last one) on the fullest rank."""
    return sum(piece.bytes for index, layer in layers for piece in _group(layer.parts, index, scheme, ranks))


def _group(parts: Iterable[Part], layer: int | None, scheme: Scheme, ranks: Ranks) -> Group:
    pieces = []
    for part in parts:
        if part.component not in ranks.left_out:
            form, piece = scheme.format_of(part, layer), shard(part, ranks)
            size = scheme.stored_bytes(piece, form)
            pieces.append(Piece(piece, form, size, size // piece.count if _is_uneven(part, ranks) else 0))
    return tuple(pieces)
