"""For a job's summary and for comments on pull requests: the engines as a table, each finding to be opened."""

from collections.abc import Iterator

from kvplan.report.check import full, words
from kvplan.report.check.patch import patch
from kvplan.report.check.safe import fenced, log, markdown
from kvplan.rules.finding import Checked, Finding

NAME = "markdown"
# GitHub takes 65,536 characters in a comment.
_MOST = 60_000
_HEAD = "| | where | engine | model | GPU | verdict | requests |\n|---|---|---|---|---|---|--:|"
_SIGNS = {"fits": "✅", "tight": "⚠️", "does_not_fit": "❌", "unknown": "❔"}
_SEVERITIES = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001  the sign for information


def render(checked: Checked, **_: object) -> str:
    """Return the page, as much of it as a comment may hold."""
    units = words.units_of(checked)
    rows = [
        f"| {_SIGNS[unit.verdict]} | {markdown(words.where(unit))} | {markdown(words.engine(unit))} "
        f"| {markdown(words.model(unit))} | {markdown(words.gpu(unit))} "
        f"| {markdown(words.because(unit) if unit.verdict == 'unknown' else words.VERDICTS[unit.verdict])} "
        f"| {markdown(words.holds(unit))} |"
        for unit in units
    ]
    end = "\n\n".join([*map(markdown, checked.reasons), f"**{markdown(words.summary(checked))}**"])
    room = _MOST - len(end)
    table, left = _within(rows, room // 2)
    parts = [_HEAD + "\n" + "\n".join(table)] if table else []
    parts += [f"… and {left} more engines"] if left else []
    details, left = _within(["\n".join(_details(finding)) for finding in checked.open], room - sum(map(len, parts)))
    parts += details
    parts += [f"… and {left} more findings: `kvplan check` prints them all"] if left else []
    return log("\n\n".join(["### kvplan check", *parts, end]) + "\n")


def _within(texts: list[str], room: int) -> tuple[list[str], int]:
    """Return the first texts that there is room for, and how many are left."""
    kept = []
    for text in texts:
        room -= len(text) + 2
        if room < 0:
            break
        kept.append(text)
    return kept, len(texts) - len(kept)


def _details(finding: Finding) -> Iterator[str]:
    place = finding.place
    where = markdown(f"{place.path}:{place.line}:{place.column}")
    head = f"{_SEVERITIES[finding.severity]} {markdown(finding.code)} {where}"
    yield f"<details><summary>{head}: {markdown(finding.message)}</summary>\n"
    yield fenced(full.text(finding), "text")
    fix = words.edited(finding)
    if fix is not None and (change := patch(fix)):
        yield f"\n{markdown(fix.change)}:\n"
        yield fenced(change, "diff")
    yield "\n</details>"
