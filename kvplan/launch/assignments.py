"""Assignments of a shell's text: `NAME=value`, `NAME+=value`, `NAME=(items)`, each surely made or perhaps."""

import re
from collections.abc import Sequence

from kvplan.launch.text import MASK, Text, join
from kvplan.launch.variables import Variables, text_of
from kvplan.launch.words import Given, Word

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
# What is left of a value when nothing settles it.
UNSETTLED = re.compile(rf"\$(?:[\w{{(@*#]|$)|`|{MASK}")


def assign(variables: Variables, word: Word, *, conditional: bool) -> None:
    """Set a variable or an array as a word says.

    What only some ways through the text add to a value is left out; what they set to different values is open from there on.
    """
    target = ASSIGNMENT.match(word.text)
    if target is None:
        return
    name, adds = target[0].rstrip("+="), target[0].endswith("+=")
    if conditional and (name in variables.open or adds or adds_to_itself(name, word)):
        return
    if adds and name in variables.open:
        return
    if word.items is not None:
        _assign_items(variables, name, word.items, adds=adds, conditional=conditional)
        return
    value = right_side(variables, word, target.end())
    before = variables.values.get(name)
    if adds:
        whole = join([text_of(before) if before is not None else Text(""), value])
        variables.values[name] = Given(whole.value, (Word(whole.value, place=whole if whole.runs else None),))
    elif not _keeps(variables, name, value.value, before, conditional=conditional):
        variables.open.discard(name)
        variables.arrays.pop(name, None)
        plain = word.place is not None and value.runs and "$" not in word.text and not word.pieces
        place = word.place if plain else _prefixed(name, word, value)
        text = f"{name}={value.value}"
        variables.values[name] = Given(value.value, (Word(text, word.start, word.end, word.origin, place=place),))


def right_side(variables: Variables, word: Word, start: int) -> Text:
    """Return what is assigned, variables put in, blanks kept."""
    if not word.pieces:
        return variables.value((word.place or Text(word.text)).cut(start))
    parts: list[Text | str] = []
    skip = start
    for piece in word.pieces:
        text = piece.place or Text(piece.text)
        if skip >= len(piece.text):
            skip -= len(piece.text)
            continue
        text = text.cut(skip)
        skip = 0
        parts.append(text if piece.quote == "'" else variables.value(text))
    return join(parts)


def adds_to_itself(name: str, word: Word) -> bool:
    """Return whether a value begins with what the variable holds: `ARGS="$ARGS --flag"`, `ARGS=("${ARGS[@]}" --flag)`."""
    text = " ".join(each.text for each in word.items) if word.items else word.text[len(name) + 1 :]
    return re.search(rf"\$(?:{name}\b|\{{{name}(?:\[[@*]\])?\}})", text) is not None


def _keeps(variables: Variables, name: str, value: str, before: Given | None, *, conditional: bool) -> bool:
    """Whether a variable is not set to a value after all: it stays as it was, or is open from there on."""
    settled = not UNSETTLED.search(value)
    if not settled and ("$(" in value or "`" in value):
        # What a command prints is not known; its variable stands for it.
        if not conditional or before is None or not before.value:
            variables.forget(name)
        return True
    if conditional and before is not None:
        if settled and before.value != value:
            variables.forget(name)
        return True
    return not settled and value in (f"${name}", f"${{{name}}}")


def _assign_items(variables: Variables, name: str, items: Sequence[Word], *, adds: bool, conditional: bool) -> None:
    found = [each for item in items for each in variables.fields(item)]
    before = variables.arrays.get(name)
    if any(re.match(r"\[[^\]]*\]=", item.text) for item in items):
        variables.forget(name)  # `([key]=value ...)`
    elif adds:
        variables.arrays[name] = [*(before or []), *found]
    elif conditional and before is not None and [each.text for each in before] != [each.text for each in found]:
        variables.forget(name)
    else:
        variables.arrays[name] = found
        variables.open.discard(name)


def _prefixed(name: str, word: Word, value: Text) -> Text:
    head = word.place.cut(0, len(name) + 1) if word.place is not None else Text(f"{name}=")
    return join([head, value])
