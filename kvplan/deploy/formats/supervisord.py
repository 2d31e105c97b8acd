"""Supervisor's configuration: programs with their command, which no shell reads, and their variables."""

import re
from collections.abc import Iterator, Mapping

from kvplan.deploy.file import File
from kvplan.deploy.splitting import split_text
from kvplan.deploy.variables import value_of
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Place, Text, join
from kvplan.launch.words import MOST_CHARACTERS, Given, Word

_PROGRAM = re.compile(r"^\[program:([^\]\r\n]+)\]", re.MULTILINE)
_LINE = re.compile(r"([^\n]*)(?:\n|$)")
_SECTION = re.compile(r"\[([^\]]+)\]")
_SETTING = re.compile(r"([A-Za-z_]\w*)\s*[=:][ \t]*", re.ASCII)
_COMMENT = re.compile(r"\s;.*", re.DOTALL)
# `%(ENV_NAME)s` is a variable of Supervisor's own environment, other names are what it knows of the program.
_EXPANSION = re.compile(r"%%|%\((\w+)\)\d*[a-z]", re.ASCII)
_PAIR = re.compile(r"\s*,?\s*([A-Za-z_]\w*)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^,\s\"']*))", re.ASCII)
_MOST_PROGRAMS = 200

Section = dict[str, tuple[Text, Text]]


def read(file: File) -> Iterator[Workload]:
    """Yield the programs of a configuration."""
    if file.is_yaml or not _PROGRAM.search(file.source.text):
        return
    if not file.name.endswith((".conf", ".ini")) and "supervisor" not in file.name:
        return
    sections = _sections(file.text)
    expander = _Expander()
    shared = expander.environment(sections.get("supervisord", {}), {})
    programs = [(name, found) for name, found in sections.items() if name.startswith("program:")]
    for name, found in programs[:_MOST_PROGRAMS]:
        if "command" not in found:
            continue
        label, command = found["command"]
        environment = shared | expander.environment(found, shared)
        copies = found.get("numprocs")
        yield Workload(
            format="supervisord",
            name=name.replace(":", " ", 1),
            place=label.place() or Place(file.source, 0, 0),
            command=split_text(expander.expanded(command, environment)),
            environment=environment,
            replicas=None if copies is None else Given(copies[1].value, (Word(copies[1].value, place=copies[1]),)),
        )


def _sections(whole: Text) -> dict[str, Section]:
    """Return the settings of each section, label and value; lines that start with a blank go on with the value before."""
    found: dict[str, Section] = {}
    spans: dict[tuple[str, str], tuple[Text, list[Text | str]]] = {}
    title, key = "", ""
    for line in _LINE.finditer(whole.value):
        text = line[1].rstrip()
        if not text.strip() or text.lstrip().startswith((";", "#")):
            continue
        if text[0].isspace():
            if key:
                spans[title, key][1].extend(("\n", whole.cut(line.start(), line.start() + len(text))))
        elif (header := _SECTION.match(text)) is not None:
            title, key = header[1].strip(), ""
        elif (match := _SETTING.match(text)) is not None:
            key = match[1].lower()
            label = whole.cut(line.start(), line.start() + match.end(1))
            spans[title, key] = (label, [whole.cut(line.start() + match.end(), line.start() + len(text))])
    for (title, key), (label, parts) in spans.items():
        found.setdefault(title, {})[key] = (label, join(_without_comment(part) for part in parts))
    return found


def _without_comment(part: Text | str) -> Text | str:
    comment = _COMMENT.search(part.value) if isinstance(part, Text) else None
    return part.cut(0, comment.start()) if isinstance(part, Text) and comment is not None else part


class _Expander:
    """Puts expansions in; what it may put in of one file is bounded, for values that double each other have no end."""

    def __init__(self) -> None:
        self.left = MOST_CHARACTERS

    def environment(self, section: Section, known: Mapping[str, Given]) -> dict[str, Given]:
        """Return the variables that a section sets: `A="b",C=d`."""
        if "environment" not in section:
            return {}
        text = self.expanded(section["environment"][1], known)
        found: dict[str, Given] = {}
        at = 0
        while (match := _PAIR.match(text.value, at)) is not None and match.end() > at:
            at = match.end()
            group = next(number for number in (2, 3, 4) if match[number] is not None)
            found[match[1]] = value_of(text.cut(*match.span(1)), text.cut(*match.span(group)))
        return found

    def expanded(self, text: Text, known: Mapping[str, Given]) -> Text:
        """Return a value with its expansions put in; those that the file does not tell are masked."""
        parts: list[Text | str] = []
        done = 0
        for match in _EXPANSION.finditer(text.value):
            parts.append(text.cut(done, match.start()))
            done = match.end()
            name = match[1] or ""
            value = known.get(name.removeprefix("ENV_")) if name.startswith("ENV_") else None
            place = value.words[-1].place if value is not None and value.words else None
            if not name:
                parts.append(text.cut(match.start(), match.start() + 1))
            elif isinstance(place, Text) and len(place.value) <= self.left:
                self.left -= len(place.value)
                parts.append(place)
            else:
                parts.append(text.cut(match.start(), done).masked(_EXPANSION))
        parts.append(text.cut(done))
        return join(parts)
