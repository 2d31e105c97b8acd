"""Containers put one over the other: what a resource says of one goes before what its template says."""

from collections.abc import Iterable

from kvplan.deploy.tree import NOTHING, Node

# Of these lists the parts are put together; of all else the later says what holds.
_JOINED = frozenset({"env", "envFrom", "args", "volumeMounts", "volumes"})


def mapping(place: Node, pairs: Iterable[tuple[Node, Node]]) -> Node:
    """Return a mapping of entries, of which the last of repeated keys counts; it stands where `place` does."""
    whole = Node("map", place.source, place.start, place.end)
    whole.pairs = list(pairs)
    whole.index = {key.value: (key, value) for key, value in whole.pairs}
    return whole


def mapping_of(place: Node, **entries: Node) -> Node:
    """Return a mapping of the entries that are there; it stands where `place` does."""
    return mapping(place, [(_key(name, value), value) for name, value in entries.items() if value])


def overlaid(base: Node, over: Node) -> Node:
    """Return one mapping of two; neither is changed."""
    if not base or not over:
        return base or over
    joined = [
        (key, joined_lists(base.get(key.value), value) if key.value in _JOINED and value.kind == "list" else value)
        for key, value in over.entries()
    ]
    return mapping(over, [*base.entries(), *joined])


def joined_lists(*lists: Node) -> Node:
    """Return one list of several."""
    there = [each for each in lists if each.kind == "list"]
    if not there:
        return NOTHING
    whole = Node("list", there[-1].source, there[-1].start, there[-1].end)
    whole.items = [item for each in there for item in each.items]
    return whole


def _key(name: str, value: Node) -> Node:
    return Node("scalar", value.source, value.start, value.start, value=name)
