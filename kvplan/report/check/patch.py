"""The diff of a fix as it may be shown: whole and true, so that it can be applied, or not at all."""

from collections import deque

from kvplan.report.check.safe import log
from kvplan.report.check.secrets import hidden, masked, spans
from kvplan.rules.edits import CONTEXT, apply, by_file, diff, lines
from kvplan.rules.finding import Edit, Fix


def patch(fix: Fix) -> str:
    """Return a fix as a unified diff; empty where that would print a secret, a control character or a command to a CI log.

    With fewer lines around the change it may not; git takes no diff without any.
    """
    shown = []
    for source, edits in by_file(fix.edits).items():
        new = apply(source.text, edits)
        kept_back = _secret_lines(source.text, hidden(source)) | _secret_lines(new, spans(new))
        for context in range(CONTEXT, 0, -1):
            text = diff(source.path, source.text, edits, context)
            if _showable(text, kept_back):
                shown.append(text)
                break
        else:
            return ""
    return "".join(shown)


def edits_of(fix: Fix) -> tuple[Edit, ...]:
    """Return a fix's edits for documents; none where one would print a secret, for masked it would be another edit."""
    return () if any(masked(edit.text) != edit.text for edit in fix.edits) else fix.edits


def _showable(text: str, kept_back: set[str]) -> bool:
    if log(text) != text:
        return False
    return all(
        each.removesuffix("\n").removesuffix("\r").replace("\t", " ").isprintable()
        and each[1:].rstrip("\r\n") not in kept_back
        for each in lines(text)
    )


def _secret_lines(text: str, secret: tuple[tuple[int, int], ...]) -> set[str]:
    """Return the lines that hold a secret, wherever else they stand too."""
    found: set[str] = set()
    start = 0
    remaining = deque(secret)
    for each in lines(text):
        end = start + len(each)
        while remaining and remaining[0][1] <= start:
            remaining.popleft()
        if remaining and remaining[0][0] < end:
            found.add(each.rstrip("\r\n"))
        start = end
    return found
