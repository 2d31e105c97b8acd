"""Bytes per token as logs imply them: of a pool of the logged size, what is printed, to its rounding.

The budget is out of the way (`kv_cache_memory` is the logged pool), so only the cache's geometry is held to the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvplan.accuracy.corpus import Log
from kvplan.accuracy.plans import Planned
from kvplan.plan import Plan

# With these alone neither the version, nor the GPU's kernels, nor the batch change what a token takes.
_PLAIN = frozenset({"full_attention", "mla"})


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """One row's comparison.

    Attributes:
        log: the row.
        what: `tokens`, `concurrency`, `needed` (bytes of one request) or `longest` (the longest request).
        low, high: between which the figure has to lie: planned for the bounds of the printed pool.
        found: the figure.
        determined: whether the source says all that it depends on: a plain cache, or version and GPU.

    """

    log: Log
    what: str
    low: float
    high: float
    found: float
    determined: bool

    @property
    def met(self) -> bool:
        """Whether it lies there."""
        return self.low <= self.found <= self.high

    @property
    def known(self) -> str | None:
        """Why kvplan is known to be off here; None: not explained."""
        return self.log.known.get("bytes_per_token")


def geometry(row: Planned) -> Geometry | None:
    """Return the sharpest comparison that the row allows; None where it allows none."""
    log = row.log
    if not log.measures("bytes_per_token"):
        return None
    pool = (log.kv_cache_memory,) * 2 if log.kv_cache_memory is not None else log.bounds("available_gib")
    ends = [row.given(size) for size in pool] if pool is not None and pool[0] > 0 else []
    return _printed(row, ends) or _longest(row, ends) or _needed(row)


def _printed(row: Planned, ends: Sequence[Plan]) -> Geometry | None:
    """Return tokens or, where they mean what an unnamed version makes them, concurrency."""
    log = row.log
    tokens, concurrency = log.printed("tokens"), log.printed("concurrency")
    if not ends:
        return None
    if tokens and (log.version is not None or _is_plain(row) or not concurrency):
        low, high = (plan.capacity.kv_cache_tokens or 0 for plan in ends)
        return Geometry(log=log, what="tokens", low=low, high=high, found=tokens, determined=_is_determined(row))
    if not concurrency or log.printed("concurrency_len") is None:
        return None
    half = log.half("concurrency")
    requests = [plan.capacity.max_concurrency or 0 for plan in ends]
    return Geometry(
        log=log,
        what="concurrency",
        low=requests[0] - half,
        high=requests[1] + half,
        found=concurrency,
        determined=_is_determined(row),
    )


def _longest(row: Planned, ends: Sequence[Plan]) -> Geometry | None:
    """Return the longest request that a refusal prints."""
    longest = row.log.printed("estimated_max_len")
    if not longest or not ends:
        return None
    low, high = (plan.capacity.max_context_tokens or 0 for plan in ends)
    determined = _is_determined(row)
    return Geometry(log=row.log, what="longest", low=low, high=high, found=longest, determined=determined)


def _needed(row: Planned) -> Geometry | None:
    """Return the bytes of one request that a refusal prints: they are exact, what is printed of them is rounded."""
    needed = row.log.bounds("needed_gib")
    if needed is None or row.log.context is None:
        return None
    size, determined = row.whole.bytes_per_request, _is_determined(row)
    return Geometry(log=row.log, what="needed", low=needed[0], high=needed[1], found=size, determined=determined)


def _is_plain(row: Planned) -> bool:
    return {cache.kind for cache, _ in row.model.caches} <= _PLAIN and row.log.draft is None


def _is_determined(row: Planned) -> bool:
    return _is_plain(row) or (row.log.version is not None and row.log.gpu is not None)
