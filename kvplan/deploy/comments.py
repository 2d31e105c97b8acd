"""What comments in a file tell kvplan: facts that the file cannot state (`# kvplan: gpu=L4 users=32`), and findings to leave out."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from kvplan.deploy.file import File
from kvplan.deploy.outside import Facts
from kvplan.deploy.workload import Workload
from kvplan.errors import KvplanError
from kvplan.launch.text import Place
from kvplan.units import parse_tokens

_COMMENT = re.compile(r"(?:#|//|<!--)[ \t]*kvplan:[ \t]*([^\r\n]*)", re.IGNORECASE)
_ANNOTATION = re.compile(r"""kvplan\.dev/ignore["']?[ \t]*:[ \t]*["']?(KVP[^\r\n"']*)""")
_IGNORE = re.compile(r"(ignore|ignore-file)\[([^\]]*)\][ \t:]*(.*)", re.IGNORECASE)
_CODE = re.compile(r"KVP\d{3}")
_FACTS = ("gpu", "engine", "model", "users", "context")


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
    lines: tuple[int, ...] | None
    used: bool = False


@dataclass(slots=True)
class Comments:
    """The comments of a file.

    Attributes:
        suppressions: in their order.
        facts: each with the place of its comment.
        bad: comments that mean nothing, and why.

    """

    suppressions: list[Suppression] = field(default_factory=list)
    facts: list[tuple[Place, Facts]] = field(default_factory=list)
    bad: list[tuple[Place, str]] = field(default_factory=list)

    def facts_for(self, file: File, workload: Workload, workloads: Sequence[Workload]) -> Facts:
        """Return what the comments say of a workload: those before it, else behind it, in its own document."""
        start, end = _document(file, workload.place.start)
        own = [workload for workload in workloads if start <= workload.place.start < end]
        found = Facts()
        for place, facts in self.facts:
            at_top = not any(line.strip() and not line.lstrip().startswith("#") for line in file.source.text[: place.start].splitlines()[:-1])
            inside = start <= place.start < end
            before = inside and place.start <= workload.place.start
            only_one = inside and len(own) == 1
            last = inside and not before and all(other.place.start <= workload.place.start for other in own)
            if at_top or before or only_one or last:
                found = facts.over(found)
        return found


def _document(file: File, offset: int) -> tuple[int, int]:
    """Return the stretch of the document that a place of a stream is in; all of the file for others."""
    for document in file.documents:
        if document.place.source is file.source and document.place.start <= offset < document.place.end:
            return document.place.start, document.place.end
    return 0, len(file.source.text) + 1


def read_comments(file: File) -> Comments:
    """Return the comments of a file that are for kvplan."""
    found = Comments()
    text = file.source.text
    if "kvplan" not in text:
        return found
    for match in _COMMENT.finditer(text):
        place = Place(file.source, match.start(), match.end())
        said = match[1].removesuffix("-->").strip()
        ignore = _IGNORE.fullmatch(said)
        if ignore is not None:
            _suppress(found, place, ignore, alone=_alone(file, match.start()))
        else:
            _facts(found, place, said)
    for match in _ANNOTATION.finditer(text):
        place = Place(file.source, match.start(), match.end())
        codes, _, reason = match[1].partition(":")
        found.suppressions.append(Suppression(tuple(_CODE.findall(codes)), reason.strip(), place, None))
    return found


def _alone(file: File, offset: int) -> bool:
    """Whether a comment has a line of its own."""
    line, column = file.source.position(offset)
    return not file.source.line(line)[: column - 1].strip()


def _suppress(found: Comments, place: Place, match: re.Match[str], *, alone: bool) -> None:
    how, listed, reason = match.groups()
    names = [name.strip().upper() for name in listed.split(",") if name.strip()]
    known = tuple(name for name in names if _CODE.fullmatch(name))
    for name in names:
        if name not in known:
            found.bad.append((place, f"{name[:40]!r} is no rule's code; they look like KVP103"))
    if not names:
        found.bad.append((place, "ignore[] names no rule; write ignore[KVP103] and why"))
    if known:
        lines = None if how.lower() == "ignore-file" else (place.line, place.line + 1) if alone else (place.line,)
        found.suppressions.append(Suppression(known, reason.strip(), place, lines))


def _facts(found: Comments, place: Place, said: str) -> None:
    try:
        words = shlex.split(said)
    except ValueError:
        words = said.split()
    values: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in _FACTS or not value:
            found.bad.append((place, f"{word[:40]!r} is nothing that kvplan knows; it knows {', '.join(_FACTS)} (gpu=L4) and ignore[CODE]"))
            return
        try:
            values[name] = int(value) if name == "users" else parse_tokens(value, name="context") if name == "context" else value
        except (ValueError, KvplanError):
            found.bad.append((place, f"{word[:40]!r}: a whole number was expected"))
            return
    if values:
        found.facts.append((place, Facts(**values)))  # type: ignore[arg-type]  # each of its own kind, see above


