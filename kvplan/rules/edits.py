"""Edits of a file: made, shown as a unified diff, and chosen so that no two touch the same characters."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Literal

from kvplan.launch.text import Source
from kvplan.rules.finding import Edit, Fix

# What difflib calls a change: its kind, and the lines that it takes from the old text and from the new one.
_Change = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]
# Lines around a change, as `diff -u` and git show them.
CONTEXT = 3
_QUOTED = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def by_file(edits: Iterable[Edit]) -> dict[Source, list[Edit]]:
    """Return edits by the file that they change, in the order of their places."""
    files: dict[Source, list[Edit]] = {}
    for edit in edits:
        files.setdefault(edit.place.source, []).append(edit)
    return {source: sorted(each, key=lambda edit: (edit.place.start, edit.place.end)) for source, each in files.items()}


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return a file's text with edits made in it; of two that overlap the first stands. Line ends stay the file's own."""
    return _applied(text, 0, len(text), edits, crlf=_is_crlf(text))


def _is_crlf(text: str) -> bool:
    first = re.search(r"\r\n|\n", text)
    return first is not None and first[0] == "\r\n"


def _applied(text: str, start: int, end: int, edits: Iterable[Edit], *, crlf: bool) -> str:
    """Return a stretch of a text with the edits made that are in it."""
    parts, done = [], start
    for edit in sorted(edits, key=lambda edit: (edit.place.start, edit.place.end)):
        if edit.place.start < done:
            continue
        put = re.sub(r"\r?\n", "\r\n", edit.text) if crlf else edit.text
        parts += [text[done : edit.place.start], put]
        done = edit.place.end
    return "".join([*parts, text[done:end]])


def diff(path: str, text: str, edits: Iterable[Edit], context: int = CONTEXT) -> str:
    """Return what edits change as a unified diff that `patch -p1` and `git apply` take; empty where they change nothing."""
    old, new = lines(text), lines(apply(text, edits))
    if old == new:
        return ""
    shown = [f"--- {_name('a', path)}\n", f"+++ {_name('b', path)}\n"]
    for group in _Changes(text, old, list(edits)).get_grouped_opcodes(context):
        before, after = _range(group[0][1], group[-1][2]), _range(group[0][3], group[-1][4])
        shown.append(f"@@ -{before} +{after} @@\n")
        for kind, start, end, new_start, new_end in group:
            if kind == "equal":
                shown += _marked(" ", old[start:end])
                continue
            shown += _marked("-", old[start:end])
            shown += _marked("+", new[new_start:new_end])
    return "".join(shown)


class _Changes(SequenceMatcher[str]):
    """What is equal and what changes, by lines; only lines that edits touch are compared."""

    def __init__(self, text: str, old: Sequence[str], edits: Sequence[Edit]) -> None:
        super().__init__()
        self._known: list[_Change] = []
        for kind, start, end, new_start, new_end in _changes(text, old, edits):
            if kind == "equal" and self._known and self._known[-1][0] == "equal":
                _, start, _, new_start, _ = self._known.pop()  # noqa: PLW2901  the two are one stretch
            self._known.append((kind, start, end, new_start, new_end))

    def get_opcodes(self) -> list[_Change]:
        """Return them as difflib does."""
        return self._known


def _changes(text: str, old: Sequence[str], edits: Sequence[Edit]) -> Iterator[_Change]:
    starts = [0, *accumulate(map(len, old))]
    crlf = _is_crlf(text)
    done = new_done = 0
    for first, last, own in _touched(starts, edits):
        before = old[first:last]
        after = lines(_applied(text, starts[first], starts[last], own, crlf=crlf))
        new_first = new_done + first - done
        if first > done:
            yield "equal", done, first, new_done, new_first
        for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            yield kind, first + a, first + b, new_first + c, new_first + d
        done, new_done = last, new_first + len(after)
    if len(old) > done:
        yield "equal", done, len(old), new_done, new_done + len(old) - done


def _touched(starts: Sequence[int], edits: Sequence[Edit]) -> list[tuple[int, int, list[Edit]]]:
    """Return the stretches of lines that edits touch, each with its edits."""
    found: list[tuple[int, int, list[Edit]]] = []
    count = len(starts) - 1
    for edit in sorted(edits, key=lambda edit: (edit.place.start, edit.place.end)):
        start, end = edit.place.start, edit.place.end
        first = max(0, min(bisect_right(starts, start), count) - 1)
        # One more where the line's end goes, for then the next one is joined to it.
        last = min(max(first + 1, bisect_right(starts, end) if end > start else 0), count)
        if found and (first < found[-1][1] or not count):
            found[-1] = (found[-1][0], max(last, found[-1][1]), [*found[-1][2], edit])
        else:
            found.append((first, last, [edit]))
    return found


def together(fixes: Iterable[Fix]) -> list[Fix]:
    """Return the fixes that can be made at once: one that touches what an earlier one changes is left for the next run."""
    taken: dict[str, set[Edit]] = {}
    chosen = []
    for fix in fixes:
        new = [edit for edit in fix.edits if edit not in taken.get(edit.place.path, ())]
        if fix.edits and not any(_touch(edit, other) for edit in new for other in taken.get(edit.place.path, ())):
            chosen.append(fix)
            for edit in new:
                taken.setdefault(edit.place.path, set()).add(edit)
    return chosen


def lines(text: str) -> list[str]:
    """Return lines with their ends, as diff and patch count them: only a line feed ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _touch(one: Edit, other: Edit) -> bool:
    a, b = one.place, other.place
    return (
        a.start < b.end and b.start < a.end
        if a.start < a.end and b.start < b.end
        else a.start <= b.end and b.start <= a.end
    )


def _range(start: int, end: int) -> str:
    """Return a hunk's lines as POSIX writes them: an empty one is named by the line before."""
    return f"{start + 1 if end > start else start},{end - start}"


def _marked(mark: str, some: Sequence[str]) -> Iterator[str]:
    for line in some:
        yield f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _name(side: str, path: str) -> str:
    """Return a path as git writes it in a diff: odd characters as C would, a tab behind one with blanks."""
    name = f"{side}/{path.lstrip('/')}"
    if not name.isprintable() or '"' in name or "\\" in name:
        return '"' + "".join(_quoted(character) for character in name) + '"'
    return f"{name}\t" if " " in name else name


def _quoted(character: str) -> str:
    if character in _QUOTED:
        return _QUOTED[character]
    if character.isprintable():
        return character
    try:
        octets = character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\{octet:03o}" for octet in octets)
