"""Rules on topology: parallel sizes against GPUs, heads and layers."""

from collections.abc import Iterator

from kvplan.deploy.plans import Planned
from kvplan.deploy.unit import Input
from kvplan.errors import SettingError
from kvplan.launch.text import Place
from kvplan.rules.explain import gpus_needed
from kvplan.rules.finding import Finding, Fix, Label
from kvplan.rules.fixes import count_edits
from kvplan.rules.make import finding

_WORDS = {"tensor_parallel": "tensor", "pipeline_parallel": "pipeline", "data_parallel": "data"}
# Engines that take all GPUs they see where nothing else is said (TGI's num_shard, llama.cpp's split, Ollama, NIM's profiles).
# Formats whose GPUs are those of a node on which other replicas may run, too.
_SHARE_NODES = ("ray",)
_TAKE_ALL = ("tgi", "llama.cpp", "ollama", "nim", "transformers")


def check(planned: Planned) -> Iterator[Finding]:
    """Yield what is wrong with a unit's topology."""
    yield from _count(planned)
    yield from _heads(planned)


def _count(planned: Planned) -> Iterator[Finding]:
    unit = planned.unit
    inputs = unit.inputs
    count, needed = inputs["gpu_count_requested"], gpus_needed(planned)
    if not isinstance(count.value, int) or needed is None or unit.workload.half or unit.engine is None:
        return
    nodes = inputs["nodes"].value if isinstance(inputs["nodes"].value, int) else 1
    local = inputs.get("data_parallel_local")
    if local is not None and isinstance(local.value, int) and nodes == 1:
        # The other data-parallel ranks run on machines of their own.
        data = inputs["data_parallel"].value or 1
        needed = needed // max(1, data) * max(1, local.value) if isinstance(data, int) else needed
    there = count.value * max(1, nodes)
    stated = [name for name in _WORDS if inputs[name].origin in ("given", "option")]
    sizes = " x ".join(str(inputs[name].value or 1) for name in _WORDS)
    where = f"{nodes} nodes x {count.value}" if nodes > 1 else f"{count.value}"
    labels = _labels(planned, count)
    if needed > there and count.value > 0:
        place = (
            next((inputs[name].place for name in _WORDS if inputs[name].place is not None), None)
            or count.place
            or unit.place
        )
        yield finding(
            "KVP201", planned, place,
            f"the engine needs {needed} GPUs (tensor x pipeline x data parallel = {sizes}); the file asks for {where}.",
            labels=tuple(label for label in labels if label.place != place),
            fixes=_fixes(planned, needed, nodes),
            identity=("count",),
        )  # fmt: skip
    elif (
        needed < there
        and (stated or unit.engine not in _TAKE_ALL)
        and not unit.workload.sets_parallelism
        and not unit.workload.format.startswith(_SHARE_NODES)
    ):
        yield finding(
            "KVP202", planned, count.place or unit.place,
            f"{there - needed} of {there} GPUs {'stays' if there - needed == 1 else 'stay'} unused: "
            f"the engine runs on {needed} (tensor x pipeline x data parallel = {sizes}).",
            labels=tuple(label for label in labels if label.place != count.place),
            fixes=_fixes(planned, needed, nodes),
            identity=("count",),
        )  # fmt: skip


def _labels(planned: Planned, count: Input) -> tuple[Label, ...]:
    found = [
        Label(given.place, f"{words} parallel: {given.value}")
        for name, words in _WORDS.items()
        if (given := planned.unit.inputs[name]).place is not None
    ]
    if count.place is not None:
        found.append(Label(count.place, f"{count.value} GPU{'s' if count.value != 1 else ''}"))
    return tuple(sorted(found, key=lambda label: (label.place.path, label.place.start)))


def _fixes(planned: Planned, needed: int, nodes: int) -> tuple[Fix, ...]:
    edits = count_edits(planned.unit.inputs["gpu_count_requested"], needed) if nodes == 1 else []
    change = f"ask for {needed} GPU{'s' if needed != 1 else ''}"
    return (Fix(change=change, effect="as many as the parallel sizes need", edits=tuple(edits)),) if edits else ()


def _heads(planned: Planned) -> Iterator[Finding]:
    unit = planned.unit
    error = planned.error
    if isinstance(error, SettingError) and error.about in ("tensor_parallel", "pipeline_parallel"):
        given = unit.inputs[error.about]
        yield finding(
            "KVP203", planned, given.place or unit.place, _sentence(error),
            here=f"{given.value}", labels=_model(planned, given.place), identity=(error.about,),
        )  # fmt: skip
        return
    plan = unit.plan
    if plan is None:
        return
    tensor, pipeline = plan.deployment.parallel.tensor, plan.deployment.parallel.pipeline
    heads = min((cache.kv_heads for cache, _ in plan.deployment.model.caches if cache.kv_heads), default=None)
    given = unit.inputs["tensor_parallel"]
    if heads is not None and heads < tensor and given.place is not None:
        yield finding(
            "KVP204", planned, given.place,
            f"the model has {heads} KV head{'s' if heads > 1 else ''}, there are {tensor} ranks: "
            f"so the cache is stored {tensor // heads} times.",
            labels=_model(planned, given.place), identity=("kv heads",),
        )  # fmt: skip
    layers = len(plan.deployment.model.layers)
    stages = unit.inputs["pipeline_parallel"]
    if pipeline > 1 and layers % pipeline and stages.place is not None:
        yield finding(
            "KVP205", planned, stages.place,
            f"{layers} layers do not divide over {pipeline} stages: the fullest holds {-(-layers // pipeline)} and decides.",
            labels=_model(planned, stages.place), identity=("layers",),
        )  # fmt: skip


def _model(planned: Planned, but: Place | None) -> tuple[Label, ...]:
    place = planned.unit.inputs["model"].place
    return () if place is None or place == but or planned.model is None else (Label(place, planned.model.id),)


def _sentence(error: SettingError) -> str:
    return f"{error.message.rstrip('.')}." + (f" {error.hint}" if error.hint else "")
