"""What comments tell kvplan: facts that a file cannot state (`# kvplan: gpu=L4 users=32`), and findings to leave out."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kvplan.deploy.file import File
from kvplan.deploy.outside import Facts, check_facts, names_a_path
from kvplan.deploy.workload import Workload
from kvplan.errors import KvplanError, SettingError
from kvplan.launch.text import Place
from kvplan.units import parse_tokens

_COMMENT = re.compile(r"(?:#|//|<!--)[ \t]*kvplan:[ \t]*([^\r\n]*)", re.IGNORECASE)
_ANNOTATION = re.compile(r"kvplan\.dev/ignore[\"']?[ \t]*:[ \t]*([\"']?)([^\r\n]*)")
_IGNORE = re.compile(r"(ignore|ignore-file)\[([^\]]*)\][ \t:]*(.*)", re.IGNORECASE)
_CODE = re.compile(r"KVP\d{3}")
# Lines that hold nothing but a comment, or nothing.
_NO_CONTENT = re.compile(r"(?:[ \t]*(?:(?:#|//|<!--)[^\r\n]*)?(?:\r\n|\n|\r|\Z))*+")
_FACTS = ("gpu", "engine", "model", "users", "context")
# No file has use for more.
_MOST = 1_000


@dataclass(slots=True)
class Suppression:
    """Findings that a comment leaves out.

    Attributes:
        codes: of the rules.
        reason: in words; "" for none.
        place: of the comment.
        lines: that it holds for; None: the whole file.
        used: whether a finding was left out by it.

    """

    codes: tuple[str, ...]
    reason: str
    place: Place
    lines: Sequence[int] | None
    used: bool = False


@dataclass(slots=True)
class Comments:
    """The comments of a file.

    Attributes:
        file: they stand in.
        suppressions: in their order.
        facts: each with the place of its comment.
        bad: comments that mean nothing, and why.

    """

    file: File
    suppressions: list[Suppression] = field(default_factory=list)
    facts: list[tuple[Place, Facts]] = field(default_factory=list)
    bad: list[tuple[Place, str]] = field(default_factory=list)

    def facts_of(self, workloads: Sequence[Workload]) -> list[Facts]:
        """Return what the comments say of each workload: the nearest counts, the block's own before its document's and the file's.

        A comment in a block or right above it is the block's. One above all blocks of a document, or of the file, is for
        all of them.
        """
        found = [Facts() for _ in workloads]
        own: dict[int, list[tuple[Place, Facts]]] = {}
        content = _behind(self.file.source.text, 0)
        for place, facts in self.facts:
            index = None if place.start < content else self._block(place, workloads)
            if index is None:
                start, end = (0, content) if place.start < content else _document(self.file, place.start)
                for at, workload in enumerate(workloads):
                    if place.start < content or start <= workload.place.start < end:
                        found[at] = facts.over(found[at])
            else:
                own.setdefault(index, []).append((place, facts))
        for index, said in own.items():
            if workloads[index].script is None:
                found[index] = self._agreed(said).over(found[index])
            else:
                # A script's commands cannot be told apart: what is said of all of them stands beside what is said of one.
                found[index] = self._agreed([(said[0][0], found[index]), *said])
        return found

    def _block(self, place: Place, workloads: Sequence[Workload]) -> int | None:
        """Return which workload a comment belongs to; None: all of its document."""
        source = self.file.source
        start, end = _document(self.file, place.start)
        starts = [each.place.start if start <= each.place.start < end else -1 for each in workloads]
        inside = [at for at, offset in enumerate(starts) if offset >= 0]
        # The line that follows, and the one after it: a block may start behind its key.
        following = source.position(min(_behind(source.text, place.end), len(source.text)))[0]
        above = [at for at in inside if starts[at] > place.end and source.position(starts[at])[0] <= following + 1]
        before = [at for at in inside if starts[at] <= place.end or source.position(starts[at])[0] == place.line]
        alone = not source.line(place.line)[: place.column - 1].strip()
        line = source.line(following)
        outside = place.column - 1 <= len(line) - len(line.lstrip())
        if alone and above and (outside if before else place.column > 1):
            return above[0]
        return before[-1] if before else inside[0] if len(inside) == 1 else None

    def _agreed(self, said: Sequence[tuple[Place, Facts]]) -> Facts:
        """Return the facts of one block's comments; of those that contradict each other none counts."""
        found = Facts()
        refused: set[str] = set()
        for place, facts in said:
            for name in _FACTS:
                new, old = getattr(facts, name), getattr(found, name)
                if new is not None and old not in (None, new):
                    refused.add(name)
                    self.bad.append(
                        (place, f"{name}={new} contradicts {name}={old} of the same command's text; neither counts")
                    )
            found = facts.over(found)
        return _without(found, refused)


def _without(facts: Facts, names: set[str]) -> Facts:
    return Facts(**{name: getattr(facts, name) for name in _FACTS if name not in names})


def _document(file: File, offset: int) -> tuple[int, int]:
    """Return the stretch of the document that a place of a stream is in; all of the file for others."""
    for document in file.documents:
        place = document.place
        if place.source is file.source and place.start <= offset < place.end:
            return place.start, place.end
    return 0, len(file.source.text) + 1


def _behind(text: str, offset: int) -> int:
    """Return where the first line with content behind an offset starts."""
    match = _NO_CONTENT.match(text, offset)
    return match.end() if match is not None else offset


def read_comments(file: File) -> Comments:
    """Return the comments of a file that are for kvplan."""
    found = Comments(file)
    text = file.source.text
    if "kvplan" not in text.lower():
        return found
    for number, match in enumerate(_COMMENT.finditer(text)):
        place = Place(file.source, match.start(), match.end())
        if number == _MOST:
            found.bad.append((place, f"only {_MOST:,} comments of a file are read"))
            break
        said = match[1].removesuffix("-->").strip()
        ignore = _IGNORE.fullmatch(said)
        if ignore is None:
            _facts(found, place, said)
        else:
            _suppress(found, place, ignore[2], ignore[3], _lines(file, place, whole=ignore[1].lower() == "ignore-file"))
    for number, match in enumerate(_ANNOTATION.finditer(text)):
        if number == _MOST:
            break
        codes, _, reason = _value(match[2], match[1]).partition(":")
        place = Place(file.source, match.start(), match.end())
        _suppress(found, place, codes, reason, _document_lines(file, match.start()))
    return found


def _value(written: str, quote: str) -> str:
    """Return a value of YAML up to its closing quote, or what ends it without one."""
    if quote:
        return written.partition(quote)[0]
    return re.split(r"[ \t]#|[}\]]", written, maxsplit=1)[0]


def _lines(file: File, place: Place, *, whole: bool) -> Sequence[int] | None:
    """Return the lines that a comment is for: its own; where it stands alone also the next one with content."""
    if whole:
        return None
    source = file.source
    if source.line(place.line)[: place.column - 1].strip():
        return (place.line,)
    start = _behind(source.text, min(place.end + 1, len(source.text)))
    return range(place.line, source.position(min(start, len(source.text)))[0] + 1)


def _document_lines(file: File, offset: int) -> Sequence[int]:
    start, end = _document(file, offset)
    source = file.source
    return range(source.position(start)[0], source.position(min(end, len(source.text)))[0] + 1)


def _suppress(found: Comments, place: Place, listed: str, reason: str, lines: Sequence[int] | None) -> None:
    names = [name.strip().upper() for name in listed.split(",") if name.strip()]
    known = tuple(name for name in names if _CODE.fullmatch(name))
    found.bad += [
        (place, f"{name[:40]!r} is no rule's code; they look like KVP103") for name in names if name not in known
    ]
    if not names:
        found.bad.append((place, "no rule is named; write ignore[KVP103] and why"))
    if known:
        found.suppressions.append(Suppression(known, reason.strip(), place, lines))


def _facts(found: Comments, place: Place, said: str) -> None:
    try:
        words = shlex.split(said)
    except ValueError:
        words = said.split()
    values: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in _FACTS or not value:
            known = ", ".join(_FACTS)
            found.bad.append(
                (place, f"{word[:40]!r} is nothing that kvplan knows; it knows {known} (gpu=L4) and ignore[CODE]")
            )
            return
        try:
            values[name] = _read(name, value)
        except KvplanError as error:
            found.bad.append((place, f"{word[:40]!r}: {error.message.rstrip('.')}"))
            return
    if values:
        found.facts.append((place, Facts(**values)))


def _read(name: str, value: str) -> Any:
    """Return a fact's value.

    Raises:
        KvplanError: it is none, or one that only who starts kvplan may give.

    """
    if name == "users":
        if not (value.isascii() and value.isdecimal() and 0 < len(value) < 10 and int(value)):
            raise SettingError("a whole number was expected")
        return int(value)
    if name == "context":
        return parse_tokens(value)
    if name == "model" and (names_a_path(value) or os.path.exists(value)):  # noqa: PTH110  Path's raises for long names
        raise SettingError(f"comments name no files: give {value[:80]} by --model-map")
    if name == "gpu" and value.strip().lower() == "auto":
        raise SettingError("a file runs on other machines than this one")
    if name in ("gpu", "engine"):
        check_facts(Facts(**{name: value}))  # type: ignore[arg-type]  # both are texts
    return value
