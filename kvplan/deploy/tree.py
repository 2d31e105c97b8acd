"""YAML documents as trees whose every scalar knows its place, read from the parser's events: nothing is ever built from them.

Aliases point at the node they name and are never written out; depth and size are bounded; a document that is broken leaves
the others of its stream readable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from kvplan.deploy import templates
from kvplan.deploy.nodes import NOTHING, Nested, Node, in_file
from kvplan.deploy.templates import Page
from kvplan.launch.text import Place, Source, Text

__all__ = ["NOTHING", "Document", "Node", "documents"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 200
MOST_NODES = 200_000
# What all aliases of a document stand for together: nodes, and a node more for so many characters. Readers go through each place
# that an alias stands at as if it had been written out; no file that deploys an engine repeats a hundredth of that.
MOST_REPEATED, _CHARACTERS_OF_A_NODE = 20_000, 32
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# Lines of a document without content: comments and directives (`%YAML 1.1`).
_NO_CONTENT = re.compile(r"(?:---)?(?:[ \t]*(?:#.*|%[A-Z].*)?\r?\n?)*")
# `helm template` writes above each document which template it was made of.
_ORIGIN = re.compile(r"(?:---)?\s*(?:#.*\n\s*){0,20}?# Source: (\S{1,500})[ \t]*$", re.MULTILINE)
# An anchor and a tag before a scalar.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
# Tabs behind a value, which every parser of Go's passes over.
_TABS = re.compile(r"(?<![ \t])[ \t]++(?=\r?$|#)", re.MULTILINE)


@dataclass(slots=True)
class Document:
    """One document of a stream.

    Attributes:
        root: its tree; NOTHING where it is broken.
        place: where it stands.
        error: why it cannot be read; empty where it can.
        error_place: where.
        templated: whether expressions of a template decide which lines there are: it has not been rendered.
        origin: the template that it was made of, where a comment says so (`# Source: chart/templates/x.yaml`).

    """

    root: Node
    place: Place
    error: str = ""
    error_place: Place | None = None
    templated: bool = False
    origin: str = ""
    notes: list[str] = field(default_factory=list)


def documents(text: Text | Source) -> list[Document]:
    """Return the documents of a YAML stream, each read for itself.

    `text` may be a file or a text inside one (a ConfigMap's value, a heredoc): places are those in the file.
    """
    whole = text.whole() if isinstance(text, Source) else text
    # Marks of the byte order, however many: the parser passes over one itself, without counting it.
    whole = whole.cut(len(whole.value) - len(whole.value.lstrip("\ufeff")))
    value = whole.value
    starts = [0, *(match.start() for match in _MARKER.finditer(value))]
    found = []
    for start, end in zip(starts, [*starts[1:], len(value)], strict=True):
        empty = _NO_CONTENT.match(value, start, end)
        if empty is None or empty.end() < end:
            found.append(_document(whole.cut(start, end)))
    return found


def _document(text: Text) -> Document:
    source, base, value = _flat(text)
    place = text.place() or Place(source, base, base + len(value))
    origin = _ORIGIN.match(value)
    page, root, error = _parsed(value, source, base)
    document = Document(root, place, templated=page.templated, origin=origin[1] if origin else "")
    if error is not None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = mark.index if mark is not None else getattr(error, "position", 0)
        at = min(base + page.start(min(at, len(page.text))), max(base, base + len(value) - 1))
        problem = getattr(error, "problem", None) or getattr(error, "context", None) or error
        document.error = " ".join(str(problem).split())[:200] or "not YAML"
        document.error_place = in_file(source, at, at + 1)
    return document


def _parsed(value: str, source: Source, base: int) -> tuple[Page, Node, Exception | None]:
    """Return a document as it could be read: as it is; as a template; with what YAML forbids and others pass over."""
    found = templates.expressions(value)
    pages = [templates.masked(value, found)] if not found or _within_scalars(value, found) else []
    if not pages or "{{" in value:
        pages.append(templates.cut(value, found))
        if pages[0].text == pages[-1].text or not pages[-1].templated or _only_jinja(value, found):
            pages = pages[:1]
        pages = pages[-1:]
    page = pages[0]
    root, error = _tried(page, source, base)
    if error is not None and (lines := templates.whole_lines(value)):
        again = templates.cut(value, sorted([*found, *lines]))
        other, still = _tried(again, source, base)
        if still is None:
            return again, other, None
    if error is not None and "\t" in page.text:
        again = Page(_TABS.sub(lambda match: " " * len(match[0]), page.text), page.cuts, page.lost, page.templated)
        other, still = _tried(again, source, base)
        if still is None:
            return again, other, None
    return page, root, error


def _within_scalars(value: str, found: list[tuple[int, int]]) -> bool:
    """Whether a text is YAML as it stands, its expressions parts of texts in it."""
    page = Page(value)
    root, error = _tried(page, Source("", value), 0)
    if error is not None:
        return False
    ends = sorted((node.start, node.end) for node in _scalars(root))
    at = 0
    for start, end in found:
        while at < len(ends) and ends[at][1] < end:
            at += 1
        if at == len(ends) or ends[at][0] > start:
            return False
    return True


def _scalars(root: Node) -> Iterator[Node]:
    for node in root.walk():
        if node.kind == "scalar":
            yield node
        yield from (key for key, _ in node.pairs if key.kind == "scalar")


def _only_jinja(value: str, found: list[tuple[int, int]]) -> bool:
    """Whether a text that is YAML as it stands holds a chat template (`{% for message in messages %}`), and no other."""
    return any(value.startswith("{%", start) for start, _ in found)


def _tried(page: Page, source: Source, base: int) -> tuple[Node, Exception | None]:
    try:
        return _compose(page, source, base), None
    except (yaml.YAMLError, _TooMuchError, ValueError) as error:
        return NOTHING, error


def _flat(text: Text) -> tuple[Source, int, str]:
    """Return a source and an offset at which the text stands as it is; a text that stands nowhere so gets a source of its own."""
    if len(text.runs) == 1 and text.runs[0].end - text.runs[0].start == text.runs[0].length == len(text.value):
        return text.runs[0].source, text.runs[0].start, text.value
    return Nested(text), 0, text.value


class _TooMuchError(Exception):
    """A document that is deeper or larger than any that deploys an engine."""


class _Repeated:
    """How much the anchored nodes of a document are, with all that they hold, and what its aliases stand for together."""

    def __init__(self) -> None:
        self.size = self.repeated = 0
        self.sizes: dict[str, int] = {}
        self.begun: list[tuple[str, int]] = []

    def starts(self, node: Node, anchor: str) -> None:
        """Count a node; a mapping or list goes on until `ends`."""
        own = 1 + len(node.value) // _CHARACTERS_OF_A_NODE
        self.sizes[anchor] = own
        if node.kind != "scalar":
            self.begun.append((anchor, self.size))
        self.size += own

    def ends(self) -> None:
        """Close the mapping or list that was opened last."""
        anchor, before = self.begun.pop()
        self.sizes[anchor] = self.size - before

    def again(self, anchor: str) -> None:
        """Count an alias as all that it stands for."""
        self.size += self.sizes.get(anchor, 0)
        self.repeated += self.sizes.get(anchor, 0)
        if self.repeated > MOST_REPEATED:
            raise _TooMuchError(f"aliases stand for more than {MOST_REPEATED:,} nodes")


def _compose(page: Page, source: Source, base: int) -> Node:
    """Return the tree of one document, from the parser's events."""
    anchors: dict[str, Node] = {}
    stack: list[Node] = []
    keys: list[Node | None] = []
    open_nodes: set[int] = set()
    root, count, repeated = NOTHING, 0, _Repeated()

    def put(node: Node) -> None:
        nonlocal root
        if not stack:
            root = root or node
        elif stack[-1].kind == "list":
            stack[-1].items.append(node)
        elif keys[-1] is None:
            keys[-1] = node
        else:
            stack[-1].pairs.append((keys[-1], node))
            keys[-1] = None

    events: Any = yaml.parse(page.text, Loader=_Loader)
    for event in events:
        count += 1
        if count > MOST_NODES:
            raise _TooMuchError(f"more than {MOST_NODES:,} nodes")
        if isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent):
            node = _node(event, page, source, base)
            repeated.starts(node, event.anchor or "")
            if event.anchor:
                anchors[event.anchor] = node
            put(node)
            if node.kind != "scalar":
                stack.append(node)
                keys.append(None)
                open_nodes.add(id(node))
                if len(stack) > DEEPEST:
                    raise _TooMuchError(f"more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.AliasEvent):
            named = anchors.get(event.anchor or "", NOTHING)
            # A node inside itself would have no end; nothing that is deployed is one.
            put(NOTHING if id(named) in open_nodes else named)
            repeated.again(event.anchor or "")
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            node = stack.pop()
            keys.pop()
            repeated.ends()
            open_nodes.discard(id(node))
            if node.kind == "map":
                count += _indexed(node)
            below = [
                node.start,
                *(each.end for each in node.items),
                *(each.end for pair in node.pairs for each in pair),
            ]
            # The end of a block is wherever the next thing starts; that of `[...]` and `{...}` is its bracket.
            first, last = _marks(event)
            node.end = base + page.end(last) if last > first else max(below)
    return root


def _marks(event: Any) -> tuple[int, int]:
    """Return where an event starts and ends."""
    return event.start_mark.index, event.end_mark.index


def _node(event: Any, page: Page, source: Source, base: int) -> Node:
    """Return the node that an event starts."""
    start, end = _marks(event)
    kind = {"Scal": "scalar", "Sequ": "list", "Mapp": "map"}[type(event).__name__[:4]]
    node = Node(kind, source, base + page.start(start), base + page.end(end))
    if kind == "scalar":
        node.value = event.value
        node.style = event.style or ""
        node.plain = bool(event.implicit[0]) and not node.style
        if event.anchor or event.tag:
            properties = _PROPERTIES.match(page.text, start, end)
            start = properties.end() if properties else start
            node.start = base + page.start(start)
        node.stretch = (page, start, end)
    return node


def _indexed(node: Node) -> int:
    """Index a mapping that is complete, and with it what it merges; return how many entries were merged."""
    merged: dict[str, tuple[Node, Node]] = {}
    count = 0
    for name, value in node.pairs:
        if name.value == "<<" and name.plain:
            for each in value.items or [value]:
                count += len(each.index) + 1
                if count > MOST_NODES:
                    return count
                for key, pair in each.index.items():
                    merged.setdefault(key, pair)
    own = {name.value: (name, value) for name, value in node.pairs if name.kind == "scalar"}
    if count and own["<<"][0].plain:
        del own["<<"]
    node.index = {**merged, **own}
    return count
