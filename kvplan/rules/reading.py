"""Rules on reading: flags, variables, templates, what a file leaves open."""

import re
from collections.abc import Iterator

from kvplan.deploy.plans import Planned
from kvplan.deploy.unit import Open, place_of
from kvplan.engines import built
from kvplan.launch.stated import Problem
from kvplan.launch.text import Place
from kvplan.rules.finding import Edit, Finding, Fix, Label
from kvplan.rules.make import finding

_CODES = {"unknown": "KVP004", "removed": "KVP005", "ambiguous": "KVP006", "value": "KVP007", "ignored": "KVP009"}

# A command line with more than so many flags that the engine does not have is none of its; the rest is counted, not listed.
_MOST = 50


def check(planned: Planned) -> Iterator[Finding]:
    """Yield what of a unit cannot be read, and what its file leaves open."""
    problems = [
        problem
        for problem in planned.read.stated.problems
        if not _belongs_to_another_release(planned, problem) and not _is_a_key(planned, problem)
    ]
    for number, problem in enumerate(problems[:_MOST], 1):
        yield _flag(planned, problem, more=len(problems) - _MOST if number == _MOST else 0)
    yield from _open(planned)
    yield from _version(planned)


def _flag(planned: Planned, problem: Problem, *, more: int) -> Finding:
    unit = planned.unit
    place = place_of(problem.words[0]) if problem.words else None
    severity = None
    if problem.kind != "ignored" and (unit.version is None or unit.engine not in built()):
        # Another release than the one assumed may take it; tables of engines that are not planned are of one release.
        severity = "warning"
    message = problem.message + (f" {problem.hint}" if problem.hint else "")
    message += f" {more:,} more of its words cannot be read." if more > 0 else ""
    fixes: tuple[Fix, ...] = ()
    near = problem.hint.removeprefix("Did you mean ").rstrip("?") if problem.hint.startswith("Did you mean -") else ""
    if near and " " not in near and place is not None and problem.words:
        name = problem.words[0].text.partition("=")[0]
        if place.text.startswith(name):
            fixes = (
                Fix(
                    change=near,
                    effect="the flag that is meant",
                    edits=(Edit(Place(place.source, place.start, place.start + len(name)), near),),
                ),
            )
    return finding(
        _CODES[problem.kind], planned, place or unit.place, message,
        severity=severity, fixes=fixes, identity=(problem.words[0].text[:100] if problem.words else problem.message[:100],),
    )  # fmt: skip


def _belongs_to_another_release(planned: Planned, problem: Problem) -> bool:
    """Whether a flag went in a release after the one that the file names."""
    version, gone = planned.unit.version, re.search(r"gone by [bv]?([\d.]+)", problem.message)
    if problem.kind != "removed" or gone is None or version is None:
        return False
    return _numbers(version) < _numbers(gone[1])


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:4]]


def _is_a_key(planned: Planned, problem: Problem) -> bool:
    """Whether an unknown flag is a key of a configuration that knows more of them than the command line."""
    return problem.kind == "unknown" and planned.unit.workload.words is not None and planned.unit.engine not in built()


def _open(planned: Planned) -> Iterator[Finding]:
    """Name what makes a verdict unknown, each with the option that settles it."""
    unit = planned.unit
    by_code: dict[str, list[Open]] = {}
    for each in unit.open:
        if each.code:
            by_code.setdefault(each.code, []).append(each)
    for alone in ("KVP404", "KVP008"):
        if alone in by_code:
            # Nothing else that is settled gives it a plan: the engine is not modelled, the rest of it is elsewhere.
            by_code = {alone: by_code[alone]}
    for code, found in by_code.items():
        more = f"; {len(found) - _MOST:,} more" if len(found) > _MOST else ""
        found = found[:_MOST]  # noqa: PLW2901  the same, shortened
        settle = "; ".join(dict.fromkeys(each.settle for each in found if each.settle))
        message = "; ".join(each.what for each in found) + f"{more}." + (f" Settle it: {settle}" if settle else "")
        places = [each.place for each in found if each.place is not None]
        at = places[0] if places else unit.place
        yield finding(
            code, planned, at, message,
            labels=tuple(Label(each.place, each.what) for each in found[1:] if each.place is not None and each.place != at),
            identity=tuple(each.what[:200] for each in found),
        )  # fmt: skip


def _version(planned: Planned) -> Iterator[Finding]:
    unit = planned.unit
    if unit.plan is None or not unit.plan.deployment.engine.latest:
        return
    image = unit.launch.image if unit.launch is not None else None
    if unit.version is not None:
        engine = unit.plan.deployment.engine
        if engine.oldest and not _numbers(engine.oldest) <= _numbers(unit.version)[:2] <= _numbers(engine.latest):
            nearest = engine.oldest if _numbers(unit.version) < _numbers(engine.oldest) else engine.latest
            yield finding(
                "KVP403", planned, place_of(image) or unit.place,
                f"kvplan knows the rules of {engine.name} {engine.oldest} to {engine.latest}: {unit.version} is planned by those "
                f"of {nearest}.",
                severity="warning", identity=("release",),
            )  # fmt: skip
        return
    version = unit.plan.deployment.settings.version
    yield finding(
        "KVP403", planned, place_of(image) or unit.place,
        f"the file names no version of {unit.engine}: planned as {version}, and bounds cover "
        f"{unit.plan.deployment.engine.stand_for_others[0]} to {version}. Pin it, or give --engine {unit.engine}@VERSION.",
        identity=("version",),
    )  # fmt: skip
