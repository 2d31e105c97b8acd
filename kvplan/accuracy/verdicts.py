"""Intervals and verdicts against the logs: coverage, false "fits", low ends that promise more than there was."""

from dataclasses import dataclass

from kvplan.accuracy.corpus import Log
from kvplan.accuracy.measures import concurrency, tokens
from kvplan.accuracy.plans import Planned


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Whether a plan's interval holds what was logged.

    Attributes:
        log: the row.
        what: `max_concurrency`, else `kv_cache_tokens`.
        low, high: the interval; None: nothing bounds it.
        logged: as printed.

    """

    log: Log
    what: str
    low: float | None
    high: float | None
    logged: float

    @property
    def inside(self) -> bool:
        """Whether it does."""
        return not self.promises_too_much and (self.high is None or self.logged <= self.high)

    @property
    def promises_too_much(self) -> bool:
        """Whether even the low end is more than there was."""
        return self.low is not None and self.low > self.logged

    @property
    def width(self) -> float | None:
        """High less low, as a share of what was logged."""
        return None if self.low is None or self.high is None else (self.high - self.low) / self.logged


@dataclass(frozen=True, kw_only=True)
class FalseFit:
    """A start that failed for memory although the plan says that the length fits."""

    log: Log
    context: int


def covered(row: Planned) -> Covered | None:
    """Return the row's interval; None where the log has no such figure or the cache was given outright."""
    interval, log = row.whole.interval, row.log
    if interval is None or log.kv_cache_memory is not None or not log.measures("capacity"):
        return None
    for what, pair in (("max_concurrency", concurrency(row)), ("kv_cache_tokens", tokens(row))):
        if pair is not None:
            low, high = interval[what]
            return Covered(log=log, what=what, low=low, high=high, logged=pair[1])
    return None


def false_fit(row: Planned) -> FalseFit | None:
    """Return the refused start that the plan says fits; None otherwise."""
    log = row.log
    if log.refused is None or log.context is None or not log.measures("capacity"):
        return None
    if not row.budget_is_stated and log.kv_cache_memory is None:
        return None
    return FalseFit(log=log, context=log.context) if row.whole.verdict == "fits" else None
