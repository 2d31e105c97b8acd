"""Values of HCL: variables and locals whose value the files state are put in, other expressions are masked."""

import re
from collections.abc import Iterable

from kvplan.deploy.hcl import blocks, choice
from kvplan.deploy.interpolation import braces
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import value_of
from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Word

_LITERAL = re.compile(r"-?\d+(?:\.\d+)?|true|false", re.ASCII)
# `var.x`, `local.x.y["z"][0]`, `docker_image.x.name`.
_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[\w-]+|\[(?:\d{1,4}|\"[\w .-]*\"|(?:var|local)\.\w+)\]){1,10}", re.ASCII)
_PART = re.compile(r"\.?([\w-]+)|\[(\d+)\]|\[\"([\w .-]*)\"\]|\[((?:var|local)\.\w+)\]", re.ASCII)
_COMPARED = re.compile(r"(!?)\s*([\w.\[\]\"-]+)\s*(?:([!=]=)\s*(null|true|false|-?[\d.]+|\"[^\"$]*\"))?", re.ASCII)
_DEEPEST = 8
_MOST_WORDS = 2000
# Characters and nodes of all texts and mappings inside that are read as files of their own.
_MOST_INSIDE = 2_000_000
# What a resource of a container's image is called by others.
_IMAGE = ("name", "image_id", "latest", "repo_digest")


class Values:
    """What the references of a configuration stand for.

    Args:
        roots: the files of it, the one that is read first.
        given: a file of values for its variables (terraform.tfvars).

    """

    def __init__(self, roots: Iterable[Node], given: Node = NOTHING) -> None:
        self.known: dict[str, Node] = {}
        self.nulls: set[str] = set()
        self.settled: dict[str, Text | None] = {}
        self.merged: dict[int, Node] = {}
        # Each with the node that it was made of: as long as that lives its number is its own.
        self.choices: dict[int, tuple[Node, tuple[str, Node, Node] | None]] = {}
        self.texts: dict[int, tuple[Node, Text]] = {}
        self.left = _MOST_INSIDE
        roots = list(roots)
        for root in roots:
            for (_, name), body in blocks(root, "variable", 1):
                default = body.get("default")
                if default.plain and default.value == "null":
                    self.nulls.add(f"var.{name.value}")
                elif default:
                    self.known.setdefault(f"var.{name.value}", default)
            for _, body in blocks(root, "locals"):
                for key, value in body.entries():
                    self.known.setdefault(f"local.{key.value}", value)
            for (_, kind, name), body in blocks(root, "resource", 2):
                if kind.value == "docker_image" and (image := body.get("name")):
                    self.known |= {f"docker_image.{name.value}.{each}": image for each in _IMAGE}
        for key, value in given.entries():
            self.known[f"var.{key.value}"] = value
        for root in roots:
            for (_, kind, name), body in blocks(root, "data", 2):
                if kind.value == "aws_sagemaker_prebuilt_ecr_image":
                    self.known[f"data.{kind.value}.{name.value}.registry_path"] = self._prebuilt(body)

    def _prebuilt(self, body: Node) -> Node:
        """Return the image that SageMaker keeps under a repository's name and a tag."""
        repository, tag = self.text(body.get("repository_name")), self.text(body.get("image_tag"))
        text = join([repository, ":", tag]) if tag.value else repository
        node = Node("scalar", body.source, body.start, body.end, value=text.value)
        node.text = text
        return node

    def node(self, node: Node, depth: int = 0) -> Node:
        """Return what a node stands for: itself, unless it is a reference or a condition that is settled."""
        while node.plain and depth < _DEEPEST and len(node.value) < MOST_CHARACTERS:
            found = self.find(node.value, depth) if _REFERENCE.fullmatch(node.value) else self._chosen(node, depth)
            if found is None:
                break
            node, depth = found, depth + 1
        return self._merged(node, depth) if node.kind == "map" and node.items and depth < _DEEPEST else node

    def _merged(self, node: Node, depth: int) -> Node:
        """Return a mapping with those put under it that `merge(...)` names."""
        if id(node) not in self.merged:
            self.merged[id(node)] = whole = Node("map", node.source, node.start, node.end)
            for each in node.items:
                whole.pairs += self.node(each, depth + 1).pairs
            whole.index = {key.value: (key, value) for key, value in (*whole.pairs, *node.pairs)}
            whole.pairs = list(whole.index.values())
        return self.merged[id(node)]

    def affords(self, size: int) -> bool:
        """Return whether a text of that size inside the file may still be read as one of its own."""
        self.left -= size
        return self.left >= 0

    def find(self, name: str, depth: int = 0) -> Node | None:
        """Return what a reference leads to; None where that is not known."""
        steps = [match[1] or match[2] or match[3] or self._index(match[4], depth) for match in _PART.finditer(name)]
        for count in range(2, min(len(steps), 4) + 1):
            found = self.known.get(".".join(steps[:count]))
            if found is not None:
                return self._below(found, steps[count:], depth)
        # `docker_image.x[0].name`, of a resource that is counted.
        return self.known.get(f"{steps[0]}.{steps[1]}.{steps[3]}") if len(steps) == 4 and steps[2] == "0" else None

    def _index(self, name: str | None, depth: int) -> str:
        text = self.reference(name, depth + 1) if name and depth < _DEEPEST else None
        return text.value if text is not None else MASK

    def _below(self, node: Node, steps: list[str], depth: int) -> Node | None:
        for step in steps:
            if depth >= _DEEPEST:
                return None
            node = self.node(node, depth + 1)
            if node.kind == "list":
                node = node.items[int(step)] if step.isdigit() and int(step) < len(node.items) else NOTHING
            else:
                node = node.get(step)
        return node or None

    def _chosen(self, node: Node, depth: int) -> Node | None:
        """Return the branch of `a ? b : c` that its condition comes to, where the files settle it."""
        if "?" not in node.value:
            return None
        if id(node) not in self.choices:
            self.choices[id(node)] = (node, choice(node))
        parts = self.choices[id(node)][1]
        match = _COMPARED.fullmatch(parts[0].strip()) if parts is not None else None
        if parts is None or match is None:
            return None
        name = match[2]
        known = self.find(name, depth) if _REFERENCE.fullmatch(name) else None
        is_null = name in self.nulls and name not in self.known
        if known is None and not is_null:
            return None
        if match[4] == "null":
            holds = is_null
        else:
            own = "null" if known is None else self.text(known, depth + 1).value
            if MASK in own or (not match[3] and own not in ("true", "false")):
                return None
            holds = own == (match[4] or "true").strip('"')
        turned = (match[3] == "!=") != bool(match[1])
        return parts[1] if holds != turned else parts[2]

    def reference(self, name: str, depth: int) -> Text | None:
        """Return what a reference in a text stands for, worked out once; None where that is not known."""
        if name not in self.settled:
            self.settled[name] = None  # while it is worked out: it may lead back to itself
            found = self.find(name, depth) if _REFERENCE.fullmatch(name) else None
            self.settled[name] = self.text(found, depth + 1) if found is not None else None
        return self.settled.get(name)

    def text(self, node: Node, depth: int = 0) -> Text:
        """Return a scalar's text, references put in; masked as far as they cannot be."""
        node = self.node(node, depth)
        if node.kind != "scalar" or depth >= _DEEPEST or len(node.value) > MOST_CHARACTERS:
            return Text("")
        if node.plain:
            return node.text if _LITERAL.fullmatch(node.value) else node.text.replaced(MASK * len(node.value))
        if "${" not in node.value:
            return node.text
        if id(node) not in self.texts:
            self.texts[id(node)] = (node, self.put_in(node.text, depth))
        return self.texts[id(node)][1]

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
        items = [self.node(each) for each in self.node(node).each()]
        # A list in a list is one that `concat(...)` names.
        flat = [part for each in items for part in (each.items if each.kind == "list" else [each])]
        texts = [self.text(each) for each in flat[:_MOST_WORDS]]
        return tuple(Word(text.value, place=text) for text in texts if text.value)

    def mapping(self, node: Node) -> dict[str, Given]:
        """Return a mapping of scalars as variables."""
        found: dict[str, Given] = {}
        for key, value in self.node(node).entries():
            own, text = self.node(value), self.text(value)
            if own.kind == "scalar" and not (own.plain and own.value == "null"):
                found[key.value.strip('"')] = value_of(key.text, text)
        return found

    def number(self, node: Node) -> Given | None:
        """Return a whole number; None where it is none or not known."""
        text = self.text(node)
        plain = text.value.strip()
        return (
            Given(int(plain), (Word(text.value, place=text),)) if re.fullmatch(r"\d{1,15}", plain, re.ASCII) else None
        )
