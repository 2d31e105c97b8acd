"""A plan's change as flags of vLLM's command line, put into the command that was pasted."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvplan.engines.vllm.command.table import flags_of
from kvplan.launch.command import Changed, Command, Spans
from kvplan.launch.words import Given, Word, quote, split

_FLAGS = {
    "context": "--max-model-len",
    "kv_dtype": "--kv-cache-dtype",
    "tensor_parallel": "--tensor-parallel-size",
    "pipeline_parallel": "--pipeline-parallel-size",
    "data_parallel": "--data-parallel-size",
    "kv_cache_memory": "--kv-cache-memory-bytes",
    "quantization": "--quantization",
}
# Formats of kvplan that vLLM makes of a checkpoint while it loads it.
_WHILE_LOADING = ("fp8",)


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def changed(command: Command, changes: Mapping[str, Any], args_before: Mapping[str, Any]) -> Changed | None:
    """Return the command with the changes of a remedy made; None where no flag makes them, or its place is not known.

    Args:
        command: as pasted.
        changes: by the names of `kvplan.estimate`.
        args_before: the engine's arguments of the plan, to see which of them change.

    """
    wanted = list(_wanted(command, changes, args_before))
    known = flags_of(command.release).options
    if not wanted or any(flag not in known and flag != "--gpus" for flag, _, _ in wanted):
        return None
    edits: list[_Edit] = []
    before: list[str] = []
    for flag, value, given in wanted:
        edit = _edit(command, str(flag), value, given)
        if edit is None:
            return None
        edits.append(edit)
        before += [_value_of(given)] if given is not None and edit.end > edit.start else []
    gone = [given for given in command.left_out if all(word.start >= 0 and not word.origin for word in given.words)]
    edits += [_Edit(_end_before(command, given.words[0]), given.words[-1].end, "") for given in gone]
    text, spans = _applied(command.text, edits)
    text, spans = _without_secrets(text, spans)
    flags = " ".join(_flag_text(str(flag), value) for flag, value, _ in wanted if flag != "--gpus")
    return Changed(flags, " ".join(before), " ".join(map(str, gone)), text, spans)


def _wanted(
    command: Command, changes: Mapping[str, Any], args_before: Mapping[str, Any]
) -> Iterator[tuple[str | None, Any, Given | None]]:
    """Yield flag, value and what the command gives for it now; no flag where the change is none of the command's.

    What was planned for beside the command goes into it, too: the remedy holds with both.
    """
    beside = {name: value for name, value in command.beside.items() if name != "engine_args"}
    args_beside = command.beside.get("engine_args", {})
    for name, value in {**beside, **changes}.items():
        if name == "engine_args":
            for argument, each in value.items():
                if args_before.get(argument) != each:
                    yield _flag_of(argument), each, command.engine_args.get(argument)
        elif name == "gpu":
            if command.gpus is not None:
                words = command.gpus.words
                container = (
                    words and words[0].text.startswith("--gpus") and words[-1].text.rpartition("=")[2].isdecimal()
                )
                yield ("--gpus" if container else None), changes["tensor_parallel"], command.gpus
        elif name == "quantization":
            yield (_FLAGS[name] if value in _WHILE_LOADING else None), value, command.settings.get(name)
        else:
            yield _FLAGS.get(name), value, command.settings.get(name)
    for argument, each in args_beside.items():
        if changes.get("engine_args", {}).get(argument, each) == each:
            yield _flag_of(argument), each, None


def _flag_of(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


def _flag_text(flag: str, value: Any) -> str:
    if isinstance(value, bool):
        return flag if value else f"--no-{flag[2:]}"
    return f"{flag} {quote(_number(value))}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value_of(given: Given) -> str:
    last = given.words[-1].text
    return last.partition("=")[2] if len(given.words) == 1 and "=" in last else last


def _edit(command: Command, flag: str, value: Any, given: Given | None) -> _Edit | None:
    """Return the edit that gives a flag a value: in its place if it has one of its own, else behind the last word."""
    if given is not None and all(word.start >= 0 and not word.origin for word in given.words):
        first = given.words[0]
        name, equals, _ = first.text.partition("=")
        if name.startswith("-") and "." not in name:
            if isinstance(value, bool):
                return _Edit(first.start, first.end, _flag_text(flag, value))
            if len(given.words) == 2 and not equals:
                last = given.words[1]
                return _Edit(last.start, last.end, quote(_number(value)))
            if len(given.words) == 1 and equals:
                return _Edit(first.start, first.end, quote(f"{name}={_number(value)}"))
            return _Edit(first.start, given.words[-1].end, _flag_text(flag, value))
    placed = [word for word in command.words if word.start >= 0 and not word.origin]
    if (command.words and len(placed) < len(command.words)) or not command.text:
        return None  # in a text of its own: a shell's -c
    end = _last(placed, command.text)
    line = command.text.rfind("\n", 0, end)
    indent = command.text[line + 1 : end]
    indent = indent[: len(indent) - len(indent.lstrip())] or "    "
    break_ = f" \\\n{indent}" if line >= 0 else " "
    return _Edit(end, end, break_ + _flag_text(flag, value))


def _end_before(command: Command, word: Word) -> int:
    """Return where the word before one ends: between them are blanks and ends of lines that go on."""
    return max((each.end for each in split(command.text) if each.end <= word.start), default=word.start)


def _last(words: list[Word], text: str) -> int:
    """Return where a new flag may stand: behind the last word, but before a `--` after which none is read."""
    for index, word in enumerate(words):
        if word.text == "--":
            return words[index - 1].end if index else word.start
    return words[-1].end if words else len(text.rstrip())


_SECRET = re.compile(r"(?:^|[-_=])(?:key|token|secret|password|passwd)s?$", re.IGNORECASE)
_HARMLESS = re.compile(r"[\d.]+[kKmMgGtT]?|\$.*|")


def _without_secrets(text: str, spans: Spans) -> tuple[str, Spans]:
    """Return the text with the values of keys, tokens and passwords as `***`: it is printed, and prints are kept."""
    edits: list[_Edit] = []
    hidden = False
    for word in split(text):
        name, equals, value = word.text.rpartition("=")
        flag = word.text.startswith("-")
        hidden = hidden and not flag and not word.operator
        if hidden and not _HARMLESS.fullmatch(word.text):
            edits.append(_Edit(word.start, word.end, "'***'"))
        elif equals and _SECRET.search(name) and not _HARMLESS.fullmatch(value):
            edits.append(_Edit(word.start, word.end, quote(f"{name}=***")))
        elif flag and not equals and _SECRET.search(word.text):
            hidden = True
    moved = tuple((start + _shift(edits, start), end + _shift(edits, end)) for start, end in spans)
    return _applied(text, edits)[0], moved


def _shift(edits: list[_Edit], place: int) -> int:
    return sum(len(edit.text) - (edit.end - edit.start) for edit in edits if edit.end <= place)


def _applied(text: str, edits: list[_Edit]) -> tuple[str, Spans]:
    """Return the text with the edits made, and where they stand in it."""
    spans: list[tuple[int, int]] = []
    parts: list[str] = []
    at = length = 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        kept = text[at : edit.start]
        blank = len(edit.text) - len(edit.text.lstrip(" \\\n"))
        start = length + len(kept)
        if edit.text:
            spans.append((start + blank, start + len(edit.text)))
        parts += [kept, edit.text]
        length = start + len(edit.text)
        at = edit.end
    return "".join([*parts, text[at:]]), tuple(spans)
