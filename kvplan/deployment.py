"""A deployment: a model on GPUs under an engine's settings; everything of a plan that does not depend on the request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvplan.engines.base import CacheLayout, Engine, MemoryBudget, Settings, Stage
from kvplan.gpus import GpuGroup
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.weights.agreement import Agreement, agreement
from kvplan.weights.scheme import Scheme

# Where nothing in a model bounds the length, sequences up to this one are tried: the longest that any model states
# (Llama 4 Scout, 10,485,760).
LONGEST_TRIED = 10_485_760


@dataclass(frozen=True, slots=True)
class Share:
    """The cache memory of one GPU: as planned, and at the bounds of the interval."""

    bytes: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Deployment:
    """What a plan stands on. Compared by identity, so that work on it is done once.

    Attributes:
        model, group, engine, settings, parallel: what was asked for; no group: sizes only.
        quantization: the name of the weight format planned for.
        scheme, as_published: how the weights are stored, and whether that is how they are published.
        kv_cache_memory: bytes of cache per GPU given outright; None: the budget decides.
        stages, layouts: one of each per pipeline stage.
        notes: what to know of what is served beside the model.
        arguments: of the call that asked for it, by `kvplan.estimate`'s names, so that a variant can be asked for.

    """

    model: ModelSpec
    group: GpuGroup | None
    engine: Engine
    settings: Settings
    parallel: Parallelism
    quantization: str
    scheme: Scheme | None
    as_published: bool
    kv_cache_memory: int | None
    stages: tuple[Stage, ...]
    layouts: tuple[CacheLayout, ...]
    notes: tuple[Note, ...]
    arguments: Mapping[str, Any]

    @cached_property
    def checkpoint(self) -> Agreement:
        """What the sources at hand say of the whole checkpoint."""
        return agreement(self.model, self.scheme, as_published=self.as_published)

    # -- memory ------------------------------------------------------------------------------------------------------

    def budget(self, stage: int, context: int) -> MemoryBudget | None:
        """Return how the GPU of a stage is divided; None without a GPU or where the weights are unknown."""
        if self.engine.context_in_budget:
            return self._budget(stage, context)
        return self._budgets[stage]

    @cached_property
    def _budgets(self) -> tuple[MemoryBudget | None, ...]:
        return tuple(self._budget(stage, 0) for stage in range(len(self.stages)))

    def _budget(self, index: int, context: int) -> MemoryBudget | None:
        stage = self.stages[index]
        if self.group is None or stage.weights is None:
            return None
        return self.engine.budget(
            model=self.model,
            stage=stage,
            parallel=self.parallel,
            settings=self.settings,
            gpu=self.group.gpu,
            context=context,
        )

    def share(self, stage: int, context: int) -> Share | None:
        """Return the cache memory of a stage's GPU; None where nothing says."""
        if self.kv_cache_memory is not None:
            return self._given
        if not self.engine.context_in_budget:
            return self._shares[stage]
        return _share(self._budget(stage, context))

    @cached_property
    def _given(self) -> Share:
        size = self.kv_cache_memory or 0
        return Share(size, size, size)

    @cached_property
    def _shares(self) -> tuple[Share | None, ...]:
        return tuple(_share(budget) for budget in self._budgets)

    # -- requests ----------------------------------------------------------------------------------------------------

    def encoder_tokens(self, context: int) -> int:
        """Return the encoder's length: given, the model's own, else the request's; 0 without an encoder."""
        if not self.model.has_encoder:
            return 0
        given = self.settings.args.get("encoder_tokens")
        if given is not None and given.value:
            return int(given.value)
        return self.model.encoder_tokens or context

    def holds(self, context: int, requests: int, bound: Callable[[Share], int]) -> bool:
        """Whether every stage of a replica holds that many requests of `context` in the share that `bound` takes."""
        if self.most_requests is not None and requests > self.most_requests:
            return False
        encoder = self.encoder_tokens(context)
        for index, layout in enumerate(self.layouts):
            share = self.share(index, context)
            if share is None or bound(share) < 0 or not layout.admits(bound(share), context, encoder):
                return False
            if requests > 1 and layout.concurrency(bound(share), context, encoder) < requests:
                return False
        return True

    @cached_property
    def most_requests(self) -> int | None:
        """The requests that the engine lets into one batch; None where it sets no bound."""
        setting = self.settings.args.get(self.engine.batch_arg)
        return setting.value if setting is not None else None

    def on_one_replica(self, users: int | None) -> int:
        """Return the requests that the fullest replica has of `users` at once; one where none were asked for."""
        return -(-(users or 1) // self.parallel.data)

    def over_budget(self, stage: int, context: int) -> int:
        """Return by how much a cache that was given outright is more than the GPU has beside the rest; 0 otherwise."""
        budget = self.budget(stage, context) if self.kv_cache_memory is not None else None
        if budget is None or self.kv_cache_memory is None:
            return 0
        used = sum(item.bytes for item in budget.items)
        return max(0, used + self.kv_cache_memory - budget.total_bytes)

    def deciding_stage(self, context: int) -> int:
        """Return the stage that holds the fewest requests of `context`: its GPU is the one that plans report."""
        if len(self.layouts) == 1:
            return 0
        encoder = self.encoder_tokens(context)

        def held(index: int) -> float:
            share = self.share(index, context)
            if share is None:
                return -self.layouts[index].request_bytes(context, encoder)
            return self.layouts[index].concurrency(share.bytes, context, encoder) if share.bytes > 0 else share.bytes

        return min(range(len(self.layouts)), key=held)

    def longest(self, context: int, bound: Callable[[Share], int]) -> int | None:
        """Return the longest single request, by search on the very function that sizes it; None: nothing bounds it.

        `holds` never turns true again as the length grows, so the search is exact: the answer fits, one token more does not.
        """
        limit = self.model.max_context_tokens or LONGEST_TRIED
        if not self.engine.refuses(self.model, context):
            limit = max(limit, context)
        if self.holds(limit, 1, bound):
            return limit if self.model.max_context_tokens else None
        low, high = 0, limit
        while high - low > 1:
            middle = (low + high) // 2
            if self.holds(middle, 1, bound):
                low = middle
            else:
                high = middle
        return low

    @cached_property
    def longest_request(self) -> int | None:
        """The longest single request up to the model's own maximum."""
        return self.longest(0, planned)


def planned(share: Share) -> int:
    """Return the share as planned."""
    return share.bytes


def at_least(share: Share) -> int:
    """Return the low end of the share's interval."""
    return share.low


def at_most(share: Share) -> int:
    """Return the high end of the share's interval."""
    return share.high


def _share(budget: MemoryBudget | None) -> Share | None:
    return Share(budget.kv_cache_bytes, budget.kv_cache_low, budget.kv_cache_high) if budget else None
