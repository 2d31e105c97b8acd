"""Words of a command, as a shell splits them; each keeps its place in the text, so that a changed command keeps its spelling."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kvplan.errors import SettingError

_PLAIN = re.compile(r"[\w@%+=:,./~-]+", re.ASCII)
_OPERATORS = "|&;<>()\n"
# A line that goes on. Blanks or a comment behind the backslash would end the command in a shell; they are never meant to.
_CONTINUED = re.compile(r"\\[ \t]*(?:#[^\n]*)?\r?\n")
# `<model name>`, as documentation writes what is to be filled in; a shell takes it for two redirections.
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w .:/|-]*>(?=\s|$)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^{}$]*))?\})", re.ASCII)
_IN_DOUBLE_QUOTES = '"\\$`\n'
# A shell's `$'...'`: the escapes that occur in commands.
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
MOST_CHARACTERS = 100_000
# As much of a value as messages show.
_SHOWN, _SHOWN_WORDS = 200, 100


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command.

    Attributes:
        text: as the program gets it, quotes taken off.
        start, end: where it stands in the command's text; -1 for a word of a nested text or of a file.
        origin: where it stands, in words, if not in the command itself (`config.yaml`).
        operator: whether it is none of a command's words but `|`, `;`, `>` and the like.
        place: whatever the reader of a file knows about where it stands.

    """

    text: str
    start: int = -1
    end: int = -1
    origin: str = ""
    operator: bool = False
    place: Any = None


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a command gives, and the words it came from (flag first)."""

    value: Any
    words: tuple[Word, ...] = ()

    def __str__(self) -> str:
        text = " ".join(quote(word.text) for word in self.words[:_SHOWN_WORDS])
        text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        origin = next((word.origin for word in self.words if word.origin), "")
        return f"{text} ({origin})" if origin else text


def quote(text: str) -> str:
    """Return a word as a POSIX shell has to be given it."""
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def joined(texts: Sequence[str]) -> tuple[str, list[Word]]:
    """Return the words of an argument list as one text, quoted where they must be, and each with its place."""
    words: list[Word] = []
    text = ""
    for each in texts:
        shown = quote(each)
        start = len(text) + 1 if text else 0
        text = f"{text} {shown}" if text else shown
        words.append(Word(each, start, start + len(shown)))
    return text, words


def split(text: str) -> list[Word]:
    """Return the words and operators of a text as a POSIX shell splits it; variables stay as they are written.

    Raises:
        SettingError: a quote that is never closed.

    """
    if len(text) > MOST_CHARACTERS:
        raise SettingError(f"A command of {len(text):,} characters is longer than any that starts an engine.")
    return list(_Splitter(text).words())


class _Splitter:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def words(self) -> Iterator[Word]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if (continued := _CONTINUED.match(self.text, self.at)) is not None:
                self.at = continued.end()
            elif (blank := _PLACEHOLDER.match(self.text, self.at)) is not None:
                yield Word(blank[0], self.at, blank.end())
                self.at = blank.end()
            elif char in _OPERATORS:
                yield self._operator()
            elif char.isspace():
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            else:
                yield self._word()

    def _operator(self) -> Word:
        start = self.at
        match = re.compile(r"&&|\|\||>>|<<<?|&>>?|[<>]&?(?:\d+|-)?|\|&?|[;&()\n]").match(self.text, start)
        self.at = match.end() if match else start + 1
        return Word(self.text[start : self.at], start, self.at, operator=True)

    def _word(self) -> Word:
        start, text = self.at, self.text
        parts: list[str] = []
        while self.at < len(text):
            char = text[self.at]
            if char.isspace() or char in _OPERATORS:
                if char in "<>" and text[start : self.at].isdecimal():
                    # `2>`: a number before a redirection belongs to it.
                    operator = self._operator()
                    return Word(text[start : self.at], start, operator.end, operator=True)
                break
            if char == "\\":
                follows = text[self.at + 1 : self.at + 2]
                parts.append("" if follows == "\n" else follows)
                self.at += 2
            elif char == "'":
                parts.append(self._quoted("'"))
            elif char == '"':
                parts.append(self._quoted('"'))
            elif text.startswith("$'", self.at):
                self.at += 1
                parts.append(re.sub(r"\\(.)", lambda m: _ANSI.get(m[1], m[0]), self._quoted("'", escapes=True)))
            else:
                parts.append(char)
                self.at += 1
        self.at = min(self.at, len(text))
        return Word("".join(parts), start, self.at)

    def _quoted(self, mark: str, *, escapes: bool = False) -> str:
        """Return what stands between two quotes; only double ones know escapes, and only of a few characters."""
        opened = self.at
        self.at += 1
        parts: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == mark:
                return "".join(parts)
            follows = self.text[self.at : self.at + 1]
            if char == "\\" and escapes:
                parts.append(char + follows)
                self.at += 1
            elif char == "\\" and mark == '"' and follows and follows in _IN_DOUBLE_QUOTES:
                parts.append("" if follows == "\n" else follows)
                self.at += 1
            else:
                parts.append(char)
        line = self.text.count("\n", 0, opened) + 1
        column = opened - self.text.rfind("\n", 0, opened)
        raise SettingError(
            f"The quote {mark} that opens at line {line}, column {column} of the command is never closed.",
            hint="Close it, or put a backslash before it.",
        )


def too_long() -> SettingError:
    """Return the error for a command whose variables repeat each other without end."""
    return SettingError(
        f"The command's variables make it longer than {MOST_CHARACTERS:,} characters.", hint="Write their values out."
    )


def expanded(word: Word, variables: Mapping[str, Given]) -> Word | None:
    """Return a word with the variables put in that are known, or have a default; None where nothing is left of it.

    One that is not known stays as it is written: what it stands for is then said not to be known.

    Raises:
        SettingError: variables that hold each other make more of it than a command has characters.

    """
    if "$" not in word.text:
        return word
    left = MOST_CHARACTERS

    def value(match: re.Match[str]) -> str:
        nonlocal left
        known = variables.get(match[1] or match[2])
        text = str(known.value) if known is not None else match[3]
        text = match[0] if text is None else text
        left -= len(text)
        if left < 0:
            raise too_long()
        return text

    text = _VARIABLE.sub(value, word.text)
    return replace(word, text=text) if text else None


def commands(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the simple commands of a shell text, without redirections: what `;`, `&&`, `|` and line ends separate."""
    command: list[Word] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif not word.operator:
            command.append(word)
        elif re.fullmatch(r"\d*(?:>>?|<<?<?|&>>?)", word.text):
            skip = True  # the file of a redirection
        elif not re.fullmatch(r"\d*[<>]&(?:\d+|-)?", word.text):
            if command:
                yield command
            command = []
    if command:
        yield command
