"""What a YAML document is made of, as `tree` reads it: nodes that know where they stand in the file."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import yaml

from kvplan.deploy.alignment import aligned
from kvplan.deploy.templates import Page
from kvplan.launch.text import Place, Run, Source, Text

_resolver: Any = yaml.SafeLoader("")


class Node:
    """A scalar, a mapping or a list; `NOTHING` where a path leads nowhere, so that paths can be followed without asking.

    Attributes:
        kind: "scalar", "map", "list" or "nothing".
        value: of a scalar, as a text, whatever its type.
        pairs: of a mapping: key and value, in their order, repeated keys included.
        items: of a list.
        start, end: where it stands in the source.
        index: of a mapping: each key once, the last of repeated ones; merged mappings count last.
        stretch: of a scalar, in the page that was parsed.

    """

    __slots__ = (
        "__dict__", "end", "index", "items", "kind", "pairs", "plain", "source", "start", "stretch", "style", "value",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        source: Source,
        start: int,
        end: int,
        *,
        value: str = "",
        style: str = "",
        plain: bool = False,
    ) -> None:
        self.kind = kind
        self.source = source
        self.start = start
        self.end = end
        self.value = value
        self.style = style
        self.plain = plain
        self.pairs: list[tuple[Node, Node]] = []
        self.items: list[Node] = []
        self.index: dict[str, tuple[Node, Node]] = {}
        self.stretch: tuple[Page, int, int] | None = None

    def __bool__(self) -> bool:
        return self.kind != "nothing"

    def __repr__(self) -> str:
        return f"Node({self.kind}, {self.value or len(self.pairs or self.items)!r})"

    # -- ways down ---------------------------------------------------------------------------------------------------

    def get(self, *path: str) -> "Node":
        """Return what stands under a path of keys; the last of repeated keys counts, merged mappings count last."""
        node = self
        for key in path:
            found = node.index.get(key)
            if found is None:
                return NOTHING
            node = found[1]
        return node

    def first(self, *keys: str) -> "Node":
        """Return what stands under the first of several keys that is there."""
        return next((node for key in keys if (node := self.get(key))), NOTHING)

    def entries(self) -> Iterator[tuple["Node", "Node"]]:
        """Yield key and value of a mapping, the last of repeated keys, merged ones included."""
        yield from self.index.values()

    def each(self) -> list["Node"]:
        """Return the items of a list; a scalar or mapping alone counts as its one item, as many readers take it."""
        return self.items if self.kind == "list" else [self] if self.kind in ("scalar", "map") else []

    def walk(self) -> Iterator["Node"]:
        """Yield it and every node below it, each once."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            waiting += [value for _, value in reversed(node.pairs)] + list(reversed(node.items))

    # -- what it holds -----------------------------------------------------------------------------------------------

    @cached_property
    def text(self) -> Text:
        """Return a scalar's value with the place of each of its characters."""
        return _located(self)

    @property
    def typed(self) -> Any:
        """Return a scalar as YAML 1.1 reads it: None, a truth value, a number or a text."""
        if self.kind != "scalar" or not self.plain:
            return self.value
        tag = _resolver.resolve(yaml.ScalarNode, self.value, (True, False))
        try:
            if tag.endswith(":null"):
                return None
            if tag.endswith(":bool"):
                return self.value.lower() in ("yes", "true", "on")
            if tag.endswith(":int"):
                return _whole(self.value.replace("_", "")) if ":" not in self.value else self.value
            if tag.endswith(":float"):
                return float(self.value.replace("_", "")) if ":" not in self.value else self.value
        except ValueError:
            pass
        return self.value

    @property
    def is_null(self) -> bool:
        """Whether it is there and says nothing (`key:`)."""
        return self.kind == "scalar" and self.typed is None

    @property
    def string(self) -> str:
        """Return a scalar's characters; empty for everything else and for null."""
        return self.value if self.kind == "scalar" and not self.is_null else ""

    @property
    def number(self) -> int | None:
        """Return the whole number that a scalar means, quoted or not; None where it means none."""
        text = self.value.strip()
        if self.kind != "scalar" or not re.fullmatch(r"\d{1,12}(?:\.0+)?", text, re.ASCII):
            return None
        return int(text.partition(".")[0])

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return in_file(self.source, self.start, self.end)


def _whole(text: str) -> int:
    """Return a whole number as YAML 1.1 writes it: `010` is eight."""
    digits = text.lstrip("+-")
    return int(text, 8) if re.fullmatch(r"0[0-7]+", digits) else int(text, 0)


NOTHING = Node("nothing", Source("", ""), 0, 0)


class Nested(Source):
    """A text inside a file, as a source of its own; `outer` leads back to the file."""

    def __init__(self, text: Text) -> None:
        place = text.place()
        super().__init__(place.path if place else "", text.value)
        self.outer = text


def in_file(source: Source, start: int, end: int) -> Place:
    """Return a stretch of a source as one of the file."""
    if isinstance(source, Nested):
        place = source.outer.cut(start, max(end, start + 1)).place()
        return place or Place(source, start, end)
    return Place(source, start, end)


def _located(node: Node) -> Text:
    """Return a scalar's value, each part of it with the stretch of the file that it came from."""
    source = node.source
    # Nodes that were made elsewhere than by the parser of YAML stand in the file as they are.
    page, at, to = node.stretch or (Page(source.text[node.start : node.end]), 0, node.end - node.start)
    base = node.start - page.start(at)
    runs: list[Run] = []
    for offset, length, start, end in aligned(node.value, page.text[at:to], node.style):
        if end - start == length:
            for low, high in page.stretches(at + start, at + end):
                first = base + page.start(low)
                runs.append(Run(offset + low - at - start, high - low, source, first, first + high - low))
        else:
            first = base + page.start(at + start)
            runs.append(Run(offset, length, source, first, max(first, base + page.end(at + end))))
    return _outward(source, Text(node.value, runs))


def _outward(source: Source, text: Text) -> Text:
    """Return a text of a nested source with its places in the file."""
    if not isinstance(source, Nested):
        return text
    runs: list[Run] = []
    for run in text.runs:
        inner = source.outer.cut(run.start, run.end)
        if run.end - run.start == run.length:
            runs += [each._replace(offset=each.offset + run.offset) for each in inner.runs]
        elif (place := inner.place()) is not None:
            runs.append(Run(run.offset, run.length, place.source, place.start, place.end))
    return Text(text.value, runs)
