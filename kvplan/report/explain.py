"""How each figure of a plan comes about: formula, numbers, source."""

from collections.abc import Iterator
from dataclasses import dataclass

from kvplan.plan import Plan
from kvplan.units import format_bytes


@dataclass(frozen=True, slots=True)
class Derivation:
    """One figure: what it is, how it is worked out, what comes out, and where the rule is from."""

    figure: str
    formula: str
    result: str
    source: str


def derive(plan: Plan) -> Iterator[Derivation]:
    """Yield the derivations of a plan's figures, in the order of the report."""
    yield from _parameters(plan)
    yield from _budget(plan)
    yield from _cache(plan)
    yield from _capacity(plan)


def _parameters(plan: Plan) -> Iterator[Derivation]:
    model = plan.deployment.model
    if model.parameters_by_component:
        terms = " + ".join(
            f"{name} {count:,}" for name, count in model.parameters_by_component.items() if name != "draft"
        )
        yield Derivation("parameters", terms, f"{model.parameters:,}", model.source)
    elif model.parameters:
        yield Derivation("parameters", "published total", f"{model.parameters:,}", model.source)


def _budget(plan: Plan) -> Iterator[Derivation]:
    budget = plan.budget
    if budget is None:
        if plan.weights is not None:
            yield from _weights(plan)
        return
    if plan.weights is not None:
        yield from _weights(plan)
    yield Derivation("budget", budget.formula, format_bytes(budget.budget_bytes), budget.source)
    for item in budget.items:
        spread = "" if item.low == item.high else f" ({format_bytes(item.low)} to {format_bytes(item.high)})"
        yield Derivation(item.name.replace("_", " "), item.formula, format_bytes(item.bytes) + spread, item.source)
    terms = " - ".join(["budget", *(item.name.replace("_", " ") for item in budget.items)])
    yield Derivation("KV cache", terms, format_bytes(budget.kv_cache_bytes), "what is left")


def _weights(plan: Plan) -> Iterator[Derivation]:
    """Yield what the weights are made of, what stays in 16 bits, and what the other stages hold."""
    weights = plan.weights
    if weights is None:
        return
    if len(weights.items) > 1 or plan.budget is None:
        for item in weights.items:
            name = "weights" if len(weights.items) == 1 else item.name
            yield Derivation(name, item.formula, format_bytes(item.bytes), item.source)
    if weights.left_alone:
        terms = " + ".join(f"{name} {format_bytes(size)}" for name, size in weights.left_alone.items())
        said = "the checkpoint's own configuration" if weights.stated else f"the rule of {weights.scheme}"
        yield Derivation("linears not quantised", terms, format_bytes(sum(weights.left_alone.values())), said)
    if weights.least is not None:
        terms = f"the fullest {format_bytes(weights.bytes)}; others have an expert of each layer less"
        yield Derivation("least full rank", terms, format_bytes(weights.least), "one stage")
    stages = plan.deployment.stages
    if len(stages) > 1:
        terms = ", ".join(
            f"stage {stage.index} ({len(stage.layers)} layers) {format_bytes(stage.weights.bytes)}"
            for stage in stages
            if stage.weights is not None
        )
        fullest = max(stage.weights.bytes for stage in stages if stage.weights is not None)
        yield Derivation("weights by stage", terms, f"{format_bytes(fullest)} at most", "one rank of each stage")


def _cache(plan: Plan) -> Iterator[Derivation]:
    source = f"{plan.deployment.engine.name} {plan.deployment.settings.version}".strip()
    for group in plan.layout.groups:
        figure = f"{group.layers} x {group.kind.replace('_', ' ')}"
        page = f", pages of {format_bytes(group.page_bytes)}" if group.block_tokens else ""
        yield Derivation(figure, group.formula, f"{format_bytes(group.bytes_per_token)} per token{page}", source)
    if plan.layout.bytes_per_block:
        blocks = plan.bytes_per_request / plan.layout.bytes_per_block
        formula = f"{blocks:,.0f} blocks x {plan.layout.bytes_per_block:,} B"
    else:
        formula = f"the groups above at n = {plan.request.context_tokens:,}"
    yield Derivation("one request", formula, format_bytes(plan.bytes_per_request), source)


def _capacity(plan: Plan) -> Iterator[Derivation]:
    if plan.kv_cache_bytes is None or plan.capacity.max_concurrency is None:
        return
    formula = f"{plan.kv_cache_bytes:,} B / {plan.bytes_per_request:,} B, in whole blocks where the engine pages"
    yield Derivation("concurrent requests", formula, f"{plan.capacity.max_concurrency:,.2f}", "the cache / one request")
    if plan.capacity.max_context_tokens is not None:
        rule = "the longest n whose request fits; n + 1 does not, or is beyond the model's own maximum"
        yield Derivation(
            "longest context", rule, f"{plan.capacity.max_context_tokens:,} tokens", "search on the size above"
        )
