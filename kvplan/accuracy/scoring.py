"""The present code, scored on the field corpus.

An error is planned over logged, less one. A row counts where its source gives what the figure needs. (model, GPU, tensor
parallel) counts once, by the median of its rows: many rows come from few machines.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvplan.accuracy.corpus import Kind, Log, read_logs
from kvplan.accuracy.crossval import RefittedError, refitted
from kvplan.accuracy.geometry import Geometry, geometry
from kvplan.accuracy.measures import Error, errors
from kvplan.accuracy.plans import Planned
from kvplan.accuracy.verdicts import Covered, FalseFit, covered, false_fit


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The errors of some rows in one measure.

    Attributes:
        logs: rows.
        groups: (model, GPU, tensor parallel) among them, each counted once.
        bias: median of the signed errors.
        median, p90: of the sizes of the errors.

    """

    logs: int
    groups: int
    bias: float
    median: float
    p90: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Rows of the corpus, scored.

    Attributes:
        logs: the rows.
        refusals: those that count but that kvplan makes no plan of, and why.
        errors: of each row in each measure.
        geometry: bytes per token, by row.
        covered: intervals, by row.
        false_fits: refused starts that the plan says fit.
        families: model type, by row id.
        refitted: the available cache, weights given, with constants that were fitted without the row's model, or its GPU.

    """

    logs: tuple[Log, ...]
    refusals: tuple[tuple[Log, str], ...]
    errors: tuple[Error, ...]
    geometry: tuple[Geometry, ...]
    covered: tuple[Covered, ...]
    false_fits: tuple[FalseFit, ...]
    families: Mapping[str, str]
    refitted: Mapping[str, tuple[RefittedError, ...]]

    @cached_property
    def promises(self) -> tuple[Covered, ...]:
        """Rows where the low end of the interval promises more than was there."""
        return tuple(one for one in self.covered if one.promises_too_much)

    def where(self, holds: Callable[[Log], bool]) -> "Accuracy":
        """Return the same of the rows of which this holds."""
        return Accuracy(
            logs=tuple(log for log in self.logs if holds(log)),
            refusals=tuple(one for one in self.refusals if holds(one[0])),
            errors=tuple(one for one in self.errors if holds(one.log)),
            geometry=tuple(one for one in self.geometry if holds(one.log)),
            covered=tuple(one for one in self.covered if holds(one.log)),
            false_fits=tuple(one for one in self.false_fits if holds(one.log)),
            families=self.families,
            refitted={by: tuple(one for one in some if holds(one.log)) for by, some in self.refitted.items()},
        )

    def of_kind(self, *kinds: Kind) -> "Accuracy":
        """Return the same of the rows of these kinds."""
        return self.where(lambda log: log.kind in kinds)

    def by(self, key: Callable[[Log], str]) -> dict[str, "Accuracy"]:
        """Return the same for each value of `key`, in the order of the values."""
        rows: dict[str, set[str]] = defaultdict(set)
        for log in self.logs:
            if log.id in self.families:
                rows[key(log)].add(log.id)
        return {name: self._of(rows[name]) for name in sorted(rows)}

    def _of(self, ids: set[str]) -> "Accuracy":
        return self.where(lambda log: log.id in ids)

    def summary(self, measure: str) -> Summary | None:
        """Return the errors in one measure; None where no row has one."""
        return summarise(error for error in self.errors if error.measure.name == measure)

    def worst(self, count: int) -> list[Error]:
        """Return the rows that are furthest off: each once, by its largest error."""
        largest: dict[str, Error] = {}
        for error in self.errors:
            if error.log.id not in largest or abs(error.relative) > abs(largest[error.log.id].relative):
                largest[error.log.id] = error
        return sorted(largest.values(), key=lambda error: -abs(error.relative))[:count]


def score(logs: Iterable[Log] | None = None) -> Accuracy:
    """Return the corpus, or these rows of it, scored by the present code."""
    rows = tuple(read_logs() if logs is None else logs)
    refusals: list[tuple[Log, str]] = []
    planned: list[Planned] = []
    for log in rows:
        if log.model is None or "all" in log.excluded:
            continue
        row = Planned(log)
        if row.refusal is None:
            planned.append(row)
        else:
            refusals.append((log, row.refusal))
    return Accuracy(
        logs=rows,
        refusals=tuple(refusals),
        errors=tuple(error for row in planned for error in errors(row)),
        geometry=tuple(one for one in map(geometry, planned) if one is not None),
        covered=tuple(one for one in map(covered, planned) if one is not None),
        false_fits=tuple(one for one in map(false_fit, planned) if one is not None),
        families={row.log.id: row.model.model_type for row in planned},
        refitted={"model": refitted(planned, "model"), "gpu": refitted(planned, "gpu")},
    )


def summarise(some: Iterable[Error]) -> Summary | None:
    """Return the summary; None of nothing. Of a group the median counts: of the signed errors, and of their sizes."""
    groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for error in some:
        groups[error.log.group].append(error.relative)
    if not groups:
        return None
    sizes = sorted(statistics.median(map(abs, group)) for group in groups.values())
    return Summary(
        logs=sum(map(len, groups.values())),
        groups=len(groups),
        bias=statistics.median(statistics.median(group) for group in groups.values()),
        median=statistics.median(sizes),
        p90=_quantile(sizes, 0.9),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
