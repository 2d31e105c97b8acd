"""`kvplan check --fix`: the first edit of each finding, written into its file; comments, layout and line ends stay."""

from pathlib import Path

from kvplan.errors import SettingError
from kvplan.launch.text import Source
from kvplan.rules.edits import apply, by_file, together
from kvplan.rules.finding import Checked

_MARKS = (b"\xef\xbb\xbf",)


def write_fixes(checked: Checked) -> tuple[int, int]:
    """Write the first fix with edits of every open finding that is no mere note; return how many, and in how many files.

    Raises:
        SettingError: a file cannot be written, or is no longer what was read.

    """
    first = [next((fix for fix in each.fixes if fix.edits), None) for each in checked.open if each.severity != "note"]
    chosen = together(fix for fix in first if fix is not None)
    files = by_file(edit for fix in chosen for edit in fix.edits)
    for source, own in files.items():
        _write(source, apply(source.text, own))
    return len(chosen), len(files)


def _write(source: Source, text: str) -> None:
    path = Path(source.path)
    try:
        content = path.read_bytes()
        mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
        if content[len(mark) :] != source.text.encode("utf-8"):
            raise SettingError(f"{source.path} is not UTF-8, or was changed while it was read: it is left as it is.")
        path.write_bytes(mark + text.encode("utf-8"))
    except OSError as error:
        raise SettingError(f"{source.path} cannot be written: {error.strerror}.") from error
