"""HCL (Terraform, Nomad) as a tree: its shape and its literals; nothing is computed.

A block with labels is a mapping in a mapping, as in HCL's JSON: `resource "a" "b" { ... }` is `resource: {a: {b: ...}}`. Keys
repeat where blocks do. An expression that is no literal is a plain scalar of its own text.
"""

import re
from collections.abc import Iterator

from kvplan.deploy.splitting import unescaped
from kvplan.deploy.tree import Node
from kvplan.launch.text import Source, Text, join

# A comment that is never closed reaches to the end.
_SPACE = re.compile(r"(?:\s|#[^\n]*|//[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_BLANKS = re.compile(r"(?:[ \t]|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_HEREDOC = re.compile(r"<<(-?)([A-Za-z_]\w*)[^\n]*\n")
# Functions whose value is that of their arguments, as far as a reader of settings cares.
_TRANSPARENT = re.compile(
    r"(?:jsonencode|yamlencode|yamldecode|jsondecode|base64encode|base64gzip|tomap|tostring|tonumber|tobool|tolist|toset|merge"
    r"|concat|compact|distinct|trimspace|chomp|nonsensitive|sensitive)\s*\("
)
_DEEPEST = 60


def read_hcl(source: Source) -> Node:
    """Return a file as a mapping."""
    return _Reader(source).body(0, 0)[0]


def blocks(node: Node, kind: str, labels: int = 0) -> Iterator[tuple[tuple[Node, ...], Node]]:
    """Yield the labels and the body of every block of a kind, in their order."""
    for key, value in node.pairs:
        if key.value == kind:
            yield from _labelled(value, labels, (key,))


def choice(node: Node) -> tuple[str, Node, Node] | None:
    """Return the condition and the two branches of an expression `a ? b : c`; None where it is none."""
    reader = _Reader(node.source)
    end, at, depth, found = min(node.end, len(reader.text)), node.start, 0, [0, 0]
    while at < end and not found[1]:
        char = reader.text[at]
        if char == '"':
            at = reader.string(at).end
            continue
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and char in "?:" and bool(found[0]) == (char == ":"):
            found[char == ":"] = at
        at += 1
    if not found[1]:
        return None
    first, _ = reader.value(reader.skip(found[0] + 1), 1)
    if first.plain:
        raw = reader.text[first.start : found[1]].rstrip()
        first = reader.scalar(
            reader.whole.cut(first.start, first.start + len(raw)), first.start, first.start + len(raw), plain=True
        )
    second, _ = reader.value(reader.skip(found[1] + 1), 1)
    return reader.text[node.start : found[0]], first, second


def _labelled(node: Node, labels: int, above: tuple[Node, ...]) -> Iterator[tuple[tuple[Node, ...], Node]]:
    if labels == 0:
        for each in node.each():
            yield above, each
        return
    for key, value in node.pairs:
        yield from _labelled(value, labels - 1, (*above, key))


class _Reader:
    """One pass over a file; what is not HCL is passed over."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.whole = source.whole()

    def skip(self, at: int, pattern: re.Pattern[str] = _SPACE) -> int:
        match = pattern.match(self.text, at)
        return match.end() if match else at

    def body(self, at: int, depth: int) -> tuple[Node, int]:
        """Return what stands up to a closing brace, or the end, and where it goes on."""
        node = Node("map", self.source, at, at)
        while (at := self.skip(at)) < len(self.text):
            if self.text[at] == "}":
                at += 1
                break
            key = self.key(at)
            if key is None:
                at += 1
                continue
            at = self.skip(key.end, _BLANKS)
            if self.text[at : at + 1] in ("=", ":") and self.text[at : at + 2] != "==":
                value, at = self.value(self.skip(at + 1), depth + 1)
                node.pairs.append((key, value))
                continue
            labels = []
            while (label := self.key(at)) is not None:
                labels.append(label)
                at = self.skip(label.end, _BLANKS)
            if self.text[at : at + 1] == "{" and depth < _DEEPEST:
                inner, at = self.body(at + 1, depth + 1)
                inner.start = key.start
                for label in reversed(labels):
                    outer = Node("map", self.source, label.start, at)
                    outer.pairs.append((label, inner))
                    inner = _indexed(outer)
                node.pairs.append((key, inner))
        node.end = at
        return _indexed(node), at

    def key(self, at: int) -> Node | None:
        """Return the name or quoted label that stands here; None where there is none."""
        if self.text[at : at + 1] == '"':
            return self.string(at)
        match = _NAME.match(self.text, at)
        return self.scalar(self.whole.cut(*match.span()), at, match.end()) if match else None

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        char = self.text[at : at + 1]
        if char == '"':
            found = self.string(at)
            return found, found.end
        if (heredoc := _HEREDOC.match(self.text, at)) is not None:
            return self.heredoc(heredoc)
        if char == "{" and depth < _DEEPEST:
            return self.body(at + 1, depth)
        if char == "[" and depth < _DEEPEST:
            return self.items(at, "]", depth)
        if (call := _TRANSPARENT.match(self.text, at)) is not None and depth < _DEEPEST:
            found, end = self.items(call.end() - 1, ")", depth)
            return _merged(found), end
        end = self.expression(at)
        raw = self.text[at:end].rstrip()
        return self.scalar(self.whole.cut(at, at + len(raw)), at, at + len(raw), plain=True), max(end, at + 1)

    def scalar(self, text: Text, start: int, end: int, *, plain: bool = False) -> Node:
        """Return a literal, or an expression, which is plain."""
        node = Node("scalar", self.source, start, end, value=text.value, plain=plain)
        node.text = text
        return node

    def items(self, at: int, closes: str, depth: int) -> tuple[Node, int]:
        """Return the list that opens here."""
        node = Node("list", self.source, at, at)
        at += 1
        while (at := self.skip(at)) < len(self.text) and self.text[at] != closes:
            if self.text[at] in ",}":
                at += 1
                continue
            item, at = self.value(at, depth + 1)
            node.items.append(item)
        node.end = at + 1
        return node, at + 1

    def string(self, at: int) -> Node:
        """Return the quoted text that opens here; quotes inside `${...}` do not close it."""
        end, depth = at + 1, 0
        while end < len(self.text) and not (self.text[end] == '"' and depth == 0):
            if self.text.startswith(("${", "%{"), end):
                depth += 1
                end += 1
            elif self.text[end] == "}" and depth:
                depth -= 1
            elif self.text[end] == "\\":
                end += 1
            elif self.text[end] == "\n":
                break
            end += 1
        end = min(end, len(self.text))
        return self.scalar(unescaped(self.whole.cut(at + 1, end)), at, end + 1)

    def heredoc(self, match: re.Match[str]) -> tuple[Node, int]:
        closing = re.compile(rf"^[ \t]*{match[2]}[ \t]*\r?$", re.MULTILINE).search(self.text, match.end())
        end = closing.start() if closing else len(self.text)
        text = self.whole.cut(match.end(), end)
        if match[1]:
            text = _unindented(text)
        return self.scalar(text, match.end(), end), closing.end() if closing else end

    def expression(self, at: int) -> int:
        """Return where an expression ends: at the line's end, a comma or a closing bracket of an outer one."""
        depth = 0
        while at < len(self.text):
            char = self.text[at]
            if char == '"':
                at = self.string(at).end
                continue
            if char in "([{":
                depth += 1
            elif char in ")]}":
                if depth == 0:
                    return at
                depth -= 1
            elif (char in ",\n#" or self.text.startswith("//", at)) and depth == 0:
                return at
            at += 1
        return at


def _unindented(text: Text) -> Text:
    """Return a text without the blanks that all of its lines start with."""
    lines = [match for match in re.finditer(r"[^\n]*\n?", text.value) if match[0]]
    indents = [len(line[0]) - len(line[0].lstrip(" \t")) for line in lines if line[0].strip()]
    indent = min(indents, default=0)
    if indent == 0:
        return text
    return join(text.cut(min(line.start() + indent, line.end() - line[0].endswith("\n")), line.end()) for line in lines)


def _merged(call: Node) -> Node:
    """Return the value of a function's arguments: the only one, or mappings and lists put together."""
    if len(call.items) == 1:
        return call.items[0]
    kinds = {each.kind for each in call.items}
    node = Node("map" if "map" in kinds else "list" if "list" in kinds else "scalar", call.source, call.start, call.end)
    for each in call.items:
        node.pairs += each.pairs
        # References to others stay among the items, for who knows what they stand for.
        node.items += each.items if each.kind == "list" else [each] if each.kind == "scalar" and each.plain else []
    return _indexed(node)


def _indexed(node: Node) -> Node:
    """Return a mapping that is complete, its keys found by their names."""
    node.index = {key.value: (key, value) for key, value in node.pairs}
    return node
