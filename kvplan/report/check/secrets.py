"""What is never printed: values of keys, flags and variables that are named as secrets are, and tokens known by their shape."""

import re
from collections.abc import Iterator
from functools import lru_cache

from kvplan.launch.text import Source

MASKED = "****"

_NAME = r"(?<![\w.-])(?P<name>[A-Za-z_][\w.-]{0,200})"
# A value in quotes, or up to what ends a word in a shell, a list or a map.
_VALUE = r"(?P<value>\"[^\"\n]*\"?|'[^'\n]*'?|[^\s\"',;\]})]+)"
_SETTING = re.compile(rf"{_NAME}[\"']?(?:[ \t]*=[ \t]*|:[ \t]+){_VALUE}")
# In sentences (`bytes per token = layers x heads`) only what is written as a shell or a file would.
_ASSIGNMENT = re.compile(rf"{_NAME}=(?![= ]){_VALUE}")
_FLAG = re.compile(rf"(?<![\w-])--?(?P<name>[A-Za-z][\w.-]{{0,200}})(?:=|[\"']?,[ \t]*|[\"']?[ \t]+){_VALUE}")
_DEFAULT = re.compile(r"\$\{(?P<name>\w{1,200}):?[-=+](?P<value>[^}\n]+)")
_DOCKERFILE = re.compile(rf"(?im)^[ \t]*(?:ENV|ARG)[ \t]+(?P<name>\w{{1,200}})[ \t]+{_VALUE}")
# YAML: all that stands behind a key that begins its line is the value.
_KEY = re.compile(r"(?P<indent>[ \t]*(?:-[ \t]+)*)[\"']?(?P<name>[A-Za-z_][\w.-]{0,200})[\"']?:[ \t]+(?P<value>\S.*)")
_PAIR = re.compile(
    rf"(?i)\bname[\"']?[ \t]*[:=][ \t]*[\"']?(?P<name>[\w.-]{{1,200}})[\"']?[ \t]*,[ \t]*[\"']?value[\"']?[ \t]*[:=][ \t]*{_VALUE}"
)
_NAMED = re.compile(
    r"(?i)[ \t]*(?:-[ \t]+)?[\"']?(?:name|key)[\"']?[ \t]*[:=][ \t]*[\"']?(?P<name>[\w.-]{1,200})[\"']?,?[ \t\r]*(?:#.*)?"
)
_ITS_VALUE = re.compile(r"(?i)[ \t]*(?:-[ \t]+)?[\"']?value[\"']?[ \t]*[:=][ \t]*(?P<value>\S.*)")
_LONE_FLAG = re.compile(r"[ \t]*(?:-[ \t]+)?[\"'\[]*--?(?P<name>[A-Za-z][\w.-]{0,200})[\"']?[ \t]*[,\\]?[ \t\r]*")
_NEXT = re.compile(rf"[ \t]*(?:-[ \t]+)?{_VALUE}")
_BLOCK = re.compile(r"[|>][-+\d]*[ \t\r]*(?:#.*)?")
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?P<value>[^-]+)")
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{12,}|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|nvapi-[\w-]{16,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{8,1000}\.[\w-]{8,1000}\.[\w-]*"
    r"|(?i:bearer)[ \t]+(?P<bearer>[\w.~+/=-]{8,})|[a-z]{2,20}://[^\s/:@]{0,100}:(?P<password>[^\s/@]{1,200})@)"
)
# Names that hold such a word and are no secrets: counts of tokens, tokenizers, a toleration's key.
_HARMLESS = re.compile(
    r"tokens|token[._-]?(?:ids?|length|num|count|budget)$|tokeni[sz]|topology[._-]?key|keywords?|^_*keys?$"
    r"|secret[._-]?(?:key[._-]?)?(?:ref|name)$"
)
_OF_ACCESS = re.compile(r"(?:api|auth|access|bearer|secret)[._-]?(?:keys|tokens)")
_SECRET = re.compile(r"key|token|secret|passw|passphrase|credential|authorization")
# No token is a number or a switch, but `--max-num-batched-token 8192`, abbreviated, is what is to be seen.
_PLAIN = re.compile(r"(?i)[\d.,_]{0,12}[kmg]?|true|false|null|none|auto|~|yes|no")
_ALWAYS = re.compile(r"(?i)passw|passphrase|secret|credential")
_REFERENCE = re.compile(r"\$?\$\{?\w+\}?|\$\(\w+\)|\$\{\{.*\}\}|\{\{.*\}\}|\$\{\w+:?\?[^}]*\}")
# What may stand between a variable's name and its value.
_NEAR = 4


def is_secret(name: str) -> bool:
    """Return whether what goes by a name is kept from sight."""
    low = name.lower()
    return bool(_OF_ACCESS.search(low) or _SECRET.search(_HARMLESS.sub("", low)))


def masked(text: str) -> str:
    """Return a sentence, a command or a value without the secrets in it."""
    spans = _merged(_of_sentence(text))
    parts, end = [], 0
    for start, stop in spans:
        parts += [text[end:start], MASKED]
        end = stop
    return "".join([*parts, text[end:]])


@lru_cache(maxsize=8)
def hidden(source: Source) -> tuple[tuple[int, int], ...]:
    """Return the stretches of a file that are not printed, in order."""
    return spans(source.text)


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the stretches of a file's text that are not printed, in order."""
    return _merged([*_of_sentence(text), *_of_settings(text), *_of_lines(text)])


def _of_sentence(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_ASSIGNMENT, _FLAG, _DEFAULT, _PAIR):
        for match in pattern.finditer(text):
            if is_secret(match["name"]):
                yield from _value(match, match["name"])
    for match in _SHAPES.finditer(text):
        group = match.lastgroup or 0
        yield match.span(group)
    for match in _PEM.finditer(text):
        yield match.span("value")


def _of_settings(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_SETTING, _DOCKERFILE):
        for match in pattern.finditer(text):
            if is_secret(match["name"]):
                yield from _value(match, match["name"])


def _of_lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield what a line says of itself and of the lines around it."""
    found = [(match.start(), match[0]) for match in re.finditer(r"[^\r\n]+", text)]
    for index, (_, line) in enumerate(found):
        if (key := _KEY.fullmatch(line)) is not None and is_secret(key["name"]):
            yield from _whole(found, index, key, key["name"])
        if (name := _NAMED.fullmatch(line)) is not None and is_secret(name["name"]):
            for other in _of_item(found, index):
                if (value := _ITS_VALUE.fullmatch(found[other][1])) is not None:
                    yield from _whole(found, other, value, name["name"])
        flag = _LONE_FLAG.fullmatch(line)
        if flag is not None and is_secret(flag["name"]) and index + 1 < len(found):
            start, following = found[index + 1]
            value = _NEXT.match(following)
            if value is not None and not value["value"].strip("\"'").startswith("-"):
                yield from _value(value, flag["name"], start)


def _of_item(found: list[tuple[int, str]], index: int) -> Iterator[int]:
    """Yield the lines near one that are of the same list item."""
    for other in range(index + 1, min(index + _NEAR, len(found))):
        if found[other][1].lstrip().startswith("-"):
            break
        yield other
    for other in range(index, max(index - _NEAR, -1), -1):
        if other < index:
            yield other
        if found[other][1].lstrip().startswith("-"):
            return


def _whole(found: list[tuple[int, str]], index: int, match: re.Match[str], name: str) -> Iterator[tuple[int, int]]:
    """Yield a value to the end of its line, or of its block."""
    if _BLOCK.fullmatch(match["value"]) is None:
        yield from _value(match, name, found[index][0])
        return
    indent = _indent(match[0])
    for start, line in found[index + 1 :]:
        if _indent(line) <= indent and line.strip():
            return
        yield start + _indent(line), start + len(line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _value(match: re.Match[str], name: str, offset: int = 0) -> Iterator[tuple[int, int]]:
    value = match["value"].rstrip()
    start = match.start("value")
    if value[:1] in {'"', "'"} and len(value) > 1 and value[-1] == value[0]:
        start, value = start + 1, value[1:-1]
    harmless = _REFERENCE.fullmatch(value) or (_PLAIN.fullmatch(value) and not _ALWAYS.search(name))
    if not harmless and any(map(str.isalnum, value)):
        yield offset + start, offset + start + len(value)


def _merged(found: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return tuple(merged)
