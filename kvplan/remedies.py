"""The smallest changes that make a plan fit: each is tried as a plan of its own, so its effect is what would be planned."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kvplan.errors import KvplanError
from kvplan.plan import Plan, Remedy
from kvplan.weights.formats import PLAIN_BYTES, find_format

_SHOWN = 4
# Shorter contexts are offered in steps of this many tokens, and only down to the least that people serve.
_CONTEXT_STEP, _LEAST_CONTEXT = 256, 1024


def find_remedies(plan: Plan) -> tuple[Remedy, ...]:
    """Return the changes that make the plan fit with certainty, settings before hardware; none where it fits already."""
    if plan.verdict not in ("tight", "does_not_fit"):
        return ()
    found = list(_single(plan))
    gpus = min((remedy.plan.deployment.parallel.gpus for remedy in found), default=None)
    if gpus is None or gpus > plan.deployment.parallel.gpus:
        # Only more GPUs help: a smaller weight format may make do with fewer of them.
        found = [*_pairs(plan, gpus), *found]
    return tuple(found[:_SHOWN])


def _single(plan: Plan) -> Iterator[Remedy]:
    """Try one change at a time; of each kind the smallest that fits."""
    kinds = [_weight_formats(plan), _more_gpus(plan)]
    if plan.budget is None or plan.budget.used_by("weights") < plan.budget.budget_bytes:
        # Where the weights alone are too large, no cache and no setting is small enough.
        yield from _less_asked(plan)
        kinds = [_cache_formats(plan), _engine_settings(plan), *kinds]
    for kind in kinds:
        for words, changes in kind:
            remedy = _try(plan, words, changes)
            if remedy is not None:
                yield remedy
                break


def _pairs(plan: Plan, fewer_than: int | None) -> Iterator[Remedy]:
    """Try a weight format together with more GPUs, the fewest GPUs first; only fewer GPUs than already found are of use."""
    for gpu_words, gpu_changes in _more_gpus(plan):
        if fewer_than is not None and gpu_changes["tensor_parallel"] * plan.deployment.parallel.pipeline >= fewer_than:
            return
        for words, changes in _weight_formats(plan):
            remedy = _try(plan, f"{words} {gpu_words}", {**changes, **gpu_changes})
            if remedy is not None:
                yield remedy
                return


def _less_asked(plan: Plan) -> Iterator[Remedy]:
    """Ask for shorter requests, or for fewer of them."""
    users, context = plan.request.concurrent_requests, plan.request.context_tokens
    if users and users > 1 and plan.capacity.max_concurrency and plan.interval:
        fewer = int(plan.interval["max_concurrency"][0] or 0)
        if 1 <= fewer < users and (remedy := _try(plan, f"--users {fewer}", {"users": fewer})):
            yield remedy
    own = plan.deployment.model.max_context_tokens
    if own and context > own and (remedy := _try(plan, f"--context {own}", {"context": own})):
        yield remedy
        return
    shorter = _shorter(plan, context, plan.deployment.on_one_replica(users))
    if shorter and (remedy := _try(plan, f"--context {shorter}", {"context": shorter})):
        yield remedy


def _shorter(plan: Plan, context: int, users: int) -> int:
    """Return the longest context, in steps, of which that many requests fit at the low end; 0 where none does."""
    low, high = 0, context // _CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        if plan.deployment.surely_holds(middle * _CONTEXT_STEP, users):
            low = middle
        else:
            high = middle - 1
    length = low * _CONTEXT_STEP
    return length if _LEAST_CONTEXT <= length < context else 0


def _cache_formats(plan: Plan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if plan.deployment.settings.kv_dtype.bits > 8:
        yield "--kv-dtype fp8", {"kv_dtype": "fp8"}


def _engine_settings(plan: Plan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    deployment = plan.deployment
    given = deployment.arguments["engine_args"]
    users = deployment.on_one_replica(plan.request.concurrent_requests)
    for name, value in deployment.engine.relief(deployment.settings, users):
        yield f"--engine-arg {name}={str(value).lower()}", {"engine_args": {**given, name: value}}


def _weight_formats(plan: Plan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if plan.deployment.quantization in PLAIN_BYTES:
        for name in ("fp8", "int4"):
            yield f"--quantization {name}", {"quantization": name}


def _more_gpus(plan: Plan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tensor, group = plan.deployment.parallel.tensor, plan.deployment.group
    if group is not None:
        for factor in (2, 4, 8, 16):
            words = f"--tensor-parallel {tensor * factor}"
            if group.count > 1:
                # The GPUs were counted: more of them have to be named.
                words = f"--gpu {factor * plan.deployment.parallel.gpus}x{group.gpu.id} {words}"
            yield words, {"tensor_parallel": tensor * factor, "gpu": replace(group, count=1)}


def _try(plan: Plan, words: str, changes: Mapping[str, Any]) -> Remedy | None:
    """Return the remedy if the plan with the changes fits, None otherwise (an engine may refuse the change)."""
    from kvplan.planner import estimate  # noqa: PLC0415  plans and remedies need each other

    if _hopeless(plan, changes):
        return None
    asked = {"context": plan.request.context_tokens, "users": plan.request.concurrent_requests}
    try:
        changed = estimate(**{**plan.deployment.arguments, **asked, **changes})
    except KvplanError:
        return None
    return Remedy(words, _effect(changed), changed, changes) if changed.verdict == "fits" else None


def _hopeless(plan: Plan, changes: Mapping[str, Any]) -> bool:
    """Whether even the least that the weights can shrink to is more than the budget: such a plan need not be made."""
    if plan.budget is None:
        return False
    tensor = plan.deployment.parallel.tensor
    shrunk: int = tensor
    whole: int = changes.get("tensor_parallel", tensor)
    if "quantization" in changes:
        shrunk *= int(find_format(changes["quantization"])[0].bits)
        whole *= 8 * PLAIN_BYTES[plan.deployment.quantization]
    return plan.budget.used_by("weights") * shrunk > plan.budget.budget_bytes * whole


def _effect(plan: Plan) -> str:
    requests, longest = plan.capacity.max_concurrency, plan.capacity.max_context_tokens
    many = "any number of" if requests is None else f"{requests:,.1f}"
    gpus = plan.deployment.parallel.gpus
    where = f" on {gpus} GPUs" if gpus > 1 else ""
    upto = f", up to {longest:,} tokens in one" if longest else ""
    return f"{many} requests of {plan.request.context_tokens:,} tokens{upto}{where}"
