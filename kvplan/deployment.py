"""A deployment: a model on GPUs under an engine's settings; everything of a plan that does not depend on the request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from kvplan.engines.base import CacheLayout, Engine, MemoryBudget, Settings, Stage
from kvplan.errors import KvplanError
from kvplan.gpus import GpuGroup, GpuSpec
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.weights.agreement import Agreement, agreement
from kvplan.weights.scheme import Scheme

# Where nothing in a model bounds the length, sequences up to this one are tried: the longest that any model states
# (Llama 4 Scout, 10,485,760).
LONGEST_TRIED = 10_485_760
# Budgets that a deployment keeps at once.
_KNOWN_BUDGETS = 4096


class Share(NamedTuple):
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
        under: returns the same under another version of the engine; raises KvplanError where that one does not serve it.

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
    under: Callable[[str], "Deployment"]

    @cached_property
    def checkpoint(self) -> Agreement:
        """What the sources at hand say of the whole checkpoint."""
        return agreement(self.model, self.scheme, as_published=self.as_published)

    # -- versions ----------------------------------------------------------------------------------------------------

    @cached_property
    def others(self) -> tuple["Deployment", ...]:
        """The same under other versions of the engine that serve it, which intervals cover where none was named."""
        if self.settings.version_named or self.group is None or self.kv_cache_memory is not None:
            return ()
        found = (self._served_by(version) for version in self.engine.stand_for_others)
        return tuple(other for other in found if other is not None)

    def _served_by(self, version: str) -> "Deployment | None":
        try:
            return self.under(version)
        except KvplanError:
            return None

    # -- memory ------------------------------------------------------------------------------------------------------

    def budget(self, stage: int, context: int) -> MemoryBudget | None:
        """Return how the GPU of a stage is divided; None without a GPU or where the weights are unknown."""
        if self.group is None or self.stages[stage].weights is None:
            return None
        return self._divided(stage, context)[0]

    def refusal(self, context: int) -> str | None:
        """Return why the engine would not start for requests of this length, whatever fits; None where it would."""
        refused = self.engine.refuses(self.model, context)
        if refused is not None or self.kv_cache_memory is not None:
            return refused
        budgets = (self.budget(stage, context) for stage in range(len(self.stages)))
        return next((budget.refusal for budget in budgets if budget is not None and budget.refusal), None)

    def share(self, stage: int, context: int) -> Share | None:
        """Return the cache memory of a stage's GPU; None where nothing says."""
        if self.kv_cache_memory is not None:
            return self._given
        if self.group is None or self.stages[stage].weights is None:
            return None
        return self._divided(stage, context)[1]

    def _divided(self, index: int, context: int) -> tuple[MemoryBudget, Share]:
        """Return a stage's budget and the cache's share of it, worked out once for all lengths that have the same."""
        length = context if self._budget_grows_to is None else min(context, self._budget_grows_to)
        known = self._known.get((index, length))
        if known is None:
            known = self._divide(index, length)
            if len(self._known) >= _KNOWN_BUDGETS:
                self._known.clear()
            self._known[index, length] = known
        return known

    def _divide(self, index: int, context: int) -> tuple[MemoryBudget, Share]:
        budget = self.engine.budget(
            model=self.model,
            stage=self.stages[index],
            parallel=self.parallel,
            settings=self.settings,
            gpu=self._gpu,
            context=context,
        )
        return budget, Share(budget.kv_cache_bytes, budget.kv_cache_low, budget.kv_cache_high)

    @cached_property
    def _known(self) -> dict[tuple[int, int], tuple[MemoryBudget, Share]]:
        return {}

    @cached_property
    def _budget_grows_to(self) -> int | None:
        return self.engine.budget_grows_to(
            model=self.model, parallel=self.parallel, settings=self.settings, gpu=self._gpu
        )

    @property
    def _gpu(self) -> GpuSpec:
        if self.group is None:
            raise ValueError("a deployment without GPUs has no budget")
        return self.group.gpu

    @cached_property
    def budget_is_one(self) -> bool:
        """Whether the budget is the same whatever the length of a request."""
        return self.group is None or self._budget_grows_to == 0

    @cached_property
    def _given(self) -> Share:
        size = self.kv_cache_memory or 0
        return Share(size, size, size)

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

    def surely_holds(self, context: int, requests: int) -> bool:
        """Whether the low end of the interval holds them, under every version that the interval covers."""
        return all(each.holds(context, requests, at_least) for each in (self, *self.others))

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
