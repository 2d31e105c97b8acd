"""SARIF 2.1.0 (OASIS), as GitHub's code scanning reads it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from kvplan.launch.text import Place
from kvplan.report.check import safe, words
from kvplan.report.check.patch import edits_of
from kvplan.rules.edits import by_file
from kvplan.rules.finding import Checked, Finding, Fix
from kvplan.rules.rule import Rule

NAME = "sarif"
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# The name that GitHub knows for the root of the checkout; which folder that is, is nobody's business.
_ROOT = "%SRCROOT%"
_FINGERPRINT = "kvplan/v1"
_BASELINE = "baseline"


def render(checked: Checked, *, rules: Mapping[str, Rule], **_: object) -> str:
    """Return the log of one run."""
    return safe.json(document(checked, rules))


def document(checked: Checked, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return the log's values; of the rules it holds those that were broken."""
    codes = sorted({finding.code for finding in checked.findings})
    invocation: dict[str, Any] = {"executionSuccessful": True, "exitCode": checked.exit_code}
    notes = [
        *checked.reasons,
        *(f"{words.where(u)}: {words.because(u)}" for u in words.units_of(checked) if u.verdict == "unknown"),
    ]
    if notes:
        invocation["toolExecutionNotifications"] = [{"level": "note", "message": _message(note)} for note in notes]
    driver: dict[str, Any] = {"name": "kvplan", "rules": [_rule(code, rules.get(code)) for code in codes]}
    driver |= _about()
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that kvplan was started in."}}},
        "invocations": [invocation],
        "results": [_result(finding, codes.index(finding.code)) for finding in checked.findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


@cache
def _about() -> dict[str, str]:
    """Return the version and the project's page, as the package's metadata say; nothing where it is not installed."""
    from importlib import metadata  # noqa: PLC0415  only for this format

    try:
        package = metadata.metadata("kvplan")
    except metadata.PackageNotFoundError:
        return {}
    page = _documentation()
    return {"semanticVersion": package["Version"]} | ({"informationUri": page} if page else {})


@cache
def _documentation() -> str:
    """Return where the documentation stands; empty where the package's metadata do not say."""
    from importlib import metadata  # noqa: PLC0415  only for this format

    try:
        urls = metadata.metadata("kvplan").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    pages = dict(entry.split(", ", 1) for entry in urls if ", " in entry)
    return str(pages.get("Documentation", ""))


def _rule(code: str, rule: Rule | None) -> dict[str, Any]:
    if rule is None:
        return {"id": code}
    page = _documentation()
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.what or rule.summary},
        "help": {"text": f"{rule.summary}\n\n{rule.why}\n\nFix: {rule.fix}", "markdown": rule.markdown},
        **({"helpUri": f"{page.rstrip('/')}/rules/{code}"} if page else {}),
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    notes = "".join(f"\n{safe.line(note)}" for note in finding.notes)
    changes = "".join(f"\nFix: {words.fix_line(fix)}" for fix in finding.fixes)
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": _message(finding.message, notes + changes),
        "locations": [_location(finding.place, finding.here)],
        "partialFingerprints": {_FINGERPRINT: finding.fingerprint},
    }
    if finding.labels:
        result["relatedLocations"] = [
            {"id": number, **_location(label.place, label.text)} for number, label in enumerate(finding.labels, 1)
        ]
    if fixes := [_fix(fix) for fix in finding.fixes if edits_of(fix)]:
        result["fixes"] = fixes
    if finding.suppressed:
        kind = "external" if finding.suppressed == _BASELINE else "inSource"
        result["suppressions"] = [{"kind": kind, "justification": safe.line(finding.suppressed)}]
    return result


def _message(text: str, more: str = "") -> dict[str, str]:
    """Return a message in which nothing is a link (`[text](target)`)."""
    return {"text": f"{safe.line(text)}{more}".replace("](", "] (")}


def _location(place: Place, text: str) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": _artifact(place.path), "region": _region(place)}
    }
    return location | {"message": _message(text)} if text else location


def _artifact(path: str) -> dict[str, str]:
    reference = safe.uri(path)
    return {"uri": reference} if reference.startswith("file:") else {"uri": reference, "uriBaseId": _ROOT}


def _region(place: Place) -> dict[str, int]:
    """Return a stretch, its columns in UTF-16 code units."""
    source, line, last = place.source, place.line, place.end_line
    return {
        "startLine": line,
        "startColumn": safe.utf16(source.line(line)[: place.column - 1]) + 1,
        "endLine": last,
        "endColumn": safe.utf16(source.line(last)[: place.end_column - 1]) + 1,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "description": _message(words.fix_line(fix)),
        "artifactChanges": [
            {
                "artifactLocation": _artifact(source.path),
                "replacements": [
                    {"deletedRegion": _region(edit.place), "insertedContent": {"text": edit.text}} for edit in edits
                ],
            }
            for source, edits in by_file(fix.edits).items()
        ],
    }
