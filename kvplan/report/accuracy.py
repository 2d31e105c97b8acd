"""The scored field corpus in the terminal, and as the README's table."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kvplan.accuracy.corpus import KINDS, Kind
from kvplan.accuracy.document import breakdown, without_draft
from kvplan.accuracy.measures import MEASURES, Error
from kvplan.accuracy.scoring import Accuracy, Summary, summarise

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_TITLES: dict[Kind, str] = {
    "stated": "logs that name repository and version",
    "no version": "no version: planned as the latest, V0 as 0.7.3",
    "architecture": "another repository of the architecture",
    "speculative": "with next-token or draft layers",
}
_ALL = "all but those with drafts"
# What is scored once more with constants fitted on other rows, and on which.
REFITTED = "available_given_weights"
_REFITTED_TITLES = {"model": "fitted without the model", "gpu": "fitted without the GPU"}
# What a breakdown shows: three figures side by side fill the line.
_SHOWN = ("weights", "available_given_weights", "concurrency")


def print_accuracy(console: "Console", accuracy: Accuracy, *, by: str | None, worst: int) -> None:
    """Print the errors by what the source says, what is met exactly, and what went wrong by name."""
    left_out = len(accuracy.logs) - len(accuracy.families) - len(accuracy.refusals)
    console.print(
        f"{len(accuracy.logs)} start-up logs of vLLM on real GPUs: {len(accuracy.families)} planned, "
        f"{len(accuracy.refusals)} refused, {left_out} no measure of anything."
    )
    console.print("Error: planned over logged, less one; each (model, GPU, tensor parallel) counts once.", style="dim")
    console.print(_overall(accuracy))
    _print_shares(console, accuracy)
    _print_by_name(console, accuracy)
    if by is not None:
        console.print(_breakdown(accuracy, by))
    if worst:
        console.print(_worst(accuracy.worst(worst)))


def markdown(accuracy: Accuracy) -> str:
    """Return the README's table."""
    lines = [
        "| planned against vLLM's start-up logs | logs | counted once | bias | median error | 90th percentile |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title, some in _sections(accuracy):
        lines.append(f"| **{title}** | | | | | |")
        for measure in MEASURES.values():
            summary = some.summary(measure.name)
            if summary is not None:
                logs, once, *errors = _cells(summary)
                lines.append(f"| {measure.title} | {logs} | {once} | {' | '.join(errors)} |")
            if measure.name == REFITTED and summary is not None:
                for by, words in _REFITTED_TITLES.items():
                    logs, once, *errors = _cells(summarise(some.refitted[by]))
                    lines.append(f"| … {words} | {logs} | {once} | {' | '.join(errors)} |")
    lines += ["", *(f"- {title}: {text}." for title, text in _shares(without_draft(accuracy)))]
    lines += [f"- {title}: {', '.join(names) or 'none'}." for title, names in _named(accuracy)]
    return "\n".join(lines)


def _sections(accuracy: Accuracy) -> Iterator[tuple[str, Accuracy]]:
    for kind in KINDS:
        yield _TITLES[kind], accuracy.of_kind(kind)
    yield _ALL, without_draft(accuracy)


def _cells(summary: Summary | None) -> list[str]:
    if summary is None:
        return ["", "", "", "", ""]
    return [
        str(summary.logs),
        str(summary.groups),
        f"{summary.bias:+.1%}",
        _percent(summary.median),
        _percent(summary.p90),
    ]


def _new_table(*columns: str) -> "Table":
    from rich.table import Table  # noqa: PLC0415  only where a table is printed

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _overall(accuracy: Accuracy) -> "Table":
    table = _new_table("", "logs", "once", "bias", "median", "90 %")
    for title, some in _sections(accuracy):
        table.add_row(title, style="bold")
        for measure in MEASURES.values():
            summary = some.summary(measure.name)
            if summary is not None:
                table.add_row(f"  {measure.title}", *_cells(summary))
            if measure.name == REFITTED:
                for by, words in _REFITTED_TITLES.items():
                    table.add_row(f"    {words}", *_cells(summarise(some.refitted[by])))
    return table


def _shares(some: Accuracy) -> Iterator[tuple[str, str]]:
    determined = [one for one in some.geometry if one.determined]
    yield "bytes per token as logged, to the rounding", _share(one.met for one in determined)
    yield "the same where version or GPU are not named", _share(one.met for one in some.geometry if not one.determined)
    yield "logged concurrency (else tokens) within the interval", _share(one.inside for one in some.covered)
    for by, words in _REFITTED_TITLES.items():
        yield f"available cache within it, {words}", _share(one.inside for one in some.refitted[by])


def _share(found: Iterable[bool]) -> str:
    values = list(found)
    return f"{sum(values)} of {len(values)} ({sum(values) / len(values):.0%})" if values else "none"


def _print_shares(console: "Console", accuracy: Accuracy) -> None:
    table = _new_table("", "named", "all but drafts", "drafts")
    columns = [accuracy.of_kind("stated"), without_draft(accuracy), accuracy.of_kind("speculative")]
    for rows in zip(*(_shares(some) for some in columns), strict=True):
        table.add_row(rows[0][0], *(text for _, text in rows))
    console.print(table)


def _named(accuracy: Accuracy) -> Iterator[tuple[str, list[str]]]:
    yield 'refused by vLLM, "fits" by kvplan', [f"{one.log.id} ({one.context:,})" for one in accuracy.false_fits]
    yield "low end of the interval above the log", [one.log.id for one in accuracy.promises]


def _print_by_name(console: "Console", accuracy: Accuracy) -> None:
    for title, names in _named(accuracy):
        console.print(f"{title}: {', '.join(names) or 'none'}")
    for reason, names in _refusals(accuracy).items():
        console.print(f"not planned: {reason} ({', '.join(names)})", style="dim")


def _refusals(accuracy: Accuracy) -> dict[str, list[str]]:
    """Return the rows by the reason that no plan is made of them."""
    reasons: dict[str, list[str]] = {}
    for log, reason in accuracy.refusals:
        reasons.setdefault(reason, []).append(log.id)
    return reasons


def _breakdown(accuracy: Accuracy, by: str) -> "Table":
    heads = (by, "logs", "weights", "avail-\nable", "\n90 %", "concur-\nrency", "\n90 %", "tokens", "interval")
    table = _new_table(*heads)
    for name, some in breakdown(accuracy, by).items():
        weights, available, concurrency = (some.summary(measure) for measure in _SHOWN)
        determined = [one.met for one in some.geometry if one.determined]
        inside = [one.inside for one in some.covered]
        table.add_row(
            name,
            str(len(some.logs)),
            "" if weights is None else _percent(weights.median),
            *(["", ""] if available is None else [_percent(available.median), _percent(available.p90)]),
            *(["", ""] if concurrency is None else [_percent(concurrency.median), _percent(concurrency.p90)]),
            f"{sum(determined)}/{len(determined)}" if determined else "",
            f"{sum(inside)}/{len(inside)}" if inside else "",
        )
    return table


def _percent(value: float) -> str:
    return f"{value:.1%}" if value < 1 else f"{value:.0%}"


def _worst(errors: Iterable[Error]) -> "Table":
    table = _new_table("furthest off", "error", "figure", "model, GPU, version: reason")
    table.columns[2].justify = table.columns[3].justify = "left"
    for error in errors:
        log = error.log
        where = f"{log.model}, {log.gpu or 'GPU not named'}, {log.version or 'no version'}"
        table.add_row(
            log.id, f"{error.relative:+.0%}", error.measure.title, f"{where}: {error.known or 'not explained yet'}"
        )
    return table
