"""How findings are made: a rule's code gives the severity."""

from typing import Any

from kvplan.deploy.plans import Planned
from kvplan.launch.text import Place
from kvplan.rules.catalogue import rules
from kvplan.rules.finding import Finding


def finding(code: str, planned: Planned | None, place: Place, message: str, **parts: Any) -> Finding:
    """Return a finding of a rule.

    Args:
        code: of the rule.
        planned: the unit that it is about; None: the file.
        place: what is underlined.
        message: one sentence.
        parts: the rest of a Finding, by name.

    """
    subject = parts.pop("subject", "" if planned is None else planned.unit.name)
    severity = parts.pop("severity", None) or rules()[code].severity
    return Finding(code=code, severity=severity, message=message, place=place, subject=subject, **parts)
