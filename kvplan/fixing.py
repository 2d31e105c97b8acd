"""`kvplan check --fix`: of each unit the first fix that can be written, into its file; comments, layout and line ends stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kvplan.launch.text import Source
from kvplan.rules.edits import apply, by_file, together
from kvplan.rules.finding import SEVERITIES, Checked, Fix

_MARK = b"\xef\xbb\xbf"


class Written(NamedTuple):
    """What was written: how many fixes, the files, and why others were left as they are."""

    fixes: int
    files: set[str]
    left: list[str]


def write_fixes(checked: Checked) -> Written:
    """Write the first fix with edits of each unit that has an open finding which is no mere note, errors first.

    One at a time: two that settle a finding each may not do so together. A further check says what is left.
    """
    left = []
    files: set[str] = set()
    number = 0
    chosen = together(_first_of_each(checked))
    for source, edits in by_file(edit for fix in chosen for edit in fix.edits).items():
        if (why := _write(source, apply(source.text, edits))) is not None:
            left.append(why)
            continue
        files.add(source.path)
        number += sum(any(edit.place.source is source for edit in fix.edits) for fix in chosen)
    return Written(number, files, left)


def _first_of_each(checked: Checked) -> Iterator[Fix]:
    seen: set[tuple[str, str]] = set()
    for each in sorted(checked.open, key=lambda each: SEVERITIES.index(each.severity)):
        fix = next((fix for fix in each.fixes if fix.edits), None)
        if fix is None or each.severity == "note" or (each.place.path, each.subject) in seen:
            continue
        seen.add((each.place.path, each.subject))
        yield fix


def _write(source: Source, text: str) -> str | None:
    """Write a file; return why it is left as it is, None where it was written."""
    path = Path(source.path)
    try:
        content = path.read_bytes()
        mark = _MARK if content.startswith(_MARK) else b""
        if content.removeprefix(mark) != source.text.encode("utf-8", "surrogatepass"):
            return f"{source.path} is not UTF-8, or was changed meanwhile: it is left as it is."
        path.write_bytes(mark + text.encode("utf-8"))
    except (OSError, ValueError) as error:
        return f"{source.path} cannot be written: {getattr(error, 'strerror', None) or type(error).__name__}."
    return None
