"""A plan's remedies as edits of the file: a value in its place, or a flag put behind the engine's last word."""

import json
import re
from collections.abc import Iterator
from typing import Any

from kvplan.deploy.plans import Planned
from kvplan.deploy.unit import Input, place_of
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word, quote
from kvplan.plan import Remedy
from kvplan.rules.finding import Edit, Fix

_FLAGS = {
    "context": "--max-model-len",
    "kv_dtype": "--kv-cache-dtype",
    "tensor_parallel": "--tensor-parallel-size",
    "quantization": "--quantization",
}
_STATED = {
    "context": "max_model_len",
    "kv_dtype": "kv_cache_dtype",
    "tensor_parallel": "tensor_parallel",
    "quantization": "quantization",
}
# Weight formats that the engine makes of a checkpoint while it loads it: the others are another checkpoint.
_WHILE_LOADING = ("fp8",)
# The end of an item of `[...]`: its quote, and what follows on this line or the next ones.
_IN_FLOW = re.compile(r"([\"']?)\s*(?=[,\]])")
# Characters around a place that are of its list or container.
_NEAR = 400


def fixes(planned: Planned) -> tuple[Fix, ...]:
    """Return the remedies of a unit's plan that its file can say, each with the edits that make it."""
    plan = planned.unit.plan
    if plan is None:
        return ()
    # GPUs that are asked for already cost nothing more: using them comes first.
    remedies = sorted(plan.remedies, key=lambda remedy: not _uses_what_is_there(planned, remedy))
    return tuple(fix for remedy in remedies if (fix := _fix(planned, remedy)) is not None)


def _uses_what_is_there(planned: Planned, remedy: Remedy) -> bool:
    count = planned.unit.inputs["gpu_count_requested"].value
    gpus = remedy.plan.deployment.parallel.gpus
    return "tensor_parallel" in remedy.changes and isinstance(count, int) and gpus <= count


def _fix(planned: Planned, remedy: Remedy) -> Fix | None:
    before = planned.unit.plan.deployment.arguments["engine_args"] if planned.unit.plan is not None else {}
    wanted = list(_wanted(remedy, before))
    if not wanted:
        return Fix(change=remedy.words, effect=remedy.effect) if "users" not in remedy.changes else None
    change = " ".join(
        f"{flag} {_shown(value)}" if not isinstance(value, bool) else _switch(flag, value) for flag, _, value in wanted
    )
    if "quantization" in remedy.changes and remedy.changes["quantization"] not in _WHILE_LOADING:
        return Fix(change=f"a checkpoint of the model in {remedy.changes['quantization']}", effect=remedy.effect)
    made = [_edit(planned, flag, stated, value) for flag, stated, value in wanted]
    edits = None if None in made else [edit for edit in made if edit is not None]
    # Remedies of a plan say how many GPUs they take behind their effect; here it is part of the change.
    where = f" on {remedy.plan.deployment.parallel.gpus} GPUs"
    if "tensor_parallel" in remedy.changes:
        counted = _gpus(planned, remedy)
        edits = None if counted is None or edits is None else [*edits, *counted]
        change += where
    ordered = sorted(
        (edit for edit in edits or () if edit.text != edit.place.text),
        key=lambda edit: (edit.place.path, edit.place.start),
    )
    return Fix(change=change, effect=remedy.effect.removesuffix(where), edits=tuple(ordered))


def _wanted(remedy: Remedy, before: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield flag, shared name and value of what a remedy changes."""
    for name, value in remedy.changes.items():
        if name in _FLAGS:
            yield _FLAGS[name], _STATED[name], value
        elif name == "engine_args":
            for argument, each in value.items():
                if before.get(argument) != each:
                    yield f"--{argument.replace('_', '-')}", argument, each


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _switch(flag: str, value: bool) -> str:
    return flag if value else f"--no-{flag[2:]}"


def _in_place(given: Given, value: Any) -> Edit | None:
    word = given.words[-1] if given.words else None
    if word is None or word.place is None or MASK in word.text:
        return None
    text = word.place
    if len(given.words) == 1 and word.text.startswith("-") and "=" in word.text:
        text = text.cut(word.text.index("=") + 1)
    elif len(given.words) == 1 and ": " in word.text and word.origin:
        return None
    place = _exactly(text)
    return None if place is None else Edit(place, _shown(value))


def _exactly(text: Text) -> Place | None:
    """Return where a text stands if its characters stand there as they are, side by side; None otherwise."""
    place = text.place()
    return place if place is not None and place.text == text.value and text.value else None


def _edit(planned: Planned, flag: str, stated: str, value: Any) -> Edit | None:
    unit = planned.unit
    known = planned.read.stated.values.get(stated) or planned.read.stated.flags.get(flag)
    if known is not None and not isinstance(value, bool):
        return _in_place(known, value)
    if known is not None or unit.launch is None:
        return None
    words = [word for word in unit.launch.words if word.place is not None and word.place.runs]
    return _behind(words, planned.unit.workload.place, flag, value) if words and unit.workload.words is None else None


def _behind(words: list[Word], block: Place, flag: str, value: Any) -> Edit | None:
    """Return the edit that puts a flag behind the last of an engine's words, in the manner of the words before it."""
    own = [place for word in words if (place := place_of(word)) is not None and place.source is block.source]
    last = max(own, key=lambda place: place.start, default=None)
    if last is None:
        return None
    if place_of(words[-1]) != last:
        return _before(words, own, flag, value)
    source, end = last.source, last.end
    start = source.start_of(last.line)
    before = source.text[start : last.start]
    line_end = start + len(source.line(last.line))
    after = source.text[end:line_end]
    item = re.fullmatch(r"(\s*-\s+)([\"']?)", before)
    if item and re.fullmatch(r"[\"']?\s*(?:#.*)?", after):
        return Edit(_at(last, line_end), "".join(f"\n{item[1]}{line}" for line in _items(words, flag, value)))
    flow = _IN_FLOW.match(source.text, end)
    if flow and re.search(r"[\[,]\s*[\"']?\Z", source.text[max(0, last.start - _NEAR) : last.start]):
        lone = re.fullmatch(r"\s*[\"']?", before)
        gap = f",\n{before[: len(before) - len(before.lstrip())]}" if lone else ", "
        return Edit(
            _at(last, end + len(flow[1])),
            "".join(f"{gap}{json.dumps(line)}" for line in _items(words, flag, value, bare=True)),
        )
    text = _written(flag, value)
    lines = [place.line for place in own if place.end <= end]
    if len(set(lines)) > 1 and last.line != min(lines):
        previous = source.line(last.line - 1).rstrip()
        indent = re.match(r"\s*", source.line(last.line))
        if after.strip() and not re.fullmatch(r"\s*\\", after):
            return Edit(_at(last, end), f" {text}")
        joint = " \\\n" if previous.endswith("\\") else "\n"
        return Edit(_at(last, end), f"{joint}{indent[0] if indent else ''}{text}")
    return Edit(_at(last, end), f" {text}")


def _before(words: list[Word], own: list[Place], flag: str, value: Any) -> Edit | None:
    """Return the edit that puts a flag before the last one: the value of that stands where a variable is set."""
    flags = [place for word in words if word.text.startswith("-") and (place := place_of(word)) in own]
    last = max(flags, key=lambda place: place.start, default=None)
    return None if last is None else Edit(_at(last, last.start), f"{_written(flag, value)} ")


def _written(flag: str, value: Any) -> str:
    return _switch(flag, value) if isinstance(value, bool) else f"{flag} {quote(_shown(value))}"


def _items(words: list[Word], flag: str, value: Any, *, bare: bool = False) -> list[str]:
    """Return a flag as items of a list: one with `=` where the others are written so, else two; numbers in quotes unless bare."""
    if isinstance(value, bool):
        return [_switch(flag, value)]
    shown = _shown(value)
    if any(word.text.startswith("--") and "=" in word.text for word in words):
        return [f"{flag}={shown}"]
    return [flag, shown if bare or not shown.replace(".", "").isdecimal() else f'"{shown}"']


def _at(place: Place, offset: int) -> Place:
    return Place(place.source, offset, offset)


def _gpus(planned: Planned, remedy: Remedy) -> list[Edit] | None:
    """Return the edits that ask for as many GPUs as a remedy needs; None where no line counts those that are there."""
    count = planned.unit.inputs["gpu_count_requested"]
    nodes = planned.unit.inputs["nodes"].value
    if isinstance(nodes, int) and nodes > 1:
        return None
    return count_edits(count, remedy.plan.deployment.parallel.gpus) or None


def count_edits(count: Input, number: int) -> list[Edit]:
    """Return the edits that ask for another number of GPUs, in limits and requests alike; none where it has no place of its own."""
    place, old = count.place, str(count.value)
    if place is None or place.text.strip("\"'") != old:
        return []
    text, same = place.source.text, [place]
    if count.label is not None and count.label.source is place.source and ":" in text[count.label.end : place.start]:
        # The scheduler takes no pod whose requests of a GPU are others than its limits.
        again = re.escape(text[count.label.start : place.end])
        first = max(0, place.start - _NEAR)
        for match in re.finditer(rf"{again}(?![\w.])", text[first : place.end + _NEAR]):
            end = first + match.end()
            if end != place.end and _are_siblings(text[min(end, place.end) : max(end, place.end)]):
                same.append(Place(place.source, end - (place.end - place.start), end))
    return [Edit(each, each.text.replace(old, str(number))) for each in sorted(same, key=lambda each: each.start)]


def _are_siblings(between: str) -> bool:
    """Whether of what stands between two counts of GPUs one is the limit and the other the request of the same container."""
    found = re.findall(r"\b(limits|requests)\b", between)
    return len(found) == 1 and not re.search(r"\b(?:resources|name|image)[\"']?:", between)
