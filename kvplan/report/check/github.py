"""Workflow commands: findings as annotations on the lines of a pull request (GitHub, Gitea)."""

from collections.abc import Mapping

from kvplan.report.check import words
from kvplan.report.check.safe import commandless, github_data, github_property, line, log
from kvplan.rules.finding import Checked, Finding
from kvplan.rules.rule import Rule

NAME = "github"
_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(checked: Checked, *, rules: Mapping[str, Rule], **_: object) -> str:
    """Return a command for each finding, and the sums for the log: GitHub shows ten annotations of a kind."""
    shown = [commandless(_command(finding, rules.get(finding.code))) for finding in checked.open]
    shown += [log(line(reason)) for reason in checked.reasons]
    return "\n".join([*shown, words.summary(checked)]) + "\n"


def _command(finding: Finding, rule: Rule | None) -> str:
    place = finding.place
    title = f"{finding.code} {rule.name}" if rule is not None else finding.code
    properties = {"file": line(place.path), "line": str(place.line), "endLine": str(place.end_line)}
    if place.line == place.end_line:
        # GitHub takes columns only on one line.
        properties |= {"col": str(place.column), "endColumn": str(place.end_column)}
    properties["title"] = line(title)
    said = ",".join(f"{name}={github_property(value)}" for name, value in properties.items())
    text = [line(finding.message), *map(line, finding.notes), *(f"fix: {words.fix_line(fix)}" for fix in finding.fixes)]
    return f"::{_COMMANDS[finding.severity]} {said}::{github_data(chr(10).join(text))}"
