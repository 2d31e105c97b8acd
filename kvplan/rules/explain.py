"""What decided a plan, as findings show it: the other places, and the arithmetic."""

from collections.abc import Iterator

from kvplan.deploy.plans import Planned
from kvplan.deploy.unit import Input, place_of
from kvplan.launch.text import Place
from kvplan.plan import Plan
from kvplan.rules.finding import Label
from kvplan.units import format_bytes


def gpus_needed(planned: Planned) -> int | None:
    """Return tensor x pipeline x data parallel; None where one of them is not settled.

    SGLang's attention by data parallelism splits the ranks that tensor parallelism has, so that it adds none
    (sglang, server_args.py enable_dp_attention).
    """
    unit = planned.unit
    names = ["tensor_parallel", "pipeline_parallel", "data_parallel"]
    if unit.engine == "sglang" and "--enable-dp-attention" in planned.read.stated.flags:
        names.remove("data_parallel")
    needed = 1
    for name in names:
        given = unit.inputs.get(name)
        if given is None or given.origin == "not stated":
            continue
        if not isinstance(given.value, int) or given.value < 1:
            return None
        needed *= given.value
    return needed


def labels(planned: Planned, but: Place | None = None) -> tuple[Label, ...]:
    """Return the places that decided a plan beside the one that is underlined: model, fraction, dtype, parallel sizes, GPU."""
    plan = planned.unit.plan
    if plan is None:
        return ()
    seen: set[tuple[str, int]] = set() if but is None else {(but.path, but.start)}
    found: list[Label] = []
    for place, text in _deciding(planned, plan):
        if place is not None and (place.path, place.start) not in seen:
            seen.add((place.path, place.start))
            found.append(Label(place, text))
    return tuple(sorted(found, key=lambda label: (label.place.path, label.place.start)))


def _deciding(planned: Planned, plan: Plan) -> Iterator[tuple[Place | None, str]]:
    unit, inputs, budget = planned.unit, planned.unit.inputs, plan.budget
    if budget is not None:
        yield inputs["model"].place, f"weights of {format_bytes(budget.used_by('weights'))} per GPU"
    fraction = inputs["gpu_memory_utilization"]
    if fraction.value is not None and budget is not None:
        if fraction.place is not None:
            yield fraction.place, f"{fraction.value:g} of each GPU: {format_bytes(budget.budget_bytes)}"
        else:
            image = unit.launch.version if unit.launch is not None else None
            yield place_of(image), f"no memory fraction is stated: {fraction.value:g} is this version's default"
    if (length := inputs["max_model_len"]).place is not None and isinstance(length.value, int):
        size = format_bytes(plan.bytes_per_request)
        yield length.place, f"one request of {plan.request.context_tokens:,} tokens takes {size} of cache"
    for name, words in (
        ("tensor_parallel", "tensor parallel"),
        ("pipeline_parallel", "pipeline stages"),
        ("data_parallel", "replicas"),
    ):
        given = inputs[name]
        if isinstance(given.value, int) and given.value > 1:
            yield given.place, f"{words}: {given.value}"
    yield inputs["kv_cache_dtype"].place, f"cache in {plan.deployment.settings.kv_dtype.name}"
    group = plan.deployment.group
    if group is not None:
        where = next((place for known, place in planned.groups if known.gpu.id == group.gpu.id), None)
        yield where, f"{group.gpu.name}, {format_bytes(group.gpu.driver_bytes)} each"


def notes(planned: Planned) -> tuple[str, ...]:
    """Return a plan's arithmetic, one line each, and what it rests on that the file does not say."""
    plan = planned.unit.plan
    if plan is None:
        return ()
    found = list(_arithmetic(plan))
    outside = [_outside(name, given) for name, given in planned.unit.inputs.items() if given.origin == "option"]
    if planned.unit.version is None and plan.deployment.engine.latest:
        outside.append(
            f"{plan.deployment.engine.name} {plan.deployment.settings.version}, as the file names no version"
        )
    if outside:
        found.append(f"taken from outside the file: {'; '.join(outside)}")
    return tuple(found)


def _outside(name: str, given: Input) -> str:
    return f"{name} {given.value}"


def _arithmetic(plan: Plan) -> Iterator[str]:
    budget, group = plan.budget, plan.deployment.group
    if budget is not None and group is not None:
        parts = [f"{words} {format_bytes(budget.used_by(item))}" for item, words in _ITEMS if budget.used_by(item)]
        left = format_bytes(max(0, budget.kv_cache_bytes)) if budget.kv_cache_bytes > 0 else "nothing"
        yield (
            f"per GPU {format_bytes(budget.budget_bytes)} of {format_bytes(budget.total_bytes)} may be used "
            f"({budget.formula}); {', '.join(parts)}; {left} is left for the cache"
        )
    tokens = plan.request.context_tokens
    yield f"one request of {tokens:,} tokens takes {format_bytes(plan.bytes_per_request)} of cache per GPU"
    interval, capacity = plan.interval, plan.capacity
    if interval is not None and capacity.max_concurrency is not None:
        low, high = interval["max_concurrency"]
        end = f"{high:,.1f}" if high is not None else "any number"
        yield f"{capacity.max_concurrency:,.1f} such requests fit at once (5 % to 95 %: {low or 0:,.1f} to {end})"
    if group is not None:
        yield from group.assumptions


_ITEMS = (("weights", "weights"), ("activation", "activations"), ("cuda_graph", "CUDA graphs"), ("runtime", "runtime"))
