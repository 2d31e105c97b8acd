"""What logs print and plans predict: the figures whose errors are scored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvplan.accuracy.corpus import Figure, Log
from kvplan.accuracy.plans import Planned


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure that logs print and plans predict.

    Attributes:
        name: the key in the JSON document.
        title: the heading in the tables.
        figures: what a row's exclusions call what it rests on.
        pair: (planned, logged) of a row, None where its source does not give what the figure needs.

    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    pair: Callable[[Planned], tuple[float, float] | None]


@dataclass(frozen=True, kw_only=True)
class Error:
    """One row's error in one measure."""

    log: Log
    measure: Measure
    planned: float
    logged: float

    @property
    def relative(self) -> float:
        """Planned over logged, less one."""
        return self.planned / self.logged - 1

    @property
    def known(self) -> str | None:
        """Why kvplan is known to be off here; None: not explained."""
        known = self.log.known
        return next((known[name] for name in (self.measure.name, *self.measure.figures) if name in known), None)


def _weights(row: Planned) -> tuple[float, float] | None:
    logged, weights = row.log.size("weights_gib"), row.whole.weights
    return None if logged is None or weights is None else (weights.bytes, logged)


def _available(row: Planned) -> tuple[float, float] | None:
    """Return what the budget leaves, against what the log does. Nothing or less than nothing is a refusal, not a size."""
    logged, budget = row.log.size("available_gib"), row.whole.budget
    if logged is None or logged <= 0 or budget is None or not row.budget_is_stated:
        return None
    return budget.kv_cache_bytes, logged


def _available_given_weights(row: Planned) -> tuple[float, float] | None:
    """Return the same with the log's own weights in place of the planned ones."""
    pair, weights = _available(row), row.log.size("weights_gib")
    if pair is None or weights is None or row.whole.weights is None:
        return None
    return pair[0] + row.whole.weights.bytes - weights, pair[1]


def tokens(row: Planned) -> tuple[float, float] | None:
    """Return the printed tokens. Without a version nothing says what a log of several cache groups means by them."""
    log = row.log
    logged, planned = log.printed("tokens"), row.whole.capacity.kv_cache_tokens
    if not logged or planned is None or not _is_bounded(row):
        return None
    return None if log.version is None and log.tokens_are_of_groups else (planned, logged)


def concurrency(row: Planned) -> tuple[float, float] | None:
    """Return requests of the context at once, which mean the same in every version; the length is the log's own."""
    logged, planned = row.log.printed("concurrency"), row.whole.capacity.max_concurrency
    if not logged or planned is None or not _is_bounded(row) or row.log.printed("concurrency_len") is None:
        return None
    return planned, logged


def _is_bounded(row: Planned) -> bool:
    return row.log.context is not None and (row.budget_is_stated or row.log.kv_cache_memory is not None)


_ALL = (
    Measure(name="weights", title="weights", figures=("weights",), pair=_weights),
    Measure(
        name="available_given_weights",
        title="available cache, weights given",
        figures=("available",),
        pair=_available_given_weights,
    ),
    Measure(name="available", title="available cache", figures=("capacity", "available"), pair=_available),
    Measure(name="tokens", title="printed tokens", figures=("capacity",), pair=tokens),
    Measure(name="concurrency", title="concurrency x length", figures=("capacity",), pair=concurrency),
)
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ALL}


def errors(row: Planned) -> list[Error]:
    """Return the row's error in each measure that it is one of."""
    found = []
    for measure in MEASURES.values():
        pair = measure.pair(row) if all(row.log.measures(figure) for figure in measure.figures) else None
        if pair is not None:
            found.append(Error(log=row.log, measure=measure, planned=pair[0], logged=pair[1]))
    return found
