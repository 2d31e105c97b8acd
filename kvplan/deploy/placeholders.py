"""Names in braces that a program puts values in for, as Python's `str.format` does: `vllm serve {model} --port {port}`."""

import re

from kvplan.deploy.tree import NOTHING, Node
from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import MOST_CHARACTERS

# No shell means anything by one word in braces; `${name}` and `{{ name }}` are others' to read.
_NAME = re.compile(r"(?<![${])\{([a-zA-Z]\w*(?:\.\w+)?)\}(?!\})", re.ASCII)
# Where such files keep the values.
_VALUES = ("defaults", "default", "variables", "vars", "params", "parameters", "args", "config", "settings", "env")


def filled(text: Text, *beside: Node) -> Text:
    """Return a command with the values put in that stand beside it in the file, each at its place; the others masked.

    Args:
        text: of the command.
        beside: maps that may hold the values, or a map of them, the nearest first.

    """
    maps = [each for node in beside for each in (*(node.get(key) for key in _VALUES), node) if each.kind == "map"]
    parts: list[Text | str] = []
    done, left = 0, MOST_CHARACTERS
    for match in _NAME.finditer(text.value):
        value = next((each.get(match[1]) for each in maps if each.get(match[1]).string), NOTHING)
        known = bool(value) and not _NAME.search(value.value) and (left := left - len(value.value)) > 0
        parts += [text.cut(done, match.start()), value.text if known else _masked(text.cut(*match.span()))]
        done = match.end()
    return join([*parts, text.cut(done)]) if parts else text


def _masked(text: Text) -> Text:
    return text.replaced(MASK * len(text.value))
