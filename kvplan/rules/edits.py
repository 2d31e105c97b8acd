"""Edits of a file: made, shown as a unified diff, and chosen so that no two touch the same characters."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from kvplan.launch.text import Source
from kvplan.rules.finding import Edit, Fix

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
    first = re.search(r"\r\n|\n", text)
    crlf = first is not None and first[0] == "\r\n"
    parts, end = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.place.start, edit.place.end)):
        if edit.place.start < end:
            continue
        put = re.sub(r"\r?\n", "\r\n", edit.text) if crlf else edit.text
        parts += [text[end : edit.place.start], put]
        end = edit.place.end
    return "".join([*parts, text[end:]])


def diff(path: str, text: str, edits: Iterable[Edit], context: int = CONTEXT) -> str:
    """Return what edits change as a unified diff that `patch -p1` and `git apply` take; empty where they change nothing."""
    old, new = lines(text), lines(apply(text, edits))
    groups = list(SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context)) if old != new else []
    if not groups:
        return ""
    shown = [f"--- {_name('a', path)}\n", f"+++ {_name('b', path)}\n"]
    for group in groups:
        before, after = _range(group[0][1], group[-1][2]), _range(group[0][3], group[-1][4])
        shown.append(f"@@ -{before} +{after} @@\n")
        for kind, start, end, new_start, new_end in group:
            if kind == "equal":
                shown += _marked(" ", old[start:end])
                continue
            shown += _marked("-", old[start:end])
            shown += _marked("+", new[new_start:new_end])
    return "".join(shown)


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
