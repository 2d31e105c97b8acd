"""The lines of a file that decided a finding, with what decided it underlined."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kvplan.launch.text import Place, Source
from kvplan.report.check.columns import width_of
from kvplan.report.check.safe import character, line
from kvplan.report.check.secrets import MASKED, hidden
from kvplan.rules.finding import Finding

# A tab reaches to the next multiple of this.
_TAB = 4
# Of a stretch over many lines the first ones and the last are shown.
_FIRST = 3
_NARROWEST = 20

Paint = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is underlined on one line: offsets in it, the line's character, the words behind."""

    start: int
    end: int
    sign: str
    text: str


def excerpt(finding: Finding, width: int, paint: Paint) -> list[str]:
    """Return the lines in their order, with numbers, `...` for gaps and a head for each other file."""
    stretches = [(finding.place, "^", finding.here), *((label.place, "-", label.text) for label in finding.labels)]
    files: dict[Source, dict[int, list[Mark]]] = {}
    for place, sign, text in stretches:
        marks = files.setdefault(place.source, {})
        for number, mark in _marks(place, sign, line(text)):
            if mark not in marks.setdefault(number, []):
                marks[number].append(mark)
    margin = max(len(str(number)) for marks in files.values() for number in marks)
    blank = f"{' ' * margin} |"
    shown = []
    for source, marks in files.items():
        if source is not finding.place.source:
            first = min(marks)
            shown.append(f"{' ' * margin} --> {line(source.path)}:{first}:{min(m.start for m in marks[first]) + 1}")
        shown.append(paint(blank, "edge"))
        before = None
        for number in sorted(marks):
            if before is not None and number > before + 1:
                shown.append("...")
            before = number
            rows = _line(
                source,
                number,
                sorted(marks[number], key=lambda m: (m.start, m.end)),
                max(width - margin - 3, _NARROWEST),
            )
            for sign, text in rows:
                edge = paint(blank if sign else f"{number:>{margin}} |", "edge")
                shown.append(f"{edge} {paint(text, sign) if sign else text}".rstrip())
    return shown


def _marks(place: Place, sign: str, text: str) -> Iterator[tuple[int, Mark]]:
    """Yield a stretch's part of each line that is shown."""
    source, first, last = place.source, place.line, place.end_line
    numbers = [*range(first, min(last, first + _FIRST)), last]
    for number in numbers:
        whole = source.line(number)
        begin = place.column - 1 if number == first else len(whole) - len(whole.lstrip())
        end = place.end_column - 1 if number == last else len(whole.rstrip())
        if number in {first, last} or begin < end:
            yield number, Mark(begin, max(end, begin), sign, text if number == last else "")


def _line(source: Source, number: int, marks: list[Mark], width: int) -> Iterator[tuple[str, str]]:
    """Yield the line and under it a row for each mark; once more for marks too far away to be seen beside the first."""
    cells, columns = _cells(source, number)
    while marks:
        low, high = _window(columns, marks[0], width)
        seen = [
            mark
            for mark in marks
            if mark is marks[0] or (_at(columns, mark.start) >= low and _at(columns, mark.end) <= high)
        ]
        marks = [mark for mark in marks if mark not in seen]
        first, after = bisect_left(columns, low), bisect_right(columns, high) - 1
        left, right = "…" if first else "", "…" if after < len(cells) else ""
        yield "", f"{left}{''.join(cells[first:after])}{right}".rstrip()
        shift = columns[first] - len(left)
        for mark in seen:
            begin = _at(columns, mark.start) - shift
            size = max(min(_at(columns, mark.end), columns[after]) - shift - begin, 1)
            yield mark.sign, f"{' ' * begin}{mark.sign * size} {mark.text}".rstrip()


def _at(columns: Sequence[int], offset: int) -> int:
    return columns[min(offset, len(columns) - 1)]


def _window(columns: Sequence[int], mark: Mark, width: int) -> tuple[int, int]:
    """Return the columns that are shown: all where they fit, else those around a mark, with room for `…` at both ends."""
    if columns[-1] <= width:
        return 0, columns[-1]
    start, end = _at(columns, mark.start), _at(columns, mark.end)
    room = width - 2
    low = max(0, min(start - max((room - (end - start)) // 2, room // 8), columns[-1] - room))
    return low, low + room


@lru_cache(maxsize=64)
def _cells(source: Source, number: int) -> tuple[Sequence[str], Sequence[int]]:
    """Return what is shown for each character of a line, and in which column each starts: tabs as blanks, a secret as one mask."""
    text, start = source.line(number), source.start_of(number) if number <= source.lines else 0
    cells = []
    column = 0
    for one in text:
        cell = " " * (_TAB - column % _TAB) if one == "\t" else character(one)
        column += width_of(cell)
        cells.append(cell)
    for low, high in hidden(source):
        if low < start + len(text) and high > start:
            begin, end = max(low - start, 0), min(high - start, len(text))
            cells[begin:end] = [MASKED, *[""] * (end - begin - 1)]
    columns = [0]
    for cell in cells:
        columns.append(columns[-1] + width_of(cell))
    return cells, columns
