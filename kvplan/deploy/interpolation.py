"""Variables in a value, put in before anything is split: `${V}`, `${V:-default}`, defaults in defaults, each with its place."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from kvplan.launch.text import Text, join
from kvplan.launch.words import MOST_CHARACTERS

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPERATOR = re.compile(r":?[-?+]")
_BRACE = re.compile(r"[{}]")
_DEEPEST = 20
# Of a value that is put together: characters, and parts of files. Variables that double each other would go on without end.
_LONGEST, _MOST_PARTS = 20_000, 300
_COMPOSE: Literal["$$"] = "$$"


def interpolated(text: Text, variables: Mapping[str, Text], *, escape: Literal["$$", "\\$"] = _COMPOSE) -> Text:
    r"""Return a text with its variables put in, as compose (escape `$$`) and Dockerfiles (escape `\$`) do.

    A variable that is not set and has no default stays as `${V}`: compose takes it for nothing, but somebody means to set it.
    """
    if "$" not in text.value or len(text.value) > MOST_CHARACTERS:
        return text
    whole = join(_parts(text, variables, escape, 0))
    return whole if len(whole.runs) <= _MOST_PARTS + len(text.runs) else text


def _parts(text: Text, variables: Mapping[str, Text], escape: str, depth: int) -> Iterator[Text]:
    value, done, at, left = text.value, 0, 0, _LONGEST
    closed = braces(value)
    while (at := value.find("$", at)) >= 0:
        if escape == _COMPOSE and value.startswith("$$", at):
            yield text.cut(done, at + 1)
            at = done = at + 2
            continue
        if escape != _COMPOSE and value[at - 1 : at] == "\\":
            yield text.cut(done, at - 1)
            done, at = at, at + 1
            continue
        end, part = at + 1, None
        if value.startswith("{", end):
            end = closed.get(end, 0)
            if end and depth < _DEEPEST:
                part = _braced(text.cut(at, end), variables, escape, depth)
        elif (name := _NAME.match(value, end)) is not None:
            end = name.end()
            part = variables.get(name[0])
        if part is not None and (left := left - len(part.value)) > 0:
            yield text.cut(done, at)
            yield part
            done = end
        at = max(end, at + 1)
    yield text.cut(done)


def braces(value: str) -> dict[int, int]:
    """Return, for each opening brace that is closed, the offset behind the brace that closes it."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(value):
        if match[0] == "{":
            opened.append(match.start())
        elif opened:
            found[opened.pop()] = match.end()
    return found


def _braced(text: Text, variables: Mapping[str, Text], escape: str, depth: int) -> Text | None:
    """Return what `${...}` stands for; None where it stays as it is."""
    name = _NAME.match(text.value, 2)
    if name is None:
        return None
    known, last = variables.get(name[0]), len(text.value) - 1
    if name.end() == last:
        return known
    operator = _OPERATOR.match(text.value, name.end())
    if operator is None:
        return None
    is_set = known is not None and (bool(known.value) or not operator[0].startswith(":"))
    kind = operator[0][-1]
    if kind == "+":
        return join(_parts(text.cut(operator.end(), last), variables, escape, depth + 1)) if is_set else Text("")
    if is_set:
        return known
    if kind == "-":
        return join(_parts(text.cut(operator.end(), last), variables, escape, depth + 1))
    # `${V:?message}`: the message says what to set, and its words are none of the command's.
    return join([text.cut(0, name.end()), text.cut(last)])
