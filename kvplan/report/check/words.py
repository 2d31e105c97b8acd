"""How units and sums are said, whatever the format."""

from typing import Any

from kvplan.deploy.unit import Unit
from kvplan.report.check.safe import line
from kvplan.rules.finding import Checked, Finding, Fix

VERDICTS = {"fits": "fits", "tight": "tight", "does_not_fit": "does not fit", "unknown": "unknown"}


def where(unit: Unit) -> str:
    """Return the file and the line."""
    return f"{line(unit.place.path)}:{unit.place.line}"


def engine(unit: Unit) -> str:
    """Return the engine and its version."""
    return " ".join(line(part) for part in (unit.engine or "?", unit.version) if part)


def model(unit: Unit) -> str:
    """Return the model."""
    return line(unit.plan.deployment.model.id if unit.plan is not None else _stated(unit, "model"))


def gpu(unit: Unit) -> str:
    """Return the GPUs, with how many where that is more than one."""
    plan = unit.plan
    if plan is not None and plan.deployment.group is not None:
        count, name = plan.deployment.parallel.gpus, plan.deployment.group.gpu.id
    else:
        count, name = _stated(unit, "gpu_count_requested"), _stated(unit, "gpu")
    many, called = line(count), line(name)
    alone = many == "1" or many == called == "?"
    return called if alone else f"{many} x {called}"


def holds(unit: Unit) -> str:
    """Return how many requests of what length the cache holds; a `?` stands for what is not known."""
    plan = unit.plan
    if plan is None:
        return "?"
    requests = plan.capacity.max_concurrency
    return f"{'?' if requests is None else f'{requests:,.1f}'} x {plan.request.context_tokens:,}"


def because(unit: Unit) -> str:
    """Return why nothing is known of a unit, and what would settle it."""
    said = [f"{line(each.what)} ({line(each.settle)})" if each.settle else line(each.what) for each in unit.open]
    if not said and unit.workload is not None and unit.workload.half:
        said = [f"the file holds only a part: {line(unit.workload.half)}"]
    if not said and unit.plan is not None:
        said = [line(reason) for reason in unit.plan.reasons]
    return f"unknown, because {'; '.join(said) or 'no plan could be made of it'}"


def _stated(unit: Unit, name: str) -> Any:
    given = unit.inputs.get(name)
    if given is None:
        return "?"
    return given.value if given.value is not None else given.written or "?"


def unit_line(unit: Unit) -> str:
    """Return a unit in one line."""
    verdict = because(unit) if unit.verdict == "unknown" else f"{VERDICTS[unit.verdict]}, holds {holds(unit)}"
    return f"{line(unit.name)}: {engine(unit)}, {model(unit)} on {gpu(unit)}: {verdict}"


def units_of(checked: Checked) -> list[Unit]:
    """Return the units."""
    return list(checked.units)


def edited(finding: Finding) -> Fix | None:
    """Return the first fix that can be written."""
    return next((fix for fix in finding.fixes if fix.edits), None)


def fix_line(fix: Fix) -> str:
    """Return a fix in words."""
    return f"{line(fix.change)} ({line(fix.effect)})" if fix.effect else line(fix.change)


def summary(checked: Checked) -> str:
    """Return the sums in one line."""
    counts = checked.counts
    files = _many(counts.files, "file")
    verdicts = {
        "fits": counts.fits,
        "tight": counts.tight,
        "does_not_fit": counts.does_not_fit,
        "unknown": counts.unknown,
    }
    parts = [f"{number:,} {_verdict(name, number)}" for name, number in verdicts.items() if number]
    head = f"{files}, {_many(counts.units, 'engine')}" + (f": {', '.join(parts)}" if parts else "")
    notes = sum(finding.severity == "note" for finding in checked.open)
    fixable = sum(edited(finding) is not None for finding in checked.open)
    found = [_many(counts.errors, "error"), _many(counts.warnings, "warning")]
    found += [_many(notes, "note")] if notes else []
    return f"{head}; {', '.join(found)} ({counts.suppressed:,} suppressed, {fixable:,} fixable)"


def _verdict(name: str, number: int) -> str:
    if number == 1:
        return VERDICTS[name]
    return {"fits": "fit", "does_not_fit": "do not fit"}.get(name, name)


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
