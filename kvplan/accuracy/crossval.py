"""The error of the available cache with fitted constants refitted on other rows: without the row's model, or its GPU.

Two things of the budget are fitted (`BudgetItem.fit`): what the runtime takes, by how GPUs are joined, and what is estimated
for CUDA graphs, by kind of model. Each constant is refitted as the median over the other rows that it is in, a (model, GPU,
tensor parallel) counted once; where there are none, as the median over all other rows. All else is counted, not fitted.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kvplan.accuracy.corpus import Log, folds
from kvplan.accuracy.measures import MEASURES, Error
from kvplan.accuracy.plans import Planned
from kvplan.engines.base import BudgetItem


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


def refitted(rows: Sequence[Planned], by: Literal["model", "gpu"]) -> tuple[Error, ...]:
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
                moved = sum(part.item.bytes - constants.of(part.item) for part in parts[log.id])
                found.append(Error(log=log, measure=measure, planned=pair[0] + moved, logged=pair[1]))
    return tuple(found)


class _Constants:
    """What the rows at hand say of each fit."""

    def __init__(self, parts: Iterable[Part]) -> None:
        groups: dict[str, dict[tuple[Any, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
        for part in parts:
            if part.logged is not None and part.item.units:
                groups[part.item.fit][part.log.group].append(part.logged / part.item.units)
        medians = {fit: [statistics.median(one) for one in each.values()] for fit, each in groups.items()}
        self._by_fit = {fit: statistics.median(values) for fit, values in medians.items()}
        self._by_name = {
            name: statistics.median(
                value for fit, values in medians.items() if fit.startswith(name) for value in values
            )
            for name in {fit.partition(":")[0] for fit in medians}
        }

    def of(self, item: BudgetItem) -> float:
        """Return the bytes of an item by these constants; as planned where no row has one of its kind."""
        constant = self._by_fit.get(item.fit, self._by_name.get(item.fit.partition(":")[0]))
        return item.bytes if constant is None else constant * item.units


def _parts(row: Planned) -> Iterator[Part]:
    budget = row.whole.budget
    if budget is None:
        return
    for item in budget.items:
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
