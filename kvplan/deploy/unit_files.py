"""Unit files of systemd: settings by section, lines joined, and words as systemd splits them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kvplan.deploy.splitting import split_text
from kvplan.launch.text import Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Word

_LINE = re.compile(r"([^\n]*)(?:\n|$)")
_SECTION = re.compile(r"\s*\[([\w-]+)\]\s*")
_SETTING = re.compile(r"\s*([A-Za-z][\w-]*)\s*=[ \t]*")
# What stands for the unit's name, the user's home and the like; `%%` is a percent sign.
_SPECIFIER = re.compile(r"%[A-Za-z]")
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}", re.ASCII)
_WHOLE_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a unit file.

    Attributes:
        section, name: as written.
        value: its lines joined, specifiers masked.
        label: its name, with its place.

    """

    section: str
    name: str
    value: Text
    label: Text


def settings(whole: Text) -> Iterator[Setting]:
    """Yield the settings of a unit file in their order."""
    section = ""
    pieces: list[Text | str] = []
    for line in _LINE.finditer(whole.value):
        text = line[1].rstrip("\r")
        if text.lstrip().startswith(("#", ";")) or (not pieces and not text.strip()):
            continue
        body = text.rstrip()
        goes_on = body.endswith("\\") and line.end() < len(whole.value)
        pieces.append(whole.cut(line.start(), line.start() + (len(body) - 1 if goes_on else len(text))))
        if goes_on:
            pieces.append(" ")
            continue
        joined, pieces = join(pieces), []
        if (header := _SECTION.fullmatch(joined.value)) is not None:
            section = header[1]
        elif (match := _SETTING.match(joined.value)) is not None:
            value = joined.cut(match.end(), max(match.end(), len(joined.value.rstrip())))
            yield Setting(section, match[1], _without_specifiers(value), joined.cut(*match.span(1)))


def _without_specifiers(text: Text) -> Text:
    parts: list[Text] = []
    done = 0
    for match in re.finditer("%%", text.value):
        parts.append(text.cut(done, match.start() + 1).masked(_SPECIFIER))
        done = match.end()
    parts.append(text.cut(done).masked(_SPECIFIER))
    return join(parts)


def command_words(text: Text, environment: Mapping[str, Given]) -> tuple[Word, ...]:
    """Return the words of an ExecStart: prefixes off, variables put in as systemd does (`$V` alone is split, `${V}` is not)."""
    prefix = re.match(r"[-@+!:|]*", text.value)
    marks = prefix[0] if prefix else ""
    words = split_text(text.cut(len(marks)))
    if "@" in marks:
        words = words[:1] + words[2:]  # the second word is the name that the program is to see
    if ":" in marks:
        return words
    found: list[Word] = []
    left = MOST_CHARACTERS
    for word in words:
        alone = _WHOLE_VARIABLE.fullmatch(word.text)
        known = environment.get(alone[1]) if alone else None
        if known is not None:
            left -= len(str(known.value))
            if left > 0:
                found += split_text(_text(known))
        else:
            put_in = _put_in(word, environment, left)
            left -= len(put_in.text)
            found.append(put_in)
    return tuple(found)


def _put_in(word: Word, environment: Mapping[str, Given], left: int) -> Word:
    if "$" not in word.text or not isinstance(word.place, Text):
        return word
    parts: list[Text] = []
    done = 0
    for match in _VARIABLE.finditer(word.text):
        known = environment.get(match[1] or "")
        if match[0] == "$$":
            parts.append(word.place.cut(done, match.start() + 1))
        elif known is None or (left := left - len(str(known.value))) < 0:
            continue
        else:
            parts += [word.place.cut(done, match.start()), _text(known)]
        done = match.end()
    parts.append(word.place.cut(done))
    whole = join(parts)
    return Word(whole.value, place=whole)


def _text(value: Given) -> Text:
    place = value.words[-1].place if value.words else None
    return place if isinstance(place, Text) else Text(str(value.value))
