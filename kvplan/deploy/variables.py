"""Variables of an environment as files write them: lists of `NAME=value`, mappings, and files of such lines."""

import re
from collections.abc import Callable, Mapping

from kvplan.deploy.interpolation import interpolated
from kvplan.deploy.splitting import unescaped
from kvplan.deploy.tree import Node
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=", re.ASCII)
_LINE = re.compile(r"[^\r\n]+")
# The end of a double-quoted value, which may hold line ends; of a single-quoted one.
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")


def value_of(name: Text | str, value: Text) -> Given:
    """Return a variable's value, with its name's place and its own."""
    label = Word(name.value, place=name) if isinstance(name, Text) else Word(name)
    return Given(value.value, (label, Word(value.value, place=value)))


def assigned(text: Text) -> tuple[Text, Text] | None:
    """Return name and value of `NAME=value`; None where it is none."""
    match = _ASSIGNMENT.match(text.value)
    return None if match is None else (text.cut(match.start(1), match.end(1)), text.cut(match.end()))


def listed(
    node: Node, change: Callable[[Text], Text] = lambda text: text, outside: Mapping[str, Text] | None = None
) -> dict[str, Given]:
    """Return the variables of a list of `NAME=value` or of a mapping.

    Args:
        node: the list or mapping.
        change: what is done to each value before it is read.
        outside: where the value of a bare `NAME` comes from.

    """
    found: dict[str, Given] = {}
    for key, value in node.entries():
        if value.kind == "scalar" and not value.is_null:
            found[key.value] = value_of(key.text, change(value.text))
        elif value.is_null and outside and key.value in outside:
            found[key.value] = value_of(key.text, outside[key.value])
    for item in node.items:
        if item.kind == "map":
            name, value = item.get("name"), item.get("value")
            if name.kind == value.kind == "scalar" and not value.is_null:
                found[name.value] = value_of(name.text, change(value.text))
            elif not name:
                found |= listed(item, change, outside)
        elif item.kind == "scalar":
            text = change(item.text)
            if (pair := assigned(text)) is not None:
                found[pair[0].value] = value_of(*pair)
            elif outside and text.value in outside:
                found[text.value] = value_of(text, outside[text.value])
    return found


def env_file(text: Text, outside: Mapping[str, Text] | None = None) -> dict[str, tuple[Text, Text]]:
    """Return the variables of an env file as compose reads it, by name: the name's text and the value's.

    Quotes are taken off, comments left out, and variables put in, of `outside` and of the lines before.
    """
    found: dict[str, tuple[Text, Text]] = {}
    known: dict[str, Text] = dict(outside or {})
    at = 0
    while (line := _LINE.search(text.value, at)) is not None:
        at = line.end()
        match = _ASSIGNMENT.match(text.value, line.start(), line.end())
        if match is None:
            continue
        start = match.end() + len(text.value[match.end() : at]) - len(text.value[match.end() : at].lstrip())
        if (quoted := _DOUBLE.match(text.value, start)) is not None:
            value, at = interpolated(unescaped(text.cut(*quoted.span(1))), known), _line_end(text, quoted.end())
        elif (quoted := _SINGLE.match(text.value, start)) is not None:
            value, at = text.cut(*quoted.span(1)), _line_end(text, quoted.end())
        else:
            bare = re.split(r"(?:^|\s)#", text.value[start:at], maxsplit=1)[0].rstrip()
            value = interpolated(text.cut(start, start + len(bare)), known)
        name = text.cut(*match.span(1))
        found[name.value] = (name, value)
        known[name.value] = value
    return found


def _line_end(text: Text, at: int) -> int:
    end = text.value.find("\n", at)
    return len(text.value) if end < 0 else end


def env_values(text: Text, outside: Mapping[str, Text] | None = None) -> dict[str, Given]:
    """Return the variables of an env file as values."""
    return {name: value_of(*pair) for name, pair in env_file(text, outside).items()}
