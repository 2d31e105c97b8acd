"""GitLab's code quality report."""

import hashlib
from collections import Counter
from typing import Any

from kvplan.report.check import safe
from kvplan.rules.finding import Checked, Finding

NAME = "gitlab"
_SEVERITIES = {"error": "critical", "warning": "minor", "note": "info"}


def render(checked: Checked, **_: object) -> str:
    """Return the report: the findings that count."""
    seen: Counter[str] = Counter()
    entries = []
    for finding in checked.open:
        entries.append(_entry(finding, seen[finding.fingerprint]))
        seen[finding.fingerprint] += 1
    return safe.json(entries)


def _entry(finding: Finding, before: int) -> dict[str, Any]:
    name = finding.fingerprint
    return {
        "description": safe.line(finding.message),
        "check_name": finding.code,
        # GitLab drops entries whose fingerprint it has seen.
        "fingerprint": hashlib.sha256(f"{name}/{before}".encode()).hexdigest()[:32] if before else name,
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": finding.place.path.removeprefix("./"), "lines": {"begin": finding.place.line}},
    }
