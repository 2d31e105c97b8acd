"""One line for each finding and for each engine, for grep and for editors."""

from kvplan.report.check import words
from kvplan.report.check.safe import line, log
from kvplan.rules.finding import Checked

NAME = "concise"


def render(checked: Checked, **_: object) -> str:
    """Return the lines: findings, engines, the sums."""
    shown = [
        f"{line(finding.place.path)}:{finding.place.line}:{finding.place.column}: "
        f"{line(finding.code)} {finding.severity}: {line(finding.message)}"
        for finding in checked.open
    ]
    units = words.units_of(checked)
    shown += [f"{words.where(unit)}:{unit.place.column}: {words.unit_line(unit)}" for unit in units]
    shown += [*map(line, checked.reasons), words.summary(checked)]
    return log("\n".join(shown) + "\n")
