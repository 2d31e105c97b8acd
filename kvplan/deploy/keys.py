"""Settings that a resource gives by keys, as the words that an engine's command line has for them."""

import json
import re
from collections.abc import Container, Iterable, Iterator

from kvplan.deploy.tree import Node
from kvplan.deploy.workload import word
from kvplan.errors import SettingError
from kvplan.launch.text import MASK, Run, Text, join
from kvplan.launch.words import MOST_CHARACTERS, Word, split

# Aliases make a small document a large value; no engine takes settings of that many parts.
_MOST_PARTS = 10_000
_DEEPEST = 50
# Longer ones mean nothing, and Python refuses to write very long ones.
_LONGEST_NUMBER = 30


def flags_of(mapping: Node, skip: Container[str] = ()) -> tuple[tuple[Word, ...], ...]:
    """Return the entries of a mapping as an engine's flags: `tensor_parallel_size: 2` is `--tensor-parallel-size 2`.

    True is the bare flag and false its `--no-` form; a mapping is its JSON; a list is several words.

    Args:
        mapping: the keys may be written with underscores, as Python's names, or with dashes.
        skip: keys that are no flags, with underscores.

    """
    found = []
    for key, value in mapping.entries():
        name = key.value.strip().lstrip("-").replace("-", "_")
        if name and MASK not in name and name not in skip:
            found.append(_flag("--" + name.replace("_", "-"), key, value))
    return tuple(each for each in found if each)


def flag_for(name: str, mapping: Node, *keys: str) -> tuple[Word, ...]:
    """Return what the first of several keys says that is there, under the engine's own name for it; none where none is."""
    return next((_flag(name, *mapping.index[key]) for key in keys if key in mapping.index), ())


def flat(flags: Iterable[tuple[Word, ...]]) -> tuple[Word, ...]:
    """Return flags as the words of one command."""
    return tuple(each for one in flags for each in one)


def words_in(text: Text) -> tuple[Word, ...]:
    """Return the words of a text that holds several (`--max-model-len 4096 --enforce-eager`), split as a shell does."""
    try:
        found = [each for each in split(text.value) if not each.operator]
    except SettingError:
        # A quote that is never closed: what stands before it can be read all the same.
        found = [
            Word(match[0], match.start(), match.end()) for match in re.finditer(r"\S+", text.value[:MOST_CHARACTERS])
        ]
    return tuple(Word(each.text, place=_inside(text.cut(each.start, each.end), each.text)) for each in found)


def _inside(text: Text, value: str) -> Text:
    """Return where a word stands, without the quotes around it."""
    return text.cut(1, len(text.value) - 1) if text.value[1:-1] == value else text


def _flag(name: str, key: Node, value: Node) -> tuple[Word, ...]:
    """Return a flag, placed at its key, and its words, placed at theirs."""
    if value.kind == "map" or (value.kind == "list" and any(each.kind != "scalar" for each in value.items)):
        text = json_text(value)
        return () if text is None else (Word(name, place=key.text), Word(text.value, place=text))
    if value.kind == "list":
        words = tuple(each for item in value.items if (each := _word(item)) is not None)
        return (Word(name, place=key.text), *words) if words else ()
    if isinstance(value.typed, bool) and value.kind == "scalar":
        if not value.typed:
            name = f"--{name[5:]}" if name.startswith("--no-") else f"--no-{name[2:]}"
        return (Word(name, place=key.text),)
    only = _word(value)
    return () if only is None else (Word(name, place=key.text), only)


def _word(node: Node) -> Word | None:
    """Return a scalar as an engine is given it: `32_768` is a number to YAML, `32768` to the engine."""
    found = word(node)
    if found is not None and len(found.text) <= _LONGEST_NUMBER and type(node.typed) is int:
        return Word(str(node.typed), place=node.text)
    return found


def json_text(node: Node) -> Text | None:
    """Return a tree as JSON whose values keep their places; None for one larger than any that is meant."""
    parts: list[Text | str] = []
    length = 0
    for part in _json(node, 0):
        parts.append(part)
        length += len(part if isinstance(part, str) else part.value)
        if part == "" or length > MOST_CHARACTERS or len(parts) > _MOST_PARTS:
            return None
    return join(parts)


def _json(node: Node, depth: int) -> Iterator[Text | str]:
    """Yield the parts of a tree's JSON; an empty one where it goes on without end."""
    if depth > _DEEPEST:
        yield ""
    elif node.kind == "map":
        yield "{"
        for index, (key, value) in enumerate(node.entries()):
            yield from (", ", _quoted(key)) if index else (_quoted(key),)
            yield ": "
            yield from _json(value, depth + 1)
        yield "}"
    elif node.kind == "list":
        yield "["
        for index, item in enumerate(node.items):
            if index:
                yield ", "
            yield from _json(item, depth + 1)
        yield "]"
    elif node.kind != "scalar" or node.typed is None:
        yield "null"
    else:
        as_text = isinstance(node.typed, str) or len(node.value) > _LONGEST_NUMBER
        yield _quoted(node) if as_text else _as(node, json.dumps(node.typed))


def _quoted(node: Node) -> Text:
    """Return a scalar as a text of JSON."""
    quoted = json.dumps(node.value, ensure_ascii=False)
    if quoted[1:-1] == node.value:
        return join(['"', node.text, '"'])
    return _as(node, quoted)


def _as(node: Node, text: str) -> Text:
    """Return another spelling of a scalar, at its place."""
    place = node.text.place()
    if text == node.value or place is None:
        return Text(text, node.text.runs if place is not None else ())
    return Text(text, (Run(0, len(text), place.source, place.start, place.end),))
