"""A finding: a rule that a deployment file breaks, where, why, and what to change."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kvplan.launch.text import Place

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Label:
    """Another place that decided, and what it says there."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of a file and what is to stand there instead; an empty stretch is where something is put in."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change that settles a finding.

    Attributes:
        change: in words, by the engine's own flags (`--max-model-len 32768`).
        effect: what it brings.
        edits: that make it in the file, in the order of their places; empty where none can be written.

    """

    change: str
    effect: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that is broken.

    Attributes:
        code: of the rule, `KVP102`.
        severity: after the configuration's say.
        message: one sentence with the figures.
        place: what is underlined.
        subject: the unit's name, or "" for findings of a whole file.
        here: what is written under the underlined words; "" for nothing.
        labels: other places that decided it.
        notes: the arithmetic, one line each.
        fixes: the smallest changes that settle it, most useful first.
        identity: what stays the same when lines move: a rule's arguments that tell this finding from others of the unit.
        suppressed: why it does not count: "" where it does; the words beside `ignore[...]`, or `baseline`.

    """

    code: str
    severity: Severity
    message: str
    place: Place
    subject: str = ""
    here: str = ""
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    identity: tuple[str, ...] = ()
    suppressed: str = ""

    @property
    def fingerprint(self) -> str:
        """A name for it that stays when lines move: of its rule, file, unit and arguments."""
        parts = (self.code, self.place.path, self.subject, *self.identity)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(slots=True)
class Counts:
    """The summary of a check."""

    files: int = 0
    units: int = 0
    fits: int = 0
    tight: int = 0
    does_not_fit: int = 0
    unknown: int = 0
    errors: int = 0
    warnings: int = 0
    suppressed: int = 0


@dataclass(slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        units: the engines, in the order of files and lines.
        findings: in the same order, suppressed ones included.
        files: how many were read.
        reasons: words for the summary (`2 files are binary and were passed over`).
        exit_code: 0 or 1.

    """

    units: list[Any] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    reasons: list[str] = field(default_factory=list)
    exit_code: int = 0

    @property
    def open(self) -> Sequence[Finding]:
        """The findings that are not suppressed."""
        return [finding for finding in self.findings if not finding.suppressed]

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's document, exactly what --json prints."""
        from kvplan.report.check.json import document  # noqa: PLC0415  what is found does not depend on how it is said

        return document(self)

    @property
    def counts(self) -> Counts:
        """How many of each."""
        verdicts = [unit.verdict for unit in self.units]
        return Counts(
            files=self.files,
            units=len(self.units),
            fits=verdicts.count("fits"),
            tight=verdicts.count("tight"),
            does_not_fit=verdicts.count("does_not_fit"),
            unknown=verdicts.count("unknown"),
            errors=sum(finding.severity == "error" for finding in self.open),
            warnings=sum(finding.severity == "warning" for finding in self.open),
            suppressed=len(self.findings) - len(self.open),
        )
