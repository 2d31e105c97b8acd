"""What every check keeps to, whatever stands in the file: places lie in it, and nothing fits that is not stated."""

import re
from collections.abc import Iterator
from typing import Any

from kvplan.deploy.unit import Unit
from kvplan.launch.text import MASK, Place
from kvplan.rules.finding import Checked

# What some formats add up or multiply out; their place is that of one part.
_SUMS = ("gpu_count_requested", "nodes")
_LINE_END = re.compile(r"\r\n|\n|\r")


def broken(checked: Checked, text: str, name: str, *, model_is_given: bool = False) -> list[str]:
    """Return which promises a check of one text breaks, in words.

    Args:
        checked: what it found.
        text: as it was given.
        name: of the file.
        model_is_given: whether an option says which model all engines serve.

    """
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    found = [f"{what}: {why}" for what, place in _places(checked) if (why := _misplaced(place, text, name, starts))]
    return found + [why for unit in checked.units for why in _unfounded(unit, model_is_given=model_is_given)]


def _places(checked: Checked) -> Iterator[tuple[str, Place]]:
    for unit in checked.units:
        yield f"{unit.workload.format} unit", unit.place
        for key, given in unit.inputs.items():
            if given.place is not None:
                yield f"{unit.workload.format} {key}", given.place
        for each in unit.open:
            if each.place is not None:
                yield f"{unit.workload.format} open", each.place
    for finding in checked.findings:
        yield finding.code, finding.place
        for label in finding.labels:
            yield f"{finding.code} label", label.place
        for fix in finding.fixes:
            for edit in fix.edits:
                yield f"{finding.code} edit", edit.place


def _misplaced(place: Place, text: str, name: str, starts: list[int]) -> str:
    """Return what is wrong with a place; its line and columns must lead to the characters that it holds."""
    if place.path != name:
        return f"the place is in {place.path!r}"
    if place.source.text != text:
        return "the place is in another text than the file's"
    if not 0 <= place.start <= place.end <= len(text):
        return f"{place.start} to {place.end} is not within {len(text)}"
    if max(place.line, place.end_line) > len(starts):
        return f"line {place.end_line} of {len(starts)}"
    first, last = starts[place.line - 1] + place.column - 1, starts[place.end_line - 1] + place.end_column - 1
    if text[first:last] != place.text:
        return f"{text[first:last]!r} is underlined instead of {place.text!r}"
    return ""


def _unfounded(unit: Unit, *, model_is_given: bool) -> Iterator[str]:
    """Yield why a verdict has no ground."""
    if unit.verdict == "unknown":
        return
    if unit.plan is None or unit.open:
        yield f"{unit.verdict} with open questions"
    for key in ("gpu",) if model_is_given else ("gpu", "model"):
        if unit.inputs[key].value in (None, ""):
            yield f"{unit.verdict} without a {key}"
    for key, given in unit.inputs.items():
        if given.origin == "unresolved" or MASK in str(given.value):
            yield f"{unit.verdict} although {key} is open"
        elif (
            given.origin == "given"
            and key not in _SUMS
            and given.place is not None
            and not _same(given.value, given.place.text)
        ):
            yield f"{key} is {given.value!r}, where {given.place.text!r} stands"


def _same(value: Any, written: str) -> bool:
    """Whether a whole number is the one that stands there, where digits alone stand there."""
    return not (isinstance(value, int) and re.fullmatch(r"[1-9]\d{0,11}", written, re.ASCII)) or value == int(written)
