"""Values of HCL: variables and locals whose value the files state are put in, other expressions are masked."""

import re
from collections.abc import Iterable

from kvplan.deploy.hcl import blocks
from kvplan.deploy.interpolation import braces
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import value_of
from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Word

_LITERAL = re.compile(r"-?\d+(?:\.\d+)?|true|false", re.ASCII)
_REFERENCE = re.compile(r"(?:var|local)\.\w+", re.ASCII)
_DEEPEST = 8


class Values:
    """What the references of a configuration stand for.

    Args:
        roots: the files of it, the one that is read first.
        given: a file of values for its variables (terraform.tfvars).

    """

    def __init__(self, roots: Iterable[Node], given: Node = NOTHING) -> None:
        self.known: dict[str, Node] = {}
        self.settled: dict[str, Text | None] = {}
        for root in roots:
            for (_, name), body in blocks(root, "variable", 1):
                if (default := body.get("default")) and default.value != "null":
                    self.known.setdefault(f"var.{name.value}", default)
            for _, body in blocks(root, "locals"):
                for key, value in body.entries():
                    self.known.setdefault(f"local.{key.value}", value)
        for key, value in given.entries():
            self.known[f"var.{key.value}"] = value

    def node(self, node: Node, depth: int = 0) -> Node:
        """Return what a node stands for: itself, unless it is a reference."""
        while node.plain and _REFERENCE.fullmatch(node.value) and node.value in self.known and depth < _DEEPEST:
            node, depth = self.known[node.value], depth + 1
        return node

    def reference(self, name: str, depth: int) -> Text | None:
        """Return what a reference in a text stands for, worked out once; None where that is not known."""
        if name not in self.settled and name in self.known:
            self.settled[name] = None  # while it is worked out: it may lead back to itself
            self.settled[name] = self.text(self.known[name], depth + 1)
        return self.settled.get(name)

    def text(self, node: Node, depth: int = 0) -> Text:
        """Return a scalar's text, references put in; masked as far as they cannot be."""
        node = self.node(node, depth)
        if node.kind != "scalar" or depth >= _DEEPEST or len(node.value) > MOST_CHARACTERS:
            return Text("")
        if node.plain:
            return node.text if _LITERAL.fullmatch(node.value) else node.text.replaced(MASK * len(node.value))
        return self.put_in(node.text, depth)

    def put_in(self, text: Text, depth: int = 0) -> Text:
        """Return a text with its `${var.x}` put in; other expressions are masked, `$${` is `${`."""
        parts: list[Text] = []
        done, at, left = 0, 0, MOST_CHARACTERS
        closed = braces(text.value)
        while (at := text.value.find("${", at)) >= 0:
            if text.value[at - 1 : at] == "$" and at:
                parts.append(text.cut(done, at - 1))
                done = at
                at += 2
                continue
            end = closed.get(at + 1, 0)
            if not end:
                break
            value = self.reference(text.value[at + 2 : end - 1].strip(), depth)
            if value is None or (left := left - len(value.value)) < 0:
                value = text.cut(at, end).replaced(re.sub(r"[^\n]", MASK, text.value[at:end]))
            parts += [text.cut(done, at), value]
            at = done = end
        parts.append(text.cut(done))
        return join(parts)

    def word(self, node: Node) -> Word | None:
        """Return a scalar as a word; None where nothing of it is known."""
        text = self.text(node)
        return Word(text.value, place=text) if text.value.strip(MASK) else None

    def words(self, node: Node) -> tuple[Word, ...]:
        """Return the words of a list, unknown ones masked."""
        texts = [self.text(each) for each in self.node(node).each()]
        return tuple(Word(text.value, place=text) for text in texts if text.value)

    def mapping(self, node: Node) -> dict[str, Given]:
        """Return a mapping of scalars as variables."""
        found: dict[str, Given] = {}
        for key, value in self.node(node).entries():
            text = self.text(value)
            if self.node(value).kind == "scalar" and text.value != "null":
                found[key.value.strip('"')] = value_of(key.text, text)
        return found

    def number(self, node: Node) -> Given | None:
        """Return a whole number; None where it is none or not known."""
        text = self.text(node)
        plain = text.value.strip()
        return (
            Given(int(plain), (Word(text.value, place=text),)) if re.fullmatch(r"\d{1,15}", plain, re.ASCII) else None
        )
