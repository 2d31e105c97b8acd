"""The contract's document `kvplan.check/1`; `schema.json` beside this file is its JSON schema."""

from dataclasses import asdict
from typing import Any

from kvplan.deploy.unit import Input, Unit
from kvplan.launch.text import Place
from kvplan.report.check import safe, words
from kvplan.report.check.patch import edits_of
from kvplan.rules.finding import Checked, Edit, Finding

NAME = "json"
SCHEMA = "kvplan.check/1"


def render(checked: Checked, **_: object) -> str:
    """Return the document."""
    return safe.json(document(checked))


def document(checked: Checked) -> dict[str, Any]:
    """Return the document's values."""
    return {
        "schema": SCHEMA,
        "units": [_unit(unit) for unit in words.units_of(checked)],
        "findings": [_finding(finding) for finding in checked.findings],
        "summary": asdict(checked.counts),
    }


def _unit(unit: Unit) -> dict[str, Any]:
    return {
        "location": _start(unit.place),
        "format": unit.workload.format,
        "engine": unit.engine,
        "engine_version": unit.version,
        "verdict": unit.verdict,
        "margin_bytes": unit.margin_bytes,
        "plan": None if unit.plan is None else unit.plan.to_dict(),
        "inputs": {name: _input(given) for name, given in unit.inputs.items()},
    }


def _input(given: Input) -> dict[str, Any]:
    place = given.place or given.label
    return {"value": given.value, "origin": given.origin, "location": None if place is None else _start(place)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "location": _stretch(finding.place) | {"message": finding.here},
        "related": [_stretch(label.place) | {"message": label.text} for label in finding.labels],
        "remedies": [
            {"change": fix.change, "effect": fix.effect, "edits": [_edit(edit) for edit in edits_of(fix)]}
            for fix in finding.fixes
        ],
        "fingerprint": finding.fingerprint,
        "suppressed": finding.suppressed or None,
    }


def _edit(edit: Edit) -> dict[str, Any]:
    return _stretch(edit.place) | {"text": edit.text}


def _start(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line, "column": place.column}


def _stretch(place: Place) -> dict[str, Any]:
    return _start(place) | {"end_line": place.end_line, "end_column": place.end_column}
