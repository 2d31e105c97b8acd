"""The answer: what fits, how sure that is, and why. `to_dict` is the contract's JSON."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kvplan.deployment import Deployment, at_least, at_most, planned
from kvplan.engines.base import CacheGroup, CacheLayout, MemoryBudget
from kvplan.models.spec import Note
from kvplan.units import format_bytes
from kvplan.weights.figure import Weights

if TYPE_CHECKING:
    from kvplan.launch.command import Changed, Command

SCHEMA = "kvplan.plan/1"
Verdict = Literal["fits", "tight", "does_not_fit", "unknown"]


class Request(NamedTuple):
    """What is asked: the tokens of one request, and how many at once (None: not asked, one)."""

    context_tokens: int
    concurrent_requests: int | None


class Capacity(NamedTuple):
    """What the cache memory holds, in one replica.

    Attributes:
        kv_cache_blocks: blocks of the cache; None where the engine does not page or nothing says how much memory there is.
        kv_cache_tokens: as this engine version prints it; None where nothing bounds it.
        max_context_tokens: the longest single request; None where nothing bounds it.
        max_concurrency: requests of the context at once; None where nothing bounds it.
        limited_by: `weights`, `kv_cache`, `model` or the engine's `batch_arg` (`max_num_seqs`); None without a GPU.
        replicas: data-parallel replicas, each with this capacity.

    """

    kv_cache_blocks: int | None
    kv_cache_tokens: int | None
    max_context_tokens: int | None
    max_concurrency: float | None
    limited_by: str | None
    replicas: int


class Sessions(NamedTuple):
    """Requests of the context whose caches are kept at once: on the GPU, and idle ones in host memory."""

    gpu: int
    host: int


@dataclass(frozen=True, eq=False)
class Plan:
    """One plan. Cheap to make: what only a report needs is worked out when asked for.

    Attributes:
        deployment: model, GPUs, engine and settings.
        request: what is asked.
        stage: the pipeline stage whose GPU the figures are of (the one that decides).
        verdict: whether the request fits.
        capacity: what fits.
        bytes_per_request, live_bytes_per_request: what one request reserves, and what it holds while it decodes.
        command: the launch command that the settings were read from; None where there was none.

    """

    deployment: Deployment
    request: Request
    stage: int
    verdict: Verdict
    capacity: Capacity
    bytes_per_request: int
    live_bytes_per_request: int
    command: "Command | None" = None

    def __repr__(self) -> str:
        deployment = self.deployment
        gpus = f" on {deployment.parallel.gpus} x {deployment.group.gpu.id}" if deployment.group else ""
        engine = f"{deployment.engine.name} {deployment.settings.version}".strip()
        return f"<Plan {self.verdict}: {deployment.model.id}{gpus}, {engine}, {self.request.context_tokens} tokens>"

    @property
    def layout(self) -> CacheLayout:
        """The cache layout of the deciding GPU."""
        return self.deployment.layouts[self.stage]

    @property
    def weights(self) -> Weights | None:
        """What the deciding GPU loads; None where no source says."""
        return self.deployment.stages[self.stage].weights

    @cached_property
    def budget(self) -> MemoryBudget | None:
        """How the deciding GPU is divided; None without a GPU or where the weights are unknown."""
        return self.deployment.budget(self.stage, self.request.context_tokens)

    @cached_property
    def kv_cache_bytes(self) -> int | None:
        """What the engine gives the cache of the deciding GPU; None where nothing says."""
        share = self.deployment.share(self.stage, self.request.context_tokens)
        return None if share is None else max(share.bytes, 0)

    @cached_property
    def sessions(self) -> Sessions | None:
        """What host memory adds; None where the engine keeps no cache there, or nothing bounds the requests."""
        deployment, context = self.deployment, self.request.context_tokens
        requests = self.capacity.max_concurrency
        if requests is None or not self.layout.host_bytes:
            return None
        encoder = deployment.encoder_tokens(context)
        parked = [n for layout in deployment.layouts if (n := layout.parked(context, encoder)) is not None]
        # An idle session comes back to a GPU that holds at least one.
        return Sessions(int(requests), min(parked, default=0) if requests >= 1 else 0)

    @cached_property
    def interval(self) -> dict[str, tuple[int | float | None, int | float | None]] | None:
        """The capacities at 5 % and 95 %; None without cache memory.

        Where no version of the engine was named they cover what other versions would do.
        """
        if self.deployment.share(self.stage, self.request.context_tokens) is None:
            return None
        deployments = (self.deployment, *self.deployment.others)
        ends = [_interval(each, self.request.context_tokens) for each in deployments]
        return {name: _envelope([end[name] for end in ends]) for name in ends[0]}

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict, in words, with the figures."""
        return (*_reasons(self), *_host_memory(self))

    @cached_property
    def remedies(self) -> tuple["Remedy", ...]:
        """The smallest changes that make it fit, most useful first; none where it fits."""
        from kvplan.remedies import find_remedies  # noqa: PLC0415  remedies are plans themselves

        found = find_remedies(self)
        if self.command is None:
            return found
        before = self.deployment.arguments["engine_args"]
        return tuple(replace(remedy, command=self.command.changed(remedy.changes, before)) for remedy in found)

    @cached_property
    def assumptions(self) -> tuple[Note, ...]:
        """What was assumed, and from where."""
        deployment = self.deployment
        notes = [*deployment.settings.notes, *deployment.model.assumptions]
        if self.command is not None:
            notes = [*self.command.notes, *(Note(text, "the command") for text in self.command.warnings), *notes]
        if deployment.group is not None:
            notes += [Note(text, deployment.group.origin) for text in deployment.group.assumptions]
        if deployment.group is not None and deployment.group.count > deployment.parallel.gpus:
            notes.append(
                Note(f"{deployment.parallel.gpus} of the {deployment.group.count} GPUs are used", "the parallel sizes")
            )
        notes += [*_disagreements(deployment), *deployment.notes]
        limit = deployment.model.max_context_tokens
        if limit and self.request.context_tokens > limit:
            notes.append(
                Note(f"{self.request.context_tokens:,} tokens are more than the model's own {limit:,}", "configuration")
            )
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON document."""
        deployment, layout = self.deployment, self.layout
        model, group, parallel = deployment.model, deployment.group, deployment.parallel
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "model": {
                "id": model.id,
                "source": model.source,
                "model_type": model.model_type,
                "parameters": model.parameters,
                "parameters_by_component": dict(model.parameters_by_component),
                "layers": len(model.layers),
                "max_context_tokens": model.max_context_tokens,
            },
            "gpu": None
            if group is None
            else {"id": group.gpu.id, "count": parallel.gpus, "memory_bytes": group.gpu.driver_bytes},
            "engine": {
                "name": deployment.engine.name,
                "version": deployment.settings.version,
                "args": {
                    name: {"value": setting.value, "origin": setting.origin}
                    for name, setting in deployment.settings.args.items()
                },
            },
            "parallel": {"tensor": parallel.tensor, "pipeline": parallel.pipeline, "data": parallel.data},
            "request": {
                "context_tokens": self.request.context_tokens,
                "concurrent_requests": self.request.concurrent_requests,
            },
            "memory": self._memory(),
            "weights": self._weights(),
            "cache": {
                "dtype": deployment.settings.kv_dtype.name,
                "block_tokens": layout.block_tokens,
                "bytes_per_token": layout.bytes_per_token,
                "bytes_per_request": self.bytes_per_request,
                "live_bytes_per_request": self.live_bytes_per_request,
                "groups": [_group(group) for group in layout.groups],
            },
            "capacity": {
                "kv_cache_blocks": self.capacity.kv_cache_blocks,
                "kv_cache_tokens": self.capacity.kv_cache_tokens,
                "max_context_tokens": self.capacity.max_context_tokens,
                "max_concurrency": self.capacity.max_concurrency,
                "limited_by": self.capacity.limited_by,
                "replicas": self.capacity.replicas,
                "sessions": None if self.sessions is None else {"gpu": self.sessions.gpu, "host": self.sessions.host},
            },
            "interval": None if self.interval is None else {name: list(ends) for name, ends in self.interval.items()},
            "reasons": list(self.reasons),
            "remedies": [remedy.to_dict() for remedy in self.remedies],
            "assumptions": [{"text": note.text, "source": note.source} for note in self.assumptions],
        }

    def _weights(self) -> dict[str, Any] | None:
        """Return what the weights' figure is made of; None where no source says."""
        weights, checkpoint = self.weights, self.deployment.checkpoint
        if weights is None:
            return None
        return {
            "origin": weights.origin,
            "format": weights.scheme,
            "items": [
                {"name": item.name, "bytes": item.bytes, "formula": item.formula, "source": item.source}
                for item in weights.items
            ],
            "by_component": dict(weights.by_component),
            "left_alone": dict(weights.left_alone),
            "stages": [stage.weights.bytes if stage.weights else None for stage in self.deployment.stages],
            "least_full_rank": weights.least if weights.least is not None else weights.bytes,
            "checkpoint_bytes": checkpoint.best.bytes if checkpoint.best else None,
            "differences": [
                {"origin": figure.origin, "bytes": figure.bytes, "relative": round(relative, 6)}
                for figure, relative in checkpoint.differences
            ],
        }

    def _memory(self) -> dict[str, int | None]:
        budget, cache = self.budget, self.kv_cache_bytes
        if budget is None:
            group = self.deployment.group
            return {
                "total_bytes": group.gpu.driver_bytes if group else None,
                "budget_bytes": None,
                "weights_bytes": None if self.weights is None else self.weights.bytes,
                "activation_bytes": None,
                "cuda_graph_bytes": None,
                "runtime_bytes": None,
                "kv_cache_bytes": cache,
                "free_bytes": None,
            }
        used = sum(item.bytes for item in budget.items)
        return {
            "total_bytes": budget.total_bytes,
            "budget_bytes": budget.budget_bytes,
            "weights_bytes": budget.used_by("weights"),
            "activation_bytes": budget.used_by("activation"),
            "cuda_graph_bytes": budget.used_by("cuda_graph"),
            "runtime_bytes": budget.used_by("runtime"),
            "kv_cache_bytes": cache,
            "free_bytes": budget.total_bytes - used - (cache or 0),
        }


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change that makes a plan fit.

    Attributes:
        change: what to change, as on the command line.
        effect: what that gives, in words with figures.
        plan: the plan with the change made.
        changes: by the names of `kvplan.estimate`.
        command: the command that was pasted, changed so; None where there was none, or where it cannot say that.

    """

    change: str
    effect: str
    plan: Plan
    changes: Mapping[str, Any]
    command: "Changed | None" = None

    @property
    def words(self) -> str:
        """The change as the command says it, else as kvplan's options do."""
        return self.command.flags if self.command else self.change

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's form: the change, its effect and the new plan's figures."""
        capacity = self.plan.capacity
        return {
            "change": self.words,
            "effect": self.effect,
            "plan": {
                "verdict": self.plan.verdict,
                "kv_cache_tokens": capacity.kv_cache_tokens,
                "max_context_tokens": capacity.max_context_tokens,
                "max_concurrency": capacity.max_concurrency,
            },
            **({"command": self.command.text} if self.command else {}),
        }


# Differences between sources below this are headers, alignment and rounded figures.
_TOLD_FROM = 0.005


def _disagreements(deployment: Deployment) -> Iterator[Note]:
    """Yield where the sources of the weights' size differ, and what the files say of themselves."""
    checkpoint, model = deployment.checkpoint, deployment.model
    for figure, relative in checkpoint.differences:
        if checkpoint.best is not None and abs(relative) >= _TOLD_FROM:
            best = checkpoint.best
            yield Note(
                f"The {figure.origin} comes to {format_bytes(figure.bytes)} of weights, {relative:+.1%} from "
                f"{format_bytes(best.bytes)} by {best.origin}, which counts",
                figure.source,
            )
    if model.checkpoint is not None:
        for text in model.checkpoint.notes:
            yield Note(text, model.checkpoint.source)
        for left in model.checkpoint.left_out:
            size = f" ({format_bytes(left.bytes)})" if left.bytes is not None else ""
            yield Note(f"{left.what}{size} is not counted: {left.why}", model.checkpoint.source)


def make_plan(deployment: Deployment, context: int, users: int | None) -> Plan:
    """Return the plan for requests of `context` tokens, `users` of them at once (None: one)."""
    stage = deployment.deciding_stage(context)
    layout = deployment.layouts[stage]
    encoder = deployment.encoder_tokens(context)
    reserved = layout.request_bytes(context, encoder)
    share = deployment.share(stage, context)
    if share is None:
        verdict: Verdict = "unknown"
        capacity = Capacity(None, None, None, None, None, deployment.parallel.data)
    else:
        asked = deployment.on_one_replica(users)
        verdict = "does_not_fit"
        if deployment.holds(context, asked, planned) and deployment.refusal(context) is None:
            sure = deployment.surely_holds(context, asked) and not deployment.over_budget(stage, context)
            verdict = "fits" if sure else "tight"
        cache = max(share.bytes, 0)
        limit = deployment.model.max_context_tokens or 0
        usual = deployment.budget_is_one and context <= limit
        concurrency = _requests(layout, share.bytes, context, encoder)
        capacity = Capacity(
            layout.blocks(cache),
            layout.printed_tokens(cache, context, encoder),
            deployment.longest_request if usual else deployment.longest(context, planned),
            concurrency,
            _limit(deployment, share.bytes, concurrency),
            deployment.parallel.data,
        )
    return Plan(
        deployment,
        Request(context, users),
        stage,
        verdict,
        capacity,
        reserved,
        layout.live_bytes(context, encoder),
    )


Range = tuple[int | float | None, int | float | None]


def _interval(deployment: Deployment, context: int) -> dict[str, Range]:
    """Return the ends of a deployment's capacities, which its fewest-holding stage decides."""
    stage = deployment.deciding_stage(context)
    layout, share, encoder = (
        deployment.layouts[stage],
        deployment.share(stage, context),
        deployment.encoder_tokens(context),
    )
    low, high = (share.low, share.high) if share else (0, 0)
    return {
        "kv_cache_tokens": (
            layout.printed_tokens(low, context, encoder),
            layout.printed_tokens(high, context, encoder),
        ),
        "max_context_tokens": (deployment.longest(context, at_least), deployment.longest(context, at_most)),
        "max_concurrency": (_requests(layout, low, context, encoder), _requests(layout, high, context, encoder)),
    }


def _envelope(ranges: list[Range]) -> Range:
    """Return the least low end and the greatest high end; None stands for no bound."""
    lows, highs = [low for low, _ in ranges if low is not None], [high for _, high in ranges]
    return min(lows, default=None), None if None in highs else max(high for high in highs if high is not None)


def _requests(layout: CacheLayout, cache_bytes: int, context: int, encoder: int) -> float | None:
    """Return the requests that fit at once: none where not even the rest does, None where nothing bounds them."""
    return 0.0 if cache_bytes < 0 else finite(layout.concurrency(cache_bytes, context, encoder))


def finite(value: float) -> float | None:
    """Return the value, None for infinity: JSON has none."""
    return None if math.isinf(value) else value


def _host_memory(plan: Plan) -> Iterator[str]:
    if plan.sessions is not None:
        yield (
            f"Sessions of {plan.request.context_tokens:,} tokens: {plan.sessions.gpu:,} on the GPU, and "
            f"{plan.sessions.host:,} idle ones in {format_bytes(plan.layout.host_bytes)} of host memory per GPU."
        )


def _limit(deployment: Deployment, cache_bytes: int, concurrency: float | None) -> str:
    if cache_bytes <= 0:
        return "weights"
    if concurrency is None:
        return "model"
    most = deployment.most_requests
    return deployment.engine.batch_arg if most is not None and concurrency > most else "kv_cache"


def _group(group: CacheGroup) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "layers": group.layers,
        "kv_heads": group.kv_heads,
        "head_dim": group.head_dim,
        "dtype": group.dtype,
        "window_tokens": group.window_tokens,
        "bytes_per_token": group.bytes_per_token,
        "fixed_bytes": group.fixed_bytes,
        "page_bytes": group.page_bytes,
    }


def _reasons(plan: Plan) -> list[str]:
    """Return the sentences that give the verdict's reason, each with its figures."""
    deployment, budget, context = plan.deployment, plan.budget, plan.request.context_tokens
    model, interval = deployment.model, plan.interval
    cacheless = [f"{model.id} is {model.cacheless}, without a language-model cache."] if model.cacheless else []
    if plan.kv_cache_bytes is None or interval is None:
        if deployment.group is None:
            return [*cacheless, "No GPU was named, so there are sizes but no verdict."]
        why = deployment.stages[plan.stage].unknown_weights
        return [*cacheless, f"The weights are unknown ({why}), so what is left for the cache is too."]
    if budget is not None and budget.kv_cache_bytes < 0 and deployment.kv_cache_memory is None:
        return [*cacheless, _no_room(budget)]
    if cacheless:
        return [*cacheless, f"Weights and overheads leave {format_bytes(plan.kv_cache_bytes)} of the budget per GPU."]
    refusal = deployment.refusal(context)
    if refusal:
        return [refusal]
    asked = deployment.on_one_replica(plan.request.concurrent_requests)
    most = deployment.most_requests
    if most is not None and asked > most:
        return [f"{asked:,} requests at once are more than {deployment.engine.batch_arg} ({most:,}) lets into a batch."]
    where = f" on each of {deployment.parallel.data} replicas" if deployment.parallel.data > 1 else ""
    many = asked > 1
    needed = (
        f"{asked:,} request{'s' if many else ''} of {context:,} tokens{where} {'need' if many else 'needs'} "
        f"{format_bytes(plan.bytes_per_request * asked)} of cache"
    )
    have = f"{format_bytes(plan.kv_cache_bytes)} per GPU are there for it"
    if plan.verdict == "does_not_fit":
        refusal = plan.layout.refusal(plan.kv_cache_bytes, context, deployment.encoder_tokens(context))
        return [f"{needed}; only {have}.", *([refusal] if refusal else [])]
    reasons = [f"{needed}; {have}."]
    low = interval["max_concurrency"][0]
    if plan.verdict == "tight" and low is not None and low < asked:
        reasons.append(f"At the low end of the interval only {low:.2f} requests fit.")
    over = deployment.over_budget(plan.stage, context)
    if over:
        reasons.append(f"The cache was given outright: with the rest it is {format_bytes(over)} more than the GPU has.")
    return reasons


def _no_room(budget: MemoryBudget) -> str:
    weights = budget.used_by("weights")
    short = weights - budget.budget_bytes
    if short > 0:
        return (
            f"The weights alone ({format_bytes(weights)} per GPU) exceed the budget of "
            f"{format_bytes(budget.budget_bytes)} by {format_bytes(short)}."
        )
    return f"Weights and overheads leave nothing of the budget of {format_bytes(budget.budget_bytes)} per GPU."
