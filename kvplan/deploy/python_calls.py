"""Calls in Python that start a program or describe an engine, and what of their words depends on the way taken."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from kvplan.deploy.python_builtins import joined
from kvplan.deploy.python_conditions import ABSENT, Value
from kvplan.deploy.python_values import Scope
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Word

Within = tuple[ast.AST, ...]
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_WITH_VALUE = re.compile(r"(\s*--[A-Za-z][\w-]*[= ]\s*)([^\s-]\S*)")


@dataclass(slots=True)
class Started:
    """A call that starts a program.

    Attributes:
        words: of its command, or None where it is a shell's text.
        script: the shell's text.
        scope: the names at that point.
        within: the functions and classes around it, the outer first.
        node: the call.
        partly: whether words may be missing that only some ways through the file add.

    """

    words: list[Value] | None
    script: Text | None
    scope: Scope
    within: Within
    node: ast.AST
    partly: bool = False


@dataclass(slots=True)
class Called:
    """A call that describes an engine.

    Attributes:
        node: the call.
        name: of the function, without what is before its last dot.
        owner: what is before it, or the call that it is.
        target: the name that its result is given; "" for none.
        keywords: its arguments as they were known there.
        scope: the names at that point.
        labels: the arguments' names, where they stand.
        values: its arguments without a name.
        within: the functions and classes around it, the outer first.

    """

    node: ast.Call
    name: str
    owner: str | ast.Call
    target: str
    keywords: Mapping[str, Value]
    scope: Scope
    labels: Mapping[str, Text] = field(default_factory=dict)
    values: Sequence[Value] = ()
    within: Within = ()


def word_of(value: Value) -> Word:
    """Return a value as a word of a command, masked where it is no text."""
    return Word(value.value, place=value) if isinstance(value, Text) else Word(MASK)


def opened(words: Sequence[Value]) -> list[Value]:
    """Return the flags that have a value, the value masked; whether a bare flag is given stays unsaid."""
    found: list[Value] = []
    for flag, value in zip_longest(words, words[1:]):
        if not isinstance(flag, Text) or not _FLAG.match(flag.value):
            continue
        name, equals, _ = flag.value.partition("=")
        if equals and MASK not in name:
            found.append(flag.replaced(f"{name}={MASK * (len(flag.value) - len(name) - 1)}"))
        elif isinstance(value, Text) and value.value and not value.value.startswith("-") and MASK not in name:
            found += [flag, masked(value)]
    return found


def opened_text(text: Text) -> Text:
    """Return the same of a text that is put behind a command's."""
    parts: list[Text] = []
    for match in _WITH_VALUE.finditer(text.value):
        parts += [text.cut(*match.span(1)), _masked_text(text.cut(*match.span(2)))]
    return joined([Text(" "), *parts, Text(" ")]) or Text("") if parts else Text("")


def masked(value: Value) -> Value:
    """Return a text with its place alone."""
    return _masked_text(value) if isinstance(value, Text) else None


def _masked_text(text: Text) -> Text:
    return Text(MASK * len(text.value), text.runs)


def same(first: Value, second: Value) -> bool:
    """Return whether two values are known to be the same, lists by their own texts."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(
            isinstance(each, Text) and same(each, other) for each, other in zip(first, second, strict=True)
        )
    if isinstance(first, Text) and isinstance(second, Text):
        return first.value == second.value
    return first is ABSENT and second is ABSENT


def own_expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """Yield a statement's expressions, not those of statements in it."""
    for _, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.expr):
                yield each
            elif isinstance(each, ast.withitem):
                yield each.context_expr


def is_main(test: ast.expr) -> bool:
    """Return whether a condition is that the file is run itself."""
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"
