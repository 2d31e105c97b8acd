"""Which characters of a YAML scalar's text in the file stand for which of its value."""

import re

# YAML 1.1's blanks and line ends (https://yaml.org/spec/1.1/ 4.1.4).
_ENDS = "\r\n\x85\u2028\u2029"
_BLANKS = f" \t{_ENDS}"
_LINE = re.compile(f"[^{_BLANKS}](?:[^{_ENDS}]*[^{_BLANKS}])?")
_BLANK = re.compile(f"[{_BLANKS}]*")
_LINE_END = re.compile(f"\r\n|[{_ENDS}]")
_SINGLE = re.compile(rf"(?P<escape>'')|(?P<fold>[ \t]*[{_ENDS}][{_BLANKS}]*)|(?P<same>[^'{_BLANKS}]+|[ \t]+)")
_DOUBLE = re.compile(
    rf"(?P<nothing>\\(?:\r\n|[{_ENDS}])[ \t]*)|(?P<escape>\\(?:x[^\n]{{2}}|u[^\n]{{4}}|U[^\n]{{8}}|.))"
    rf"|(?P<fold>[ \t]*[{_ENDS}][{_BLANKS}]*)|(?P<same>[^\\{_BLANKS}]+|[ \t]+)"
)

Pieces = list[tuple[int, int, int, int]]


def aligned(value: str, raw: str, style: str) -> Pieces:
    """Return pairs of stretches: offset and length in the value, start and end in the raw text.

    Stretches of the same length hold the same characters, blanks aside.

    Args:
        value: of the scalar.
        raw: the scalar as it stands in the file, quotes or the block's first line included.
        style: "" for plain, `'`, `"`, `|` or `>`.

    """
    if not value:
        return []
    if style in ("'", '"'):
        end = len(raw) - raw.endswith(style)
        if raw[1:end] == value:
            return [(0, len(value), 1, end)]
        return _escaped(value, raw, end, _DOUBLE if style == '"' else _SINGLE)
    if raw.startswith(value) and not style:
        return [(0, len(value), 0, len(value))]
    first = _LINE_END.search(raw) if style else None
    return _lines(value, raw, first.end() if first else 0)


def _lines(value: str, raw: str, at: int) -> Pieces:
    """Return the pairs for styles without escapes: each line's text stands in the value as it is."""
    pieces: Pieces = []
    done = 0
    for line in _LINE.finditer(raw, at):
        blank = _BLANK.match(value, done)
        start = blank.end() if blank else done
        if not value.startswith(line[0], start):
            break
        if start > done:
            pieces.append((done, start - done, at, line.start()))
        pieces.append((start, len(line[0]), *line.span()))
        done, at = start + len(line[0]), line.end()
    return _rest(pieces, value, done, at, len(raw))


def _escaped(value: str, raw: str, end: int, pattern: re.Pattern[str]) -> Pieces:
    """Return the pairs for quoted styles."""
    pieces: Pieces = []
    done, at = 0, 1
    while at < end and (match := pattern.match(raw, at, end)) is not None:
        kind = match.lastgroup
        breaks = len(_LINE_END.findall(match[0])) if kind == "fold" else 0
        length = {"nothing": 0, "escape": 1, "same": len(match[0]), "fold": max(1, breaks - 1)}[kind or "nothing"]
        if kind == "same" and not value.startswith(match[0], done):
            break
        if length:
            last = pieces[-1] if pieces else None
            if kind == "same" and last and last[1] == last[3] - last[2] and last[3] == at and last[0] + last[1] == done:
                pieces[-1] = (last[0], last[1] + length, last[2], match.end())
            else:
                pieces.append((done, length, at, match.end()))
        done, at = done + length, match.end()
    return _rest(pieces, value, done, at, end)


def _rest(pieces: Pieces, value: str, done: int, at: int, end: int) -> Pieces:
    if done < len(value):
        pieces.append((done, len(value) - done, min(at, end), end))
    return pieces
