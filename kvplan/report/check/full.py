"""For people: each finding with the lines that decided it, the arithmetic and the change; then the engines, then the sums."""

from collections.abc import Iterator

from kvplan.report.check import words
from kvplan.report.check.columns import fold, table
from kvplan.report.check.excerpt import Paint, excerpt
from kvplan.report.check.patch import patch
from kvplan.report.check.safe import line, log
from kvplan.rules.finding import Checked, Finding

NAME = "full"

# SGR codes (ECMA-48) by what is coloured.
_COLOURS = {
    "error": "1;31", "warning": "1;33", "note": "1;36", "^": "1;31", "-": "1;34", "edge": "34", "+": "32", "bold": "1",
    "fits": "32", "tight": "33", "does_not_fit": "31", "unknown": "36",
}  # fmt: skip
# A table is read in pipes and in pasted logs.
_TABLE = 80
_HEAD = ("where", "engine", "model", "GPU", "verdict", "requests")
_VERDICT_COLUMN = 4
_SHRINK = (0, 1, 2, 3)


def render(checked: Checked, *, colour: bool = False, width: int = 100, **_: object) -> str:
    """Return the report."""
    paint = _painted if colour else _bare
    shown: list[str] = []
    diffs: set[str] = set()
    for finding in checked.open:
        shown += [*_finding(finding, width, paint, diffs), ""]
    shown += _units(checked, min(width, _TABLE), paint)
    shown += [*map(line, checked.reasons), paint(words.summary(checked), "bold")]
    return log("\n".join(shown) + "\n")


def text(finding: Finding, width: int = 100) -> str:
    """Return one finding without colour, for formats that have room for it."""
    return log("\n".join(_finding(finding, width, _bare, None)) + "\n")


def _finding(finding: Finding, width: int, paint: Paint, diffs: set[str] | None) -> Iterator[str]:
    """Yield a finding's lines; a diff that was shown is not shown again, without a set none is."""
    place, code = finding.place, line(finding.code)
    head = paint(f"{code} {finding.severity}", finding.severity)
    yield f"{line(place.path)}:{place.line}:{place.column}: {head}: {paint(line(finding.message), 'bold')}"
    yield from excerpt(finding, width, paint)
    if finding.subject:
        yield f"   = unit: {line(finding.subject)}"
    for note in finding.notes:
        yield from _folded("   = note: ", line(note), width)
    shown = words.edited(finding) if diffs is not None else None
    for fix in finding.fixes:
        change = patch(fix) if fix is shown else ""
        again = " (the diff above)" if change and diffs is not None and change in diffs else ""
        kept = (
            " (no diff: it would print what is kept from logs; --fix writes it)" if fix is shown and not change else ""
        )
        yield from _folded("   = fix: ", f"{words.fix_line(fix)}{again}{kept}", width)
        if change and not again and diffs is not None:
            diffs.add(change)
            yield from (_diff_line(each, paint) for each in change.removesuffix("\n").split("\n"))
    yield f"   = help: kvplan rule {code}"


def _folded(head: str, said: str, width: int) -> Iterator[str]:
    """Yield a text behind a heading, further lines under it."""
    first, *more = fold(said, max(width - len(head), 40))
    yield head + first
    yield from (" " * len(head) + each for each in more)


def _diff_line(each: str, paint: Paint) -> str:
    sign = each[:1]
    return paint(each, {"+": "+", "-": "error", "@": "note"}.get(sign, "")) if sign in "+-@" else each


def _units(checked: Checked, width: int, paint: Paint) -> Iterator[str]:
    units = words.units_of(checked)
    if not units:
        return
    rows = [
        (
            words.where(unit),
            words.engine(unit),
            words.model(unit),
            words.gpu(unit),
            words.VERDICTS[unit.verdict],
            words.holds(unit),
        )
        for unit in units
    ]
    head, *body = table(_HEAD, rows, width, _SHRINK)
    yield paint(head, "bold")
    yield from body
    yield ""
    unknown = [unit for unit in units if unit.verdict == "unknown"]
    for unit in unknown:
        first, *more = fold(f"{words.where(unit)}: {words.because(unit)}", max(width, 20))
        yield first
        yield from (f"    {each}" for each in more)
    if unknown:
        yield ""


def _bare(shown: str, _: str) -> str:
    return shown


def _painted(shown: str, kind: str) -> str:
    return f"\x1b[{_COLOURS[kind]}m{shown}\x1b[0m" if shown and kind in _COLOURS else shown
