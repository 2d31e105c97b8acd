"""Text in columns of a terminal: how wide characters are, cutting, folding, tables."""

import unicodedata
from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 6


def width_of(text: str) -> int:
    """Return the columns that a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(one: str) -> int:
    if one < "\u0300":
        return 1
    if unicodedata.category(one) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(one) in {"W", "F"} else 1


def fold(text: str, width: int) -> list[str]:
    """Return a text in lines of so many columns, broken behind blanks, slashes and dashes where that leaves no line half empty."""
    lines = []
    while width_of(text) > width:
        end = taken = 0
        while taken + _width(text[end]) <= width:
            taken += _width(text[end])
            end += 1
        end = max(end, 1)
        good = max((text.rfind(mark, 0, end) for mark in " /-:"), default=-1) + 1
        end = good if good > end // 2 else end
        lines.append(text[:end].rstrip())
        text = text[end:]
    return [*lines, text]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int, shrinks: Sequence[int]) -> list[str]:
    """Return a table's lines within a width: the columns that may shrink fold their cells, the widest first."""
    widths = [max(width_of(row[at]) for row in (head, *rows)) for at in range(len(head))]
    spare = sum(widths) + len(_GAP) * (len(head) - 1) - width
    while spare > 0 and (widest := max(shrinks, key=lambda at: widths[at])) is not None and widths[widest] > _NARROWEST:
        widths[widest] -= 1
        spare -= 1
    lines = []
    for row in (head, *rows):
        cells = [fold(cell, size) for cell, size in zip(row, widths, strict=True)]
        for at in range(max(map(len, cells))):
            parts = [cell[at] if at < len(cell) else "" for cell in cells]
            padded = (part + " " * (size - width_of(part)) for part, size in zip(parts, widths, strict=True))
            lines.append(_GAP.join(padded).rstrip())
    return lines
