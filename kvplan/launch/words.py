"""Words of a command, as a shell splits them; each keeps its place in the text, so that a changed command keeps its spelling."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kvplan.errors import SettingError
from kvplan.launch.text import Text, join, standing_for

_PLAIN = re.compile(r"[\w@%+=:,./~-]+", re.ASCII)
_OPERATORS = "|&;<>()\n"
# A line that goes on. Blanks or a comment behind the backslash would end the command in a shell; they are never meant to.
_CONTINUED = re.compile(r"\\[ \t]*(?:#[^\n]*)?\r?\n")
# `<model name>`, as documentation writes what is to be filled in; a shell takes it for two redirections.
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w .:/|-]*>(?=\s|$)")
_IN_DOUBLE_QUOTES = '"\\$`\n'
# A shell's `$'...'`: the escapes that occur in commands.
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
# `NAME=(` and `NAME+=(`; `<<END`, `<<-'END'`.
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_HERE = re.compile(r"<<(?!<)((-)?)[ \t]*(?:'([^'\n]{1,80})'|\"([^\"\n]{1,80})\"|(\\)?([A-Za-z_][\w.-]*))")
_HERE_ESCAPE = re.compile(r"\\([\\$`])|\\\r?\n")
_OPERATOR = re.compile(r"&&|\|\||;;&?|;&|>>|<<<?|&>>?|>\||[<>]&?(?:\d+|-)?|\|&?|[;&()\n]")
# `(( ... ))`: a shell's sum, which is one command.
_ARITHMETIC = re.compile(r"\(\((?:[^()\n]|\([^()\n]*\)){0,400}\)\)")
_LONGEST_SUBSTITUTION, _DEEPEST_SUBSTITUTION = 4000, 20
_NESTS = re.compile(r"[\\'\"`(){}$\n]")
MOST_CHARACTERS = 100_000
# As much of a value as messages show.
_SHOWN, _SHOWN_WORDS = 200, 100


class Piece(NamedTuple):
    """Characters of a word that stood in the same quotes: none, `"` or `'` (in which no variable is put in)."""

    text: str
    quote: str = ""
    place: Text | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command.

    Attributes:
        text: as the program gets it, quotes taken off.
        start, end: where it stands in the command's text; -1 for a word of a nested text or of a file.
        origin: where it stands, in words, if not in the command itself (`config.yaml`).
        operator: whether it is none of a command's words but `|`, `;`, `>` and the like.
        place: where in a file its characters stand; None for words of no file.
        pieces: what it is made of, where quotes or variables are in it; empty: all of it is bare.
        items: of `NAME=(...)`, an array's; of `<<END`, the lines up to END, as one word.

    """

    text: str
    start: int = -1
    end: int = -1
    origin: str = ""
    operator: bool = False
    place: Text | None = None
    pieces: tuple[Piece, ...] = ()
    items: tuple["Word", ...] | None = None


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


def split(text: str | Text) -> list[Word]:
    """Return the words and operators of a text as a POSIX shell splits it; variables stay as they are written.

    Words of a text that stands in a file know their places there.

    Raises:
        SettingError: a quote that is never closed.

    """
    value = text if isinstance(text, str) else text.value
    if len(value) > MOST_CHARACTERS:
        raise SettingError(f"A command of {len(value):,} characters is longer than any that starts an engine.")
    return list(_Splitter(value, None if isinstance(text, str) else text).words())


def substitution_end(text: str, at: int) -> int:
    """Return where `$NAME`, `${...}`, `$(...)`, `$((...))` or a pair of backticks that starts at `at` ends.

    `at + 1` is the answer for `$NAME`, whose letters stand for themselves, and for what is closed nowhere.
    """
    if text[at] == "`":
        end = text.find("`", at + 1)
        return end + 1 if end >= 0 else at + 1
    closes = {"(": ")", "{": "}"}
    opened = text[at + 1 : at + 2]
    if opened not in ("(", "{"):
        return at + 1
    stack, end, last = [closes[opened]], at + 2, at + _LONGEST_SUBSTITUTION
    while 0 < len(stack) < _DEEPEST_SUBSTITUTION:
        match = _NESTS.search(text, end, last)
        if match is None:
            return at + 1
        char, end = match[0], match.end()
        if char == "\\":
            end += 1
        elif char == stack[-1]:
            stack.pop()
        elif char == "$" and text[end : end + 1] in closes:
            stack.append(closes[text[end]])
            end += 1
        elif char == '"':
            stack.append('"')
        elif char == "'" and stack[-1] == ")":
            close = text.find("'", end, last)
            end = close + 1 if close >= 0 else end
        elif char == "(" and stack[-1] == ")":
            stack.append(")")
        elif char == "\n" and stack[-1] == "}":
            return at + 1  # a brace that closes nowhere on its line is no variable
    return at + 1 if stack else end


def split_far(text: Text) -> tuple[list[Word], SettingError | None]:
    """Return the words of a text up to the line in which a quote opens that is never closed, and that error; None for none.

    A shell runs what stands before such a line before it finds out.

    Raises:
        SettingError: the text is longer than any that starts an engine.

    """
    if len(text.value) > MOST_CHARACTERS:
        raise SettingError(f"A command of {len(text.value):,} characters is longer than any that starts an engine.")
    found: list[Word] = []
    try:
        for word in _Splitter(text.value, text).words():
            found.append(word)  # noqa: PERF402  what was found stays where the pass breaks off
    except SettingError as error:
        ends = [at for at, word in enumerate(found) if word.operator and word.text == "\n"]
        return found[: ends[-1] + 1 if ends else 0], error
    return found, None


class _Splitter:
    """One pass over a text."""

    def __init__(self, text: str, outer: Text | None = None) -> None:
        self.text = text
        self.outer = outer
        self.at = 0
        # Where reading goes on behind the lines of here-documents, once the line that names them ends.
        self.skipped: list[int] = []

    def words(self) -> Iterator[Word]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if (continued := _CONTINUED.match(self.text, self.at)) is not None:
                self.at = continued.end()
            elif (blank := _PLACEHOLDER.match(self.text, self.at)) is not None:
                yield Word(blank[0], self.at, blank.end(), place=self._cut(self.at, blank.end()))
                self.at = blank.end()
            elif (here := _HERE.match(self.text, self.at)) is not None:
                yield self._heredoc(here)
            elif char == "(" and (arithmetic := _ARITHMETIC.match(self.text, self.at)) is not None:
                self.at = arithmetic.end()
                yield self._plain(arithmetic.start(), self.at)
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
        match = _OPERATOR.match(self.text, start)
        self.at = match.end() if match else start + 1
        found = Word(self.text[start : self.at], start, self.at, operator=True)
        if found.text == "\n" and self.skipped:
            self.at = max(self.at, self.skipped.pop())
        return found

    def _heredoc(self, here: re.Match[str]) -> Word:
        """Return `<<END` with the lines up to END; the pass goes on behind the operator and jumps over them later."""
        end = here[3] or here[4] or here[6]
        line = self.text.find("\n", max(here.end(), *self.skipped, 0))
        first = len(self.text) if line < 0 else (self.skipped[0] if self.skipped else line + 1)
        at = first
        while at < len(self.text):
            stop = self.text.find("\n", at)
            stop = len(self.text) if stop < 0 else stop
            if self.text[at:stop].strip("\t" if here[2] else "").rstrip("\r") == end:
                break
            at = stop + 1
        last = min(at, len(self.text))
        quoted = here[6] is None or here[5] is not None
        pieces = [Piece(self.text[first:last], "'", self._cut(first, last))] if quoted else self._escaped(first, last)
        body = self._made(pieces, first, last)
        after = self.text.find("\n", min(at, len(self.text)))
        self.skipped[:] = [len(self.text) if after < 0 else after + 1]
        self.at = here.end()
        return Word("<<", here.start(), here.end(), operator=True, items=(body,))

    def _escaped(self, start: int, end: int) -> list[Piece]:
        """Return the lines of a here-document in which variables are put in: a backslash keeps a dollar sign."""
        pieces: list[Piece] = []
        for match in _HERE_ESCAPE.finditer(self.text, start, end):
            pieces.append(Piece(self.text[start : match.start()], '"', self._cut(start, match.start())))
            if match[1]:
                pieces.append(Piece(match[1], "'", self._escape(match[1], match.start(), match.end())))
            start = match.end()
        return [*pieces, Piece(self.text[start:end], '"', self._cut(start, end))]

    def _plain(self, start: int, end: int) -> Word:
        return Word(self.text[start:end], start, end, place=self._cut(start, end))

    def _cut(self, start: int, end: int) -> Text | None:
        return None if self.outer is None else self.outer.cut(start, end)

    def _word(self) -> Word:
        start, text = self.at, self.text
        pieces: list[Piece] = []
        bare = start
        plain = True

        def flush(end: int) -> None:
            if end > bare:
                pieces.append(Piece(text[bare:end], "", self._cut(bare, end)))

        while self.at < len(text):
            char = text[self.at]
            if char == "(" and self.at > start and not pieces and _ARRAY.fullmatch(text, start, self.at):
                return self._array(start)
            if char.isspace() or char in _OPERATORS:
                if char in "<>" and text[start : self.at].isdecimal():
                    # `2>`: a number before a redirection belongs to it.
                    operator = self._operator()
                    return Word(text[start : self.at], start, operator.end, operator=True)
                break
            if char == "\\":
                flush(self.at)
                follows = text[self.at + 1 : self.at + 2]
                if follows and follows != "\n":
                    pieces.append(Piece(follows, "'", self._escape(follows, self.at, self.at + 2)))
                self.at += 2
                bare, plain = self.at, False
            elif char in "'\"" or text.startswith("$'", self.at):
                flush(self.at)
                pieces += self._quoted(char) if char != "$" else self._ansi()
                bare, plain = self.at, False
            elif char in "$`":
                self.at = substitution_end(self.text, self.at)
                plain = False
            else:
                self.at += 1
        self.at = min(self.at, len(text))
        flush(self.at)
        return self._plain(start, self.at) if plain else self._made(pieces, start, self.at)

    def _made(self, pieces: list[Piece], start: int, end: int) -> Word:
        place = None if self.outer is None else join(piece.place or piece.text for piece in pieces)
        return Word("".join(piece.text for piece in pieces), start, end, place=place, pieces=tuple(pieces))

    def _escape(self, value: str, start: int, end: int) -> Text | None:
        """Return a character that an escape of more characters stands for."""
        place = self._cut(start, end)
        return None if place is None else standing_for(value, place)

    def _array(self, start: int) -> Word:
        """Return `NAME=(a b c)` with its items."""
        name_end = self.at
        self.at += 1
        items: list[Word] = []
        while self.at < len(self.text) and self.text[self.at] != ")":
            char = self.text[self.at]
            if (continued := _CONTINUED.match(self.text, self.at)) is not None:
                self.at = continued.end()
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            elif char.isspace() or char in _OPERATORS:
                self.at += 1
            else:
                items.append(self._word())
        self.at = min(self.at + 1, len(self.text))
        return Word(self.text[start:name_end], start, self.at, place=self._cut(start, name_end), items=tuple(items))

    def _quoted(self, mark: str) -> list[Piece]:
        """Return what stands between two quotes; only double ones know escapes, and only of a few characters."""
        opened = self.at
        self.at += 1
        pieces: list[Piece] = []
        first = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == mark:
                pieces.append(Piece(self.text[first : self.at], mark, self._cut(first, self.at)))
                self.at += 1
                return pieces
            follows = self.text[self.at + 1 : self.at + 2]
            if char == "\\" and mark == '"' and follows and follows in _IN_DOUBLE_QUOTES:
                pieces.append(Piece(self.text[first : self.at], mark, self._cut(first, self.at)))
                if follows != "\n":
                    pieces.append(Piece(follows, "'", self._escape(follows, self.at, self.at + 2)))
                self.at += 2
                first = self.at
            elif char in "$`" and mark == '"':
                self.at = substitution_end(self.text, self.at)
            else:
                self.at += 1
        raise self._never_closed(mark, opened)

    def _ansi(self) -> list[Piece]:
        """Return what stands in `$'...'`."""
        opened = self.at
        self.at += 2
        first = self.at
        while self.at < len(self.text):
            if self.text[self.at] == "'":
                value = re.sub(r"\\(.)", lambda m: _ANSI.get(m[1], m[0]), self.text[first : self.at], flags=re.DOTALL)
                self.at += 1
                return [Piece(value, "'", self._escape(value, first, self.at - 1))]
            self.at += 2 if self.text[self.at] == "\\" else 1
        raise self._never_closed("'", opened)

    def _never_closed(self, mark: str, opened: int) -> SettingError:
        line = self.text.count("\n", 0, opened) + 1
        column = opened - self.text.rfind("\n", 0, opened)
        return SettingError(
            f"The quote {mark} that opens at line {line}, column {column} of the command is never closed.",
            hint="Close it, or put a backslash before it.",
        )


def too_long() -> SettingError:
    """Return the error for a command whose variables repeat each other without end."""
    return SettingError(
        f"The command's variables make it longer than {MOST_CHARACTERS:,} characters.", hint="Write their values out."
    )
