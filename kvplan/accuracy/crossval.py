"""The error of the available cache with fitted constants refitted on other rows: without the row's model, or its GPU.

Two things of the budget are fitted (`BudgetItem.fit`): what the runtime takes, by how GPUs are joined, and what is estimated
for CUDA graphs, by kind of model. Each constant is refitted as the median over the other rows that it is in, a (model, GPU,
tensor parallel) counted once, with the least and the most of them as its bounds; where there are too few, over all other
rows. All else is counted, not fitted.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kvplan.accuracy.corpus import Log, folds
from kvplan.accuracy.measures import MEASURES, Error
from kvplan.accuracy.plans import Planned
from kvplan.engines.base import BudgetItem
from kvplan.engines.vllm.budget import CALIBRATION

# Groups whose least and most are taken for the bounds of a constant.
_ENOUGH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A fitted part of one row's budget, with what its log says that part is.

    Attributes:
        log: the row.
        item: as planned.
        logged: bytes, as the log leaves them; None where it does not tell.

    """

    log: Log
    item: BudgetItem
    logged: float | None


@dataclass(frozen=True, kw_only=True)
class RefittedError(Error):
    """An error with constants from other rows, and the interval that they give.

    Attributes:
        low, high: of the planned figure.

    """

    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the log lies in the interval."""
        return self.low <= self.logged <= self.high


def refitted(rows: Sequence[Planned], by: Literal["model", "gpu"]) -> tuple[RefittedError, ...]:
    """Return the errors of the available cache, weights given, with constants from other rows."""
    measure = MEASURES["available_given_weights"]
    parts = {row.log.id: tuple(_parts(row)) for row in rows if row.log.measures("available")}
    known = {row.log.id: row for row in rows if row.log.id in parts}
    found = []
    for _, others, held in folds([row.log for row in known.values()], by=by):
        constants = _Constants([part for log in others for part in parts[log.id]])
        for log in held:
            pair = measure.pair(known[log.id])
            if pair is not None:
                moved, below, above = 0.0, [], []
                for item in _items(known[log.id]):
                    low, middle, high = constants.of(item)
                    moved += item.bytes - middle
                    below.append(high - middle)
                    above.append(middle - low)
                planned = pair[0] + moved
                low, high = planned - CALIBRATION * math.hypot(*below), planned + CALIBRATION * math.hypot(*above)
                found.append(
                    RefittedError(log=log, measure=measure, planned=planned, logged=pair[1], low=low, high=high)
                )
    return tuple(found)


class _Constants:
    """What the rows at hand say of each fit."""

    def __init__(self, parts: Iterable[Part]) -> None:
        groups: dict[str, dict[tuple[Any, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
        for part in parts:
            if part.logged is not None and part.item.units:
                groups[part.item.fit][part.log.group].append(part.logged / part.item.units)
        self._by_fit = {fit: [statistics.median(one) for one in each.values()] for fit, each in groups.items()}
        self._by_name = {
            name: [value for fit, values in self._by_fit.items() if fit.startswith(name) for value in values]
            for name in {fit.partition(":")[0] for fit in groups}
        }

    def of(self, item: BudgetItem) -> tuple[float, float, float]:
        """Return the bytes of an item by these constants, low, middle and high; as planned where it is not fitted."""
        own = self._by_fit.get(item.fit, [])
        every = self._by_name.get(item.fit.partition(":")[0], [])
        if not item.fit or not every:
            return item.low, item.bytes, item.high
        middle = statistics.median(own or every)
        ends = own if len(own) >= _ENOUGH else every
        low, high = min(middle, *ends), max(middle, *ends)
        return low * item.units, middle * item.units, high * item.units


def _items(row: Planned) -> Iterator[BudgetItem]:
    """Yield what the budget takes beside weights, which are given."""
    budget = row.whole.budget
    if budget is not None:
        yield from (item for item in budget.items if item.name != "weights")


def _parts(row: Planned) -> Iterator[Part]:
    for item in _items(row):
        if item.fit:
            yield Part(log=row.log, item=item, logged=_logged(row, item))


def _logged(row: Planned, item: BudgetItem) -> float | None:
    """Return what the log says an item is: its graph estimate, or for the runtime what nothing else explains."""
    if item.name == "cuda_graph":
        return row.log.size("graphs_estimate_gib")
    pair, budget = MEASURES["available_given_weights"].pair(row), row.whole.budget
    if pair is None or budget is None:
        return None
    estimate = row.log.size("graphs_estimate_gib")
    graphs = budget.used_by("cuda_graph")
    return item.bytes + pair[0] - pair[1] + (graphs - estimate if graphs and estimate else 0)
