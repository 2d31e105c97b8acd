"""Texts that know where in a file each of their characters stands, however often they were unquoted, joined and cut."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Stands for each character of a template's expression (`{{ .Values.model }}`): no file that is read holds it.
MASK = "\ue000"
_MASKED = re.compile(f"{MASK}+")
# Parts of a text that stand further apart than this many characters are not one stretch: a variable and where it was set.
_APART = 400


class Source:
    """The text of a file.

    Attributes:
        path: as it was named, with forward slashes.
        text: decoded, line ends as they are.

    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def _starts(self) -> list[int]:
        """Where each line starts."""
        return [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of a character, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return a line without its end; empty where there is none."""
        if not 0 < number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")

    def start_of(self, number: int) -> int:
        """Return where a line starts."""
        return self._starts[number - 1]

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self._starts)

    def whole(self) -> "Text":
        """Return all of it."""
        return self.piece(0, len(self.text))

    def piece(self, start: int, end: int) -> "Text":
        """Return the characters between two offsets."""
        return Text(self.text[start:end], (Run(0, end - start, self, start, end),))


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a file: offsets of its first character and of the one after its last."""

    source: Source
    start: int
    end: int

    @property
    def path(self) -> str:
        """The file."""
        return self.source.path

    @property
    def line(self) -> int:
        """The line of its first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The column of its first character, from 1."""
        return self.source.position(self.start)[1]

    @property
    def end_line(self) -> int:
        """The line of its last character."""
        return self.source.position(max(self.start, self.end - 1))[0]

    @property
    def end_column(self) -> int:
        """The column after its last character."""
        return self.source.position(max(self.start, self.end - 1))[1] + (self.end > self.start)

    @property
    def text(self) -> str:
        """The characters, as they stand in the file."""
        return self.source.text[self.start : self.end]


class Run(NamedTuple):
    """So many characters of a text from `offset` on, and the stretch of a file that they came from.

    Stretches of the same length hold the same characters; others hold escapes, folded line ends and the like.
    """

    offset: int
    length: int
    source: Source
    start: int
    end: int


class Text:
    """A text and where it stands.

    Attributes:
        value: the characters.
        runs: where they came from, in the order of the characters; characters that no run covers stand nowhere.

    """

    __slots__ = ("runs", "value")

    def __init__(self, value: str, runs: Sequence[Run] = ()) -> None:
        self.value = value
        self.runs = tuple(runs)

    def __repr__(self) -> str:
        return f"Text({self.value!r})"

    def cut(self, start: int, end: int | None = None) -> "Text":
        """Return the characters between two offsets."""
        end = len(self.value) if end is None else end
        runs = []
        first = bisect_left(self.runs, start, key=_offset)
        for index in range(max(0, first - 1), len(self.runs)):
            run = self.runs[index]
            if run.offset >= end:
                break
            low, high = max(start, run.offset), min(end, run.offset + run.length)
            if low >= high and not (run.length == 0 and start <= run.offset < end):
                continue
            if run.end - run.start == run.length:
                at = run.start + low - run.offset
                runs.append(Run(low - start, high - low, run.source, at, at + high - low))
            else:
                runs.append(Run(max(0, low - start), high - low, run.source, run.start, run.end))
        return Text(self.value[start:end], runs)

    def replaced(self, value: str) -> "Text":
        """Return a text of the same length and places with other characters."""
        if len(value) != len(self.value):
            raise ValueError("a text keeps its places only with as many characters")
        return Text(value, self.runs)

    def masked(self, pattern: re.Pattern[str]) -> "Text":
        """Return it with every match's characters replaced by MASK."""
        return self.replaced(pattern.sub(lambda match: MASK * len(match[0]), self.value))

    def place(self) -> Place | None:
        """Return the stretch of the file from its first character to the last that stands behind it; None: it stands nowhere."""
        if not self.runs:
            return None
        first = self.runs[0]
        end = first.end
        for run in self.runs[1:]:
            if run.source is first.source and end <= run.start <= end + _APART:
                end = run.end
        return Place(first.source, first.start, end)

    def written(self) -> str:
        """Return it as it stands in the file where parts of it were masked; else its value."""
        if MASK not in self.value:
            return self.value
        return _MASKED.sub(lambda match: self._in_file(match.start(), match.end()), self.value)

    def _in_file(self, start: int, end: int) -> str:
        place = self.cut(start, end).place()
        return place.text if place is not None else "{{ … }}"


def _offset(run: Run) -> int:
    return run.offset


def standing_for(value: str, text: Text) -> Text:
    """Return characters that another text as a whole stands for: a sum's result, an escape's meaning."""
    place = text.place()
    if place is None:
        return Text(value)
    # A run as long as its stretch holds the same characters; this one does not.
    length = len(value) if place.end - place.start != len(value) else min(1, len(value) - 1)
    return Text(value, (Run(0, length, place.source, place.start, place.end),))


def join(texts: Iterable[Text | str]) -> Text:
    """Return texts one behind the other; plain strings stand nowhere."""
    runs: list[Run] = []
    parts: list[str] = []
    length = 0
    for text in texts:
        if isinstance(text, str):
            parts.append(text)
            length += len(text)
            continue
        runs += [run._replace(offset=run.offset + length) for run in text.runs]
        parts.append(text.value)
        length += len(text.value)
    return Text("".join(parts), runs)
