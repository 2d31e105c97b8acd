"""YAML documents as trees whose every scalar knows its place; read from the parser's events, so that nothing is ever built from them.

Aliases point at the node they name and are never written out; depth and size are bounded; a document that is broken leaves
the others of its stream readable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from kvplan.launch.text import MASK, Place, Run, Source, Text

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_resolver = yaml.SafeLoader("")
DEEPEST = 200
MOST_NODES = 200_000
# Expressions of Helm, Go templates and Jinja; and lines that hold nothing else, which a renderer takes out.
_EXPRESSION = re.compile(r"\{\{.{0,4000}?\}\}|\{%.{0,4000}?%\}|%\{.{0,400}?\}|\{#.{0,400}?#\}", re.DOTALL)
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_TOKEN = re.compile(r"""[^\s"'\\]+""")


class Node:
    """A scalar, a mapping or a list; `NOTHING` where a path leads nowhere, so that paths can be followed without asking.

    Attributes:
        kind: "scalar", "map", "list" or "nothing".
        value: of a scalar, as a text, whatever its type.
        pairs: of a mapping: key and value, in their order, repeated keys included.
        items: of a list.
        start, end: where it stands in the source.

    """

    __slots__ = ("__dict__", "end", "items", "kind", "pairs", "plain", "source", "start", "style", "value")

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

    def __bool__(self) -> bool:
        return self.kind != "nothing"

    def __repr__(self) -> str:
        return f"Node({self.kind}, {self.value or len(self.pairs or self.items)!r})"

    # -- ways down ---------------------------------------------------------------------------------------------------

    def get(self, *path: str) -> "Node":
        """Return what stands under a path of keys; the last of repeated keys counts, merged mappings count last."""
        node = self
        for key in path:
            node = node._child(key, 0)
            if not node:
                return NOTHING
        return node

    def first(self, *keys: str) -> "Node":
        """Return what stands under the first of several keys that is there."""
        return next((node for key in keys if (node := self.get(key))), NOTHING)

    def _child(self, key: str, depth: int) -> "Node":
        found = NOTHING
        for name, value in self.pairs:
            if name.value == key and name.kind == "scalar":
                found = value
        if found or depth > DEEPEST:
            return found
        for name, value in self.pairs:
            if name.value == "<<" and name.plain:
                for merged in value.items or [value]:
                    if found := merged._child(key, depth + 1):
                        return found
        return NOTHING

    def entries(self) -> Iterator[tuple["Node", "Node"]]:
        """Yield key and value of a mapping, the last of repeated keys, merged ones included."""
        yield from self._entries(0).values()

    def _entries(self, depth: int) -> dict[str, tuple["Node", "Node"]]:
        found: dict[str, tuple[Node, Node]] = {}
        for name, value in self.pairs:
            if name.value == "<<" and name.plain and depth < DEEPEST:
                for merged in value.items or [value]:
                    found = merged._entries(depth + 1) | found
        for name, value in self.pairs:
            if name.kind == "scalar" and not (name.value == "<<" and name.plain):
                found[name.value] = (name, value)
        return found

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
                return int(self.value.replace("_", ""), 0) if ":" not in self.value else self.value
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
        return _in_file(self.source, self.start, self.end)


NOTHING = Node("nothing", Source("", ""), 0, 0)


@dataclass(slots=True)
class Document:
    """One document of a stream.

    Attributes:
        root: its tree; NOTHING where it is broken.
        place: where it stands.
        error: why it cannot be read; empty where it can.
        error_place: where.
        templated: whether expressions of a template stand where values or lines should: it has not been rendered.

    """

    root: Node
    place: Place
    error: str = ""
    error_place: Place | None = None
    templated: bool = False
    notes: list[str] = field(default_factory=list)


def documents(text: Text | Source) -> list[Document]:
    """Return the documents of a YAML stream, each read for itself.

    `text` may be a file or a text inside one (a ConfigMap's value, a heredoc): places are those in the file.
    """
    whole = text.whole() if isinstance(text, Source) else text
    value = whole.value
    starts = [0, *(match.start() for match in _MARKER.finditer(value))]
    found = []
    for start, end in zip(starts, [*starts[1:], len(value)], strict=True):
        part = value[start:end]
        if part.strip() and part.strip() != "---":
            found.append(_document(whole.cut(start, end)))
    return found


def _document(text: Text) -> Document:
    source, base, value = _flat(text)
    place = text.place() or Place(source, base, base + len(value))
    masked, removed = _masked(value)
    try:
        root = _compose(masked, source, base)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = min(base + (mark.index if mark is not None else 0), max(base, base + len(value) - 1))
        problem = " ".join(str(error.problem or error.context or "not YAML").split())
        return Document(NOTHING, place, problem, _in_file(source, at, at + 1), removed)
    except (yaml.YAMLError, _TooMuch, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        at = getattr(error, "position", 0) if isinstance(error, yaml.reader.ReaderError) else 0
        return Document(NOTHING, place, problem, _in_file(source, base + at, base + at + 1), removed)
    return Document(root, place, templated=removed)


def _flat(text: Text) -> tuple[Source, int, str]:
    """Return a source and an offset at which the text stands as it is; a text that stands nowhere so gets a source of its own."""
    if len(text.runs) == 1 and text.runs[0].end - text.runs[0].start == text.runs[0].length == len(text.value):
        return text.runs[0].source, text.runs[0].start, text.value
    return _Nested(text), 0, text.value


class _Nested(Source):
    """A text inside a file, as a source of its own; `outer` leads back to the file."""

    def __init__(self, text: Text) -> None:
        place = text.place()
        super().__init__(place.path if place else "", text.value)
        self.outer = text


def _in_file(source: Source, start: int, end: int) -> Place:
    """Return a stretch of a source as one of the file."""
    if isinstance(source, _Nested):
        place = source.outer.cut(start, max(end, start + 1)).place()
        return place or Place(source, start, end)
    return Place(source, start, end)


def _masked(text: str) -> tuple[str, bool]:
    """Return a document with its template expressions masked, and whether lines of nothing else had to be taken out."""
    if "{{" not in text and "{%" not in text and "%{" not in text and "{#" not in text:
        return text, False
    removed = False

    def mask(match: re.Match[str]) -> str:
        nonlocal removed
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        alone = not _EXPRESSION.sub("", text[start : match.start()]).strip()
        alone = alone and not _EXPRESSION.sub("", text[match.end() : end]).strip()
        if alone or match[0].startswith(("{{/*", "{{- /*", "{#", "{%", "%{")):
            removed = True
            return re.sub(r"[^\n\r]", " ", match[0])
        return re.sub(r"[^\n\r]", MASK, match[0])

    return _EXPRESSION.sub(mask, text), removed


class _TooMuch(Exception):
    """A document that is deeper or larger than any that deploys an engine."""


def _compose(text: str, source: Source, base: int) -> Node:
    """Return the tree of one document, from the parser's events."""
    anchors: dict[str, Node] = {}
    stack: list[Node] = []
    keys: list[Node | None] = []
    root, count = NOTHING, 0

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

    for event in yaml.parse(text, Loader=_Loader):
        count += 1
        if count > MOST_NODES:
            raise _TooMuch(f"more than {MOST_NODES:,} nodes")
        if isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent):
            kind = {"Scal": "scalar", "Sequ": "list", "Mapp": "map"}[type(event).__name__[:4]]
            node = Node(kind, source, base + event.start_mark.index, base + event.end_mark.index)
            if isinstance(event, yaml.ScalarEvent):
                node.value = event.value
                node.style = event.style or ""
                node.plain = bool(event.implicit[0]) and not node.style
            if event.anchor:
                anchors[event.anchor] = node
            put(node)
            if kind != "scalar":
                stack.append(node)
                keys.append(None)
                if len(stack) > DEEPEST:
                    raise _TooMuch(f"more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.AliasEvent):
            put(anchors.get(event.anchor, NOTHING))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            node = stack.pop()
            keys.pop()
            below = [node.start, *(each.end for each in node.items), *(each.end for pair in node.pairs for each in pair)]
            # The end of a block is wherever the next thing starts; that of `[...]` and `{...}` is its bracket.
            bracket = event.end_mark.index - event.start_mark.index
            node.end = base + event.end_mark.index if bracket else min(max(below), base + len(text))
    return root


def _located(node: Node) -> Text:
    """Return a scalar's value, each part of it with the stretch of the file that it came from."""
    source, start, end, value = node.source, node.start, node.end, node.value
    raw = source.text[start:end]
    if len(raw) == len(value) + 2 and node.style in ("'", '"') and source.text[start + 1 : end - 1] == _unmasked(node):
        return _outward(source, Text(value, (Run(0, len(value), source, start + 1, end - 1),)))
    if len(raw.rstrip()) == len(value) and not node.style:
        return _outward(source, Text(value, (Run(0, len(value), source, start, start + len(value)),)))
    at = start
    if node.style in ("|", ">"):
        line_end = source.text.find("\n", start, end)
        at = line_end + 1 if line_end >= 0 else end
    elif node.style:
        at += 1
    runs: list[Run] = []
    done = 0
    for match in _TOKEN.finditer(value):
        found = _find(source.text, match[0], at, end)
        if found < 0:
            continue
        if match.start() > done:
            runs.append(Run(done, match.start() - done, source, at, found))
        runs.append(Run(match.start(), len(match[0]), source, found, found + len(match[0])))
        done, at = match.end(), found + len(match[0])
    if done < len(value):
        runs.append(Run(done, len(value) - done, source, at, max(at, min(end, at + len(value) - done))))
    return _outward(source, Text(value, runs))


def _find(text: str, token: str, at: int, end: int) -> int:
    """Return where a part of a value stands in the file; masked characters stand for any."""
    if MASK not in token:
        return text.find(token, at, end)
    pattern = re.sub(f"{MASK}+", lambda match: f"\x00{len(match[0])}\x00", token)
    parts = [f"[^\\x00]{{{part}}}" if index % 2 else re.escape(part) for index, part in enumerate(pattern.split("\x00"))]
    match = re.compile("".join(parts)).search(text, at, end)
    return match.start() if match else -1


def _unmasked(node: Node) -> str:
    """Return a quoted scalar's value with the file's own characters for masked ones."""
    if MASK not in node.value:
        return node.value
    raw = node.source.text[node.start + 1 : node.end - 1]
    return "".join(own if char == MASK else char for char, own in zip(node.value, raw, strict=False))


def _outward(source: Source, text: Text) -> Text:
    """Return a text of a nested source with its places in the file."""
    if not isinstance(source, _Nested):
        return text
    runs: list[Run] = []
    for run in text.runs:
        inner = source.outer.cut(run.start, run.end)
        if run.end - run.start == run.length:
            runs += [each._replace(offset=each.offset + run.offset) for each in inner.runs]
        elif (place := inner.place()) is not None:
            runs.append(Run(run.offset, run.length, place.source, place.start, place.end))
    return Text(text.value, runs)
