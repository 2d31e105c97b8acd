"""Which findings count: selected rules, severities, suppressions in files, a baseline of what was there before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kvplan.deploy.comments import Comments
from kvplan.errors import SettingError
from kvplan.rules.catalogue import rules
from kvplan.rules.finding import Finding, Severity
from kvplan.rules.make import finding

SCHEMA = "kvplan.baseline/1"
_LARGEST = 50_000_000


def check_codes(codes: Sequence[str], option: str) -> tuple[str, ...]:
    """Return codes or beginnings of codes (`KVP1`), checked.

    Raises:
        SettingError: one that no rule's code begins with.

    """
    found = tuple(part.strip().upper() for code in codes for part in code.split(",") if part.strip())
    for code in found:
        if code != "ALL" and not any(known.startswith(code) for known in rules()):
            raise SettingError(f"{option} {code[:40]!r} is no rule's code nor the beginning of one.", hint="`kvplan rule` lists them.")
    return found


def chosen(findings: Sequence[Finding], select: Sequence[str], ignore: Sequence[str], severity: Mapping[str, Severity]) -> list[Finding]:
    """Return the findings of the rules that are selected and not ignored, with the severities that are set."""
    found = []
    for each in findings:
        if select and not any(code == "ALL" or each.code.startswith(code) for code in select):
            continue
        if any(each.code.startswith(code) for code in ignore):
            continue
        found.append(replace(each, severity=severity[each.code]) if each.code in severity else each)
    return found


def suppressed(findings: Sequence[Finding], comments: Comments) -> list[Finding]:
    """Return the findings of one file, those marked that its comments leave out."""
    found = []
    for each in findings:
        for suppression in comments.suppressions:
            lines = suppression.lines
            if each.code not in suppression.codes:
                continue
            if lines is not None and each.place.line not in lines and not any(label.place.line in lines for label in each.labels):
                continue
            suppression.used = True
            each = replace(each, suppressed=suppression.reason or "no reason given")  # noqa: PLW2901  the same, marked
            break
        found.append(each)
    return found


def about_comments(comments: Comments) -> list[Finding]:
    """Return what is wrong with the comments themselves: unused, without a reason, meaning nothing."""
    found = []
    for each in comments.suppressions:
        codes = ", ".join(each.codes)
        if not each.used:
            found.append(finding("KVP090", None, each.place, f"nothing here breaks {codes}: the suppression can go.", identity=(codes,)))
        elif not each.reason:
            found.append(finding("KVP091", None, each.place, f"the suppression of {codes} gives no reason.", identity=(codes,)))
    found += [finding("KVP092", None, place, f"{why}.", identity=(why,)) for place, why in comments.bad]
    return found


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints of a baseline.

    Raises:
        SettingError: it cannot be read or is none.

    """
    try:
        if path.stat().st_size > _LARGEST:
            raise SettingError(f"{path} is too large to be a baseline.")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError
        return frozenset(str(entry["fingerprint"]) for entry in content["findings"])
    except OSError as error:
        raise SettingError(f"The baseline {path} cannot be read: {error.strerror}.", hint=f"Make it: kvplan check --write-baseline {path}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingError(f"{path} is no baseline of kvplan.", hint=f"Make it anew: kvplan check --write-baseline {path}") from error


def write_baseline(findings: Sequence[Finding]) -> str:
    """Return a baseline of the findings that count: by fingerprints, so that it holds when lines move."""
    entries = [
        {"fingerprint": each.fingerprint, "code": each.code, "path": each.place.path, "subject": each.subject, "message": each.message}
        for each in sorted(findings, key=lambda each: (each.place.path, each.code, each.fingerprint))
        if not each.suppressed
    ]
    return json.dumps({"schema": SCHEMA, "findings": entries}, indent=2, ensure_ascii=True) + "\n"


def without_known(findings: Sequence[Finding], baseline: frozenset[str]) -> list[Finding]:
    """Return the findings, those marked that a baseline holds."""
    return [replace(each, suppressed="baseline") if not each.suppressed and each.fingerprint in baseline else each for each in findings]
