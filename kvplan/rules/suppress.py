"""Which findings count: selected rules, severities, suppressions in files, a baseline of what was there before."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kvplan.deploy.comments import Comments, Suppression
from kvplan.errors import SettingError
from kvplan.launch.text import Place
from kvplan.rules.catalogue import rules
from kvplan.rules.finding import Finding, Severity
from kvplan.rules.make import finding

SCHEMA = "kvplan.baseline/1"
# Why a finding is left out that was there before.
BASELINE = "baseline"
_LARGEST = 50_000_000
# Found only where a revision is compared with.
_WITH_A_REVISION = frozenset({"KVP120", "KVP121"})


def check_codes(codes: Iterable[str], option: str) -> tuple[str, ...]:
    """Return codes or beginnings of codes (`KVP1`), checked.

    Raises:
        SettingError: one that no rule's code begins with.

    """
    found = tuple(part.strip().upper() for code in codes for part in code.split(",") if part.strip())
    for code in found:
        if code != "ALL" and not any(known.startswith(code) for known in rules()):
            raise SettingError(
                f"{option} {code[:40]!r} is no rule's code nor the beginning of one.", hint="`kvplan rule` lists them."
            )
    return found


def chosen(
    findings: Iterable[Finding], select: Sequence[str], ignore: Sequence[str], severity: Mapping[str, Severity]
) -> list[Finding]:
    """Return the findings of the rules that are selected and not ignored, with the severities that are set."""
    found = []
    for each in findings:
        if (select and not _begin(select, each.code)) or _begin(ignore, each.code):
            continue
        set_for = _begin(severity, each.code)
        found.append(replace(each, severity=severity[max(set_for, key=len)]) if set_for else each)
    return found


def _begin(codes: Iterable[str], code: str) -> list[str]:
    """Return those of some codes that a rule's code begins with."""
    return [each for each in codes if code.startswith(each) or each == "ALL"]


def suppressed(findings: Iterable[Finding], comments: Comments, units: Mapping[str, Place]) -> list[Finding]:
    """Return the findings of one file, those marked that its comments leave out.

    Args:
        findings: of the file.
        comments: of the file.
        units: where each unit starts, by its name: a comment above a command of many lines is for all of it.

    """
    found = []
    for each in findings:
        places = [each.place, *(label.place for label in each.labels)]
        places += [units[each.subject]] if each.subject in units else []
        lines = {place.line for place in places if place.source is comments.file.source}
        by = next((one for one in comments.suppressions if each.code in one.codes and _holds(one, lines)), None)
        if by is not None:
            by.used = True
        found.append(each if by is None else replace(each, suppressed=_why(by)))
    return found


def _holds(suppression: Suppression, lines: Iterable[int]) -> bool:
    return suppression.lines is None or any(line in suppression.lines for line in lines)


def _why(suppression: Suppression) -> str:
    """Return a reason that is not taken for a baseline's."""
    return f"{suppression.reason}." if suppression.reason == BASELINE else suppression.reason or "no reason given"


def about_comments(comments: Comments) -> list[Finding]:
    """Return what is wrong with the comments themselves: unused, without a reason, meaning nothing."""
    found = []
    for each in comments.suppressions:
        codes = ", ".join(each.codes)
        if not each.used and not _WITH_A_REVISION.intersection(each.codes):
            message = f"nothing here breaks {codes}: the suppression can go."
            found.append(finding("KVP090", None, each.place, message, identity=(codes,)))
        elif each.used and not each.reason:
            message = f"the suppression of {codes} gives no reason."
            found.append(finding("KVP091", None, each.place, message, identity=(codes,)))
    found += [finding("KVP092", None, place, f"{why}.", identity=(why,)) for place, why in comments.bad]
    return found


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints of a baseline.

    Raises:
        SettingError: it cannot be read or is none.

    """
    make = f"kvplan check --write-baseline {path}"
    try:
        content = json.loads(_content(path).decode("utf-8"))
        entries = content["findings"] if content["schema"] == SCHEMA else [{}]
        return frozenset(str(entry["fingerprint"]) for entry in entries)
    except OSError as error:
        raise SettingError(f"The baseline {path} cannot be read: {error.strerror}.", hint=f"Make it: {make}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingError(f"{path} is no baseline of kvplan.", hint=f"Make it anew: {make}") from error


def _content(path: Path) -> bytes:
    """Return a file's bytes, not too many; none of a pipe or device."""
    if path.exists() and not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(_LARGEST)


def write_baseline(findings: Iterable[Finding]) -> str:
    """Return a baseline of the findings that count, by fingerprints, so that it holds when lines move."""
    entries = [
        {
            "fingerprint": each.fingerprint,
            "code": each.code,
            "path": each.place.path,
            "subject": each.subject,
            "message": each.message,
        }
        for each in sorted(findings, key=lambda each: (each.place.path, each.code, each.fingerprint))
        if each.suppressed in ("", BASELINE)
    ]
    return json.dumps({"schema": SCHEMA, "findings": entries}, indent=2, ensure_ascii=True) + "\n"


def without_known(findings: Iterable[Finding], baseline: frozenset[str]) -> list[Finding]:
    """Return the findings, those marked that a baseline holds."""
    return [
        replace(each, suppressed=BASELINE) if not each.suppressed and each.fingerprint in baseline else each
        for each in findings
    ]
