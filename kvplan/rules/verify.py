"""Fixes are tried before they are offered: a file that is edited so must be free of the finding, and no worse otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kvplan.deploy.unit import Unit
from kvplan.launch.text import Source
from kvplan.rules.edits import apply, together
from kvplan.rules.finding import Finding, Fix

# Files are checked again for so many fixes alone, where those of several units cannot be tried at once.
_MOST_ALONE = 20

Check = Callable[[str], tuple[Sequence[Unit], Sequence[Finding]]]


class _Try(NamedTuple):
    finding: Finding
    fix: Fix


def verified(source: Source, units: Sequence[Unit], findings: Sequence[Finding], check: Check) -> list[Finding]:
    """Return the findings, their fixes with edits only where those settle them.

    Args:
        source: the file.
        units: of it.
        findings: of it.
        check: returns the units and findings of the file with another text.

    """
    trial = _Trial(source, units, findings, check)
    good = {id(fix) for batch in _batches(source, findings) for fix in trial.settle(batch)}
    return [
        replace(
            each, fixes=tuple(fix if not fix.edits or id(fix) in good else replace(fix, edits=()) for fix in each.fixes)
        )
        if each.fixes
        else each
        for each in findings
    ]


def _batches(source: Source, findings: Sequence[Finding]) -> list[list[_Try]]:
    """Return the fixes in batches that hold one of each unit: what they change is told apart by the unit."""
    batches: list[list[_Try]] = []
    seen: dict[str, int] = {}
    for each in findings:
        for fix in each.fixes:
            if not fix.edits or any(edit.place.source is not source for edit in fix.edits):
                continue
            number = seen[each.subject] = seen.get(each.subject, -1) + 1
            if number == len(batches):
                batches.append([])
            batches[number].append(_Try(each, fix))
    return batches


@dataclass(slots=True)
class _Trial:
    """A file, what is wrong with it, and how often it may be checked again for one fix alone."""

    source: Source
    units: Sequence[Unit]
    findings: Sequence[Finding]
    check: Check
    left: int = _MOST_ALONE

    def settle(self, batch: Sequence[_Try]) -> list[Fix]:
        """Return the fixes of a batch that settle their findings, tried at once; where that goes wrong, one by one."""
        fitting = {id(fix) for fix in together(one.fix for one in batch)}
        at_once = [one for one in batch if id(one.fix) in fitting]
        alone = [one for one in batch if id(one.fix) not in fitting]
        found = self._settled(at_once)
        if found is None:
            found, alone = [], list(batch) if len(batch) > 1 else []
        for one in alone:
            self.left -= 1
            if self.left >= 0:
                found += self._settled([one]) or []
        return found

    def _settled(self, batch: Sequence[_Try]) -> list[Fix] | None:
        """Return the fixes that settle their findings; None where an edit reaches beyond its unit."""
        edits = [edit for one in batch for edit in dict.fromkeys(one.fix.edits)]
        units, after = self.check(apply(self.source.text, dict.fromkeys(edits)))
        known = {unit.name for unit in units if unit.verdict != "unknown"}
        lost = {unit.name for unit in self.units if unit.verdict != "unknown"} - known
        errors = {(each.code, each.subject) for each in self.findings if each.severity == "error"}
        worse = {each.subject for each in after if each.severity == "error" and (each.code, each.subject) not in errors}
        subjects = {one.finding.subject for one in batch}
        if len(units) != len(self.units) or (lost | worse) - subjects:
            return None
        still = {(each.code, each.subject) for each in after}
        bad = lost | worse
        return [
            one.fix
            for one in batch
            if one.finding.subject not in bad and (one.finding.code, one.finding.subject) not in still
        ]
