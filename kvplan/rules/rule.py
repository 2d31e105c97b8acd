"""A rule: its code, its weight, and the texts that explain it."""

from dataclasses import dataclass

from kvplan.rules.finding import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as `kvplan rule CODE` explains it.

    Attributes:
        code: for ever the same, `KVP102`.
        name: in words with dashes, `cache-below-one-request`.
        severity: unless the configuration says otherwise.
        summary: one line.
        what: it looks at.
        why: that matters.
        example: a snippet of a file that breaks it.
        fix: what to change.
        formula_and_source: how it is worked out, and where that is from.
        since: the version of kvplan that brought it.

    """

    code: str
    name: str
    severity: Severity
    summary: str
    what: str
    why: str
    example: str
    fix: str
    formula_and_source: str
    since: str

    @property
    def markdown(self) -> str:
        """The explanation under its headings."""
        longest = max((len(run) for run in "".join(c if c == "`" else " " for c in self.example).split()), default=0)
        fence = "`" * max(3, longest + 1)
        parts = (
            ("What it checks", self.what),
            ("Why it matters", self.why),
            ("Example", self.example and f"{fence}\n{self.example.rstrip()}\n{fence}"),
            ("Fix", self.fix),
            ("Formula and source", self.formula_and_source),
            ("Since", self.since),
        )
        sections = [f"## {title}\n\n{text.strip()}\n" for title, text in parts if text]
        return "\n".join([f"# {self.name} ({self.code})\n", f"{self.summary}\n", *sections])
