"""Dockerfiles: their instructions, and what the image of their last stage starts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvplan.deploy.installs import pinned
from kvplan.deploy.interpolation import interpolated
from kvplan.deploy.splitting import json_list, split_text
from kvplan.deploy.variables import assigned, value_of
from kvplan.launch.text import Source, Text, join
from kvplan.launch.words import Given, Word

_MOST_STAGES = 200
_LINE = re.compile(r"([^\n]*)(?:\n|$)")
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+")
_HEREDOC = re.compile(r"<<(-?)([\"']?)(\w+)\2")
_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*(\S)", re.IGNORECASE)


_COPIED = re.compile(r"--from=(\S+)")
# A model whose name is not put together by the shell.
_PULLS = re.compile(r"\bollama[ \t]+(?:pull|run)[ \t]+[\"']?([\w][\w./:-]*)(?=[\s\"';&|)]|$)")
_MADE = re.compile(r"\bollama[ \t]+create[ \t]+[\"']?([\w][\w./:-]*)")
_MOST_PULLED = 50


@dataclass(slots=True)
class Stage:
    """One stage of a Dockerfile: what it was built from and what it sets.

    Attributes:
        name: after AS; "" for none.
        image: the one outside that it is built from, through stages before it.
        environment: its variables, those of the stages below it included.
        entrypoint, command: their whole texts, in exec form or shell form; None where it sets none.
        version: of an engine that it installs, where it pins one.
        pulled: models that are put into it for Ollama while it is built.
        place: of its FROM.

    """

    name: str
    image: Word | None
    place: Text
    environment: dict[str, Given] = field(default_factory=dict)
    entrypoint: Text | None = None
    command: Text | None = None
    version: Given | None = None
    pulled: tuple[Given, ...] = ()


def stages(source: Source, arguments: Mapping[str, Text] | None = None) -> list[Stage]:
    """Return the stages of a Dockerfile.

    Args:
        source: the file.
        arguments: values for its ARGs from outside.

    """
    given = dict(arguments or {})
    outer: dict[str, Text] = {}
    inner: dict[str, Text] = {}
    found: list[Stage] = []
    own_command = False
    for name, text in _instructions(source):
        known = inner if found else outer
        if name == "FROM":
            if len(found) >= _MOST_STAGES:
                return found
            found.append(_from(text, outer, found))
            inner, own_command = _values(found[-1].environment), False
        elif name == "ARG":
            for each in split_text(text, keeps="$"):
                pair = assigned(_located(each))
                key = pair[0].value if pair else each.text
                value = given.get(key) or (interpolated(pair[1], known, escape="\\$") if pair else outer.get(key))
                if value is not None and (not found or key not in found[-1].environment):
                    known[key] = value
        elif not found:
            continue
        elif name == "ENV":
            for label, own in list(_environment(text, inner)):
                found[-1].environment[label.value] = value_of(label, own)
                inner[label.value] = own
        elif name == "ENTRYPOINT":
            found[-1].entrypoint = text
            if not own_command:
                found[-1].command = None  # as Docker does: a base's CMD does not follow a new ENTRYPOINT
        elif name == "CMD":
            found[-1].command, own_command = text, True
        elif name == "RUN":
            run = interpolated(text, inner, escape="\\$")
            found[-1].version = pinned(run) or found[-1].version
            found[-1].pulled = (*found[-1].pulled, *_pulled(run))[:_MOST_PULLED]
        elif name == "COPY" and ".ollama" in text.value and (stage := _COPIED.search(text.value)) is not None:
            there = next((each.pulled for each in found[:-1] if each.name == stage[1].lower()), ())
            found[-1].pulled = (*found[-1].pulled, *there)[:_MOST_PULLED]
    return found


def parts(stage: Stage) -> tuple[tuple[Word, ...] | None, tuple[Word, ...], Text | None]:
    """Return what a stage starts: the words that take the entry point's place, those after them, and a shell's text."""
    args: tuple[Word, ...] = ()
    if stage.command is not None:
        words = json_list(stage.command)
        args = (
            words
            if words is not None
            else (Word("/bin/sh"), Word("-c"), Word(stage.command.value, place=stage.command))
        )
    if stage.entrypoint is None:
        return None, args, None
    words = json_list(stage.entrypoint)
    return (None, (), stage.entrypoint) if words is None else (words, args, None)


def _instructions(source: Source) -> Iterator[tuple[str, Text]]:
    """Yield each instruction's name and the rest of it, lines joined, comments and here-documents left out."""
    whole = source.whole()
    directive = _DIRECTIVE.match(source.text.lstrip())
    escape = directive[1] if directive else "\\"
    pieces: list[Text] = []
    closes: list[str] = []
    run: list[Text] = []
    for line in _LINE.finditer(source.text):
        text = line[1].rstrip("\r")
        if closes:
            run += [whole.cut(line.start(), line.start() + len(text)), Text("\n")] if run else []
            if text.strip() == closes[0]:
                closes.pop(0)
                if run and not closes:
                    yield "RUN", join(run)
                    run = []
            continue
        if text.lstrip().startswith("#") or (pieces and not text.strip() and line.end() < len(source.text)):
            continue
        body = text.rstrip()
        goes_on = body.endswith(escape) and line.end() < len(source.text)
        pieces.append(whole.cut(line.start(), line.start() + (len(body) - 1 if body.endswith(escape) else len(text))))
        if goes_on:
            continue
        joined, pieces = join(pieces), []
        match = _INSTRUCTION.match(joined.value)
        if match is None:
            continue
        name = match[1].upper()
        if name in ("RUN", "COPY", "ADD"):
            closes = [each[3] for each in _HEREDOC.finditer(joined.value)]
        if name == "RUN" and closes:
            run = [joined.cut(match.end()), Text("\n")]
            continue
        yield name, joined.cut(match.end(), len(joined.value.rstrip()))


def _from(text: Text, arguments: Mapping[str, Text], before: list[Stage]) -> Stage:
    words = [each for each in split_text(interpolated(text, arguments, escape="\\$")) if not each.text.startswith("--")]
    name = words[2].text.lower() if len(words) > 2 and words[1].text.upper() == "AS" else ""
    if not words:
        return Stage(name, None, text)
    base = next((stage for stage in reversed(before) if stage.name and stage.name == words[0].text.lower()), None)
    if base is None:
        return Stage(name, words[0], text)
    return Stage(
        name, base.image, text, dict(base.environment), base.entrypoint, base.command, base.version, base.pulled
    )


def _pulled(text: Text) -> Iterator[Given]:
    """Yield the models that a RUN has Ollama load."""
    made = {match[1] for match in _MADE.finditer(text.value)}
    for match in _PULLS.finditer(text.value):
        if match[1] in made:
            continue  # of a Modelfile: no name that stands for a model elsewhere
        own = text.cut(*match.span(1))
        yield Given(own.value, (Word(own.value, place=own),))


def _environment(text: Text, known: Mapping[str, Text]) -> Iterator[tuple[Text, Text]]:
    """Yield names and values of `ENV A=1 B="2 3"`, all read with what was known before, or of the older `ENV A the rest`."""
    words = split_text(text, keeps="$")
    if words and assigned(_located(words[0])) is None:
        match = re.match(r"(\S+)\s+", text.value)
        if match is not None:
            yield text.cut(*match.span(1)), interpolated(text.cut(match.end()), known, escape="\\$")
        return
    for each in words:
        if (pair := assigned(_located(each))) is not None:
            yield pair[0], interpolated(pair[1], known, escape="\\$")


def _values(environment: Mapping[str, Given]) -> dict[str, Text]:
    return {name: _located(value.words[-1]) for name, value in environment.items() if value.words}


def _located(word: Word) -> Text:
    """Return a word's text with its place."""
    return word.place if isinstance(word.place, Text) else Text(word.text)
