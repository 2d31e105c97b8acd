"""Units to plans: what a file leaves open is settled from outside or said; the rest is `kvplan.estimate` on its settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from kvplan.deploy.accelerator_names import find_named_gpu
from kvplan.deploy.outside import Facts
from kvplan.deploy.unit import Input, Open, Unit, Verdict, place_of
from kvplan.deploy.units import Read, gpu_from_outside, is_size
from kvplan.deployment import planned
from kvplan.engines import built
from kvplan.errors import HubError, KvplanError
from kvplan.gpus import GpuGroup, find_gpu
from kvplan.launch.command import Command, read_launch
from kvplan.launch.planning import plan_command
from kvplan.launch.programs import TITLES
from kvplan.launch.stated import unsettled
from kvplan.launch.text import MASK, Place, Text
from kvplan.launch.words import Given, Word
from kvplan.models.source import load_model, names_only
from kvplan.models.spec import ModelSpec
from kvplan.plan import Plan, finite

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")
# What a plan stands on, as messages call it, and how it is settled.
_COUNTS = {
    "tensor_parallel": "the tensor-parallel size", "pipeline_parallel": "the pipeline-parallel size",
    "data_parallel": "the data-parallel size", "max_model_len": "the longest request",
    "gpu_memory_utilization": "the memory fraction",
    "kv_cache_dtype": "the cache's dtype", "quantization": "the weights' format", "max_num_seqs": "the batch's size",
    "max_num_batched_tokens": "the tokens of a batch", "dtype": "the dtype", "cpu_offload_gb": "the offloaded weights",
    "draft_model": "the draft model",
}  # fmt: skip
_WORST: dict[Verdict, int] = {"does_not_fit": 0, "unknown": 1, "tight": 2, "fits": 3}


@dataclass(slots=True, kw_only=True)
class Planned:
    """A unit with its plan, and what its rules need beside it.

    Attributes:
        read: the unit as its file states it.
        facts: from outside.
        command: the engine's command, as `kvplan.estimate -- ...` reads it; None where it cannot be.
        model: None where it is not known.
        groups: the GPUs that it may run on.
        error: why there is no plan although all is known: the engine would refuse it.
        held: whether the declared number of users fits; None where none was declared.

    """

    read: Read
    facts: Facts
    command: Command | None = None
    model: ModelSpec | None = None
    groups: list[tuple[GpuGroup, Place | None]] = field(default_factory=list)
    error: KvplanError | None = None
    held: Verdict | None = None

    @property
    def unit(self) -> Unit:
        """The unit."""
        return self.read.unit


def plan_unit(read: Read, facts: Facts, read_file: Callable[[str], str | Text]) -> Planned:
    """Return a unit's plan; what is open makes its verdict unknown, with what would settle it."""
    found = Planned(read=read, facts=facts)
    unit = read.unit
    _known_parts(found)
    if unit.engine not in built():
        title = TITLES.get(unit.engine or "", unit.engine or "the engine")
        unit.open.insert(0, Open(f"kvplan has no memory model of {title} yet", "", "KVP404"))
        return found
    if unit.launch is None:
        return found
    if unit.launch.device is not None:
        unit.open.insert(
            0, Open(f"the image is for {unit.launch.device.upper()}, where memory follows other rules", "", "KVP404")
        )
        return found
    _read_command(found, read_file)
    if found.command is not None and found.model is not None and found.groups and not unit.open:
        # Drafts and adapters that a file names are names, too.
        with names_only():
            _plan(found)
    return found


def _known_parts(found: Planned) -> None:
    """Find the model and the GPU, and note what is open."""
    unit, facts = found.unit, found.facts
    _find_model(found)
    # A file of an engine's settings is whole once it is known which model they are for.
    if unit.workload.half and not (unit.workload.format == "engine-yaml" and found.model is not None):
        unit.open.append(Open(f"this is a part of a deployment: {unit.workload.half}", "", "KVP008"))
    _find_gpus(found)
    for name, words in _COUNTS.items():
        value = unit.inputs.get(name)
        if value is not None and value.origin == "unresolved":
            unit.open.append(
                Open(f"{words} is {value.written}", _settle(value.written), _code_of(value.written), value.place)
            )
    for word in found.read.stated.open_words:
        written = word.place.written() if word.place is not None else word.text
        unit.open.append(Open(f"{written} may hold more flags", _settle(written), _code_of(written), place_of(word)))
    if (
        unit.workload.sets_parallelism
        and unit.inputs["tensor_parallel"].origin in ("default", "not stated")
        and not facts.engine
    ):
        unit.open.append(
            Open(
                f"{unit.workload.sets_parallelism} chooses the parallel sizes itself",
                "state --tensor-parallel-size in its arguments",
                "KVP003",
            )
        )


def _code_of(written: str) -> str:
    """Return the rule that says what is open: a template's expression, or a variable."""
    return "KVP002" if MASK in written or "{{" in written else "KVP003"


def _settle(written: str) -> str:
    """Return the option that gives a variable or expression a value."""
    expression = re.search(r"\{\{-?\s*\.?(?:Values\.)?([\w.]+)", written)
    if expression:
        return f"render it first (helm template . | kvplan check -), or --set {expression[1]}=VALUE"
    name = re.search(r"\$\{?\(?\{?\s*(?:env:)?([A-Za-z_][\w.]*)", written)
    return f"--set {name[1]}=VALUE" if name else "write the value itself"


def _find_model(found: Planned) -> None:
    unit, facts = found.unit, found.facts
    given = unit.inputs["model"]
    name = given.value if given.value is not None else given.written
    mapped = facts.model_of(str(name)) if name else facts.model
    if mapped is not None and mapped == name:
        mapped = None
    if mapped is not None:
        found.model = _loaded(mapped, unit, given.place, mapped=True)
        return
    if given.origin == "unresolved":
        unit.open.append(
            Open(
                f"the model is {given.written}",
                f"{_settle(given.written)} or --model-map '{given.written}=ORG/NAME'",
                _code_of(given.written),
                given.place,
            )
        )
    elif given.value is None:
        unit.open.append(Open("it names no model", "--model ORG/NAME", "KVP401"))
    elif not _HUB_ID.fullmatch(str(given.value)) and ("/" in str(given.value) or ":" in str(given.value)):
        unit.open.append(
            Open(
                f"what lies at {given.value} is not in the file",
                f"--model-map '{given.value}=ORG/NAME'",
                "KVP401",
                given.place,
            )
        )
    else:
        found.model = _loaded(str(given.value), unit, given.place, mapped=False)


def _loaded(name: str, unit: Unit, place: Place | None, *, mapped: bool) -> ModelSpec | None:
    try:
        return _load(name, mapped)
    except HubError as error:
        unit.open.append(
            Open(f"the model {name} is not in the catalogue, and its configuration is not here ({error.message.rstrip('.')})",
                 f"--online, or --model-map '{name}=PATH/config.json'", "KVP401", place)
        )  # fmt: skip
    except KvplanError as error:
        settle = error.hint or (
            "give a name that `kvplan models` knows" if mapped else f"--model-map '{name}=ORG/NAME'"
        )
        unit.open.append(
            Open(f"the model {name} cannot be planned: {error.message.rstrip('.')}", settle, "KVP401", place)
        )
    return None


@lru_cache(maxsize=256)
def _load(name: str, from_outside: bool) -> ModelSpec:
    with names_only(not from_outside):
        return load_model(name)


def _find_gpus(found: Planned) -> None:
    unit, facts = found.unit, found.facts
    gpus = unit.workload.gpus
    if (outside := gpu_from_outside(unit, facts)) is not None:
        group = find_gpu(outside)  # checked before any file is read
        found.groups.append((replace(group, count=1), None))
        return
    partition = str(gpus.partition.value) if gpus.partition is not None else None
    for given in gpus.types:
        if is_size(str(given.value)):
            unit.open.append(Open(f"any GPU with {given.value} may come", "--gpu NAME", "KVP402", place_of(given)))
            continue
        written = unsettled(given.value)
        named = None if written else find_named_gpu(str(given.value), partition)
        if written:
            unit.open.append(
                Open(
                    f"the GPU is {unit.inputs['gpu'].written}",
                    f"{_settle(written)} or --gpu NAME",
                    _code_of(written),
                    place_of(given),
                )
            )
        elif named is None:
            unit.open.append(
                Open(
                    f"the GPU {given.value} is not in the catalogue",
                    "--gpu NAME (see `kvplan gpus`)",
                    "KVP402",
                    place_of(given),
                )
            )
        else:
            found.groups.append((replace(named, count=1), place_of(given)))
    if not gpus.types:
        unit.open.append(Open("the file does not say which GPU it runs on", "--gpu NAME", "KVP402"))


def _read_command(found: Planned, read_file: Callable[[str], str | Text]) -> None:
    """Read the engine's words as `kvplan estimate -- ...` does; what it refuses is said by the rules on flags."""
    unit = found.unit
    launch = unit.launch
    if launch is None:
        return
    refused = [problem for problem in found.read.stated.problems if problem.kind in ("unknown", "ambiguous", "value")]
    if refused and not launch.wrapped:
        unit.open.append(
            Open(
                f"the engine does not take {refused[0].words[0].text if refused[0].words else 'a flag'}",
                "mend it first",
            )
        )
        return
    if any(given.origin == "unresolved" for given in unit.inputs.values()) or found.read.stated.open_words:
        return
    if launch.wrapped:
        launch = replace(launch, words=_without_foreign(found, launch.words))
    if unit.version is not None and launch.version is None:
        launch = replace(launch, version=Given(unit.version, ()))
    if launch.gpus is not None and not isinstance(launch.gpus.value, int):
        launch = replace(launch, gpus=None)  # `all`, a variable: no number to hold against CUDA_VISIBLE_DEVICES
    try:
        found.command = read_launch(launch, read_file=read_file)
    except KvplanError as error:
        found.error = error
        if all(each.what != error.message.rstrip(".") for each in unit.open) and not any(unit.open):
            unit.open.append(Open(error.message.rstrip("."), error.hint or ""))
        return
    found.command.gpus = None  # how many are there is a rule of its own
    if found.model is not None:
        given = found.command.settings.get("model")
        found.command.settings["model"] = Given(found.model.id, given.words if given is not None else ())


def _without_foreign(found: Planned, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the words of a program around the engine without the flags that are its own."""
    kept = {id(word) for given in found.read.stated.flags.values() for word in given.words}
    model = found.read.stated.values.get("model")
    kept |= {id(word) for word in model.words} if model is not None else set()
    return tuple(word for word in words if id(word) in kept)


def _plan(found: Planned) -> None:
    """Plan a unit on every GPU that it may get; the worst verdict counts."""
    unit, facts, command = found.unit, found.facts, found.command
    if command is None:
        return
    plans: list[tuple[Verdict, Plan, Verdict | None]] = []
    for group, _ in found.groups:
        try:
            plan = _planned(found, command, group)
        except KvplanError as error:
            found.error = error
            unit.open.append(Open(error.message.rstrip("."), error.hint or ""))
            return
        held = _holds(plan, facts)
        plans.append(
            (plan.verdict if held is None else min(plan.verdict, held, key=lambda each: _WORST[each]), plan, held)
        )
    verdict, plan, held = min(plans, key=lambda each: _WORST[each[0]])
    unit.plan, unit.verdict, found.held = plan, verdict, held
    unit.margin_bytes = margin(plan, facts)
    if verdict == "unknown":
        unit.open.append(
            Open(
                plan.reasons[0].rstrip(".") if plan.reasons else "the weights are unknown",
                "--model-map to a folder with its weight files",
                "KVP401",
            )
        )
    _put_defaults(unit, plan)


def _planned(found: Planned, command: Command, group: GpuGroup) -> Plan:
    own = replace(
        command, beside={}, notes=list(command.notes), warnings=list(command.warnings), settings=dict(command.settings)
    )
    context = None if "context" in own.settings else found.facts.context
    model = found.model
    if model is not None and "model" not in own.settings:
        own.settings["model"] = Given(model.id, ())
    return plan_command(own, gpu=group, spec=model, context=context)


def _holds(plan: Plan, facts: Facts) -> Verdict | None:
    """Return whether the declared users fit, each with the declared length or the engine's own longest."""
    if (facts.users is None and facts.context is None) or plan.verdict == "unknown":
        return None
    deployment = plan.deployment
    context = facts.context or plan.request.context_tokens
    if context > plan.request.context_tokens:
        return "does_not_fit"
    asked = deployment.on_one_replica(facts.users)
    if not deployment.holds(context, asked, planned):
        return "does_not_fit"
    return "fits" if deployment.surely_holds(context, asked) else "tight"


def requests_held(plan: Plan, tokens: int) -> float | None:
    """Return the requests of a length that one replica of a plan's deployment holds; None where nothing bounds or tells them."""
    deployment = plan.deployment
    stage = deployment.deciding_stage(tokens)
    share = deployment.share(stage, tokens)
    if share is None:
        return None
    return finite(deployment.layouts[stage].concurrency(max(share.bytes, 0), tokens, deployment.encoder_tokens(tokens)))


def margin(plan: Plan, facts: Facts) -> int | None:
    """Return what is left of the cache once all that was asked for is held; negative where it is not."""
    share = plan.deployment.share(plan.stage, plan.request.context_tokens)
    if share is None:
        return None
    needed = plan.bytes_per_request * plan.deployment.on_one_replica(plan.request.concurrent_requests)
    if facts.users is not None:
        context = facts.context or plan.request.context_tokens
        encoder = plan.deployment.encoder_tokens(context)
        needed = max(needed, plan.layout.request_bytes(context, encoder) * plan.deployment.on_one_replica(facts.users))
    return share.bytes - needed


def _put_defaults(unit: Unit, plan: Plan) -> None:
    """Put the settings that the engine chooses itself beside those that are stated."""
    args = plan.deployment.settings.args
    for name in ("gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens"):
        if unit.inputs[name].origin in ("default", "not stated") and name in args:
            unit.inputs[name] = Input(value=args[name].value, origin="default")
    if unit.inputs["max_model_len"].origin == "not stated":
        unit.inputs["max_model_len"] = Input(value=plan.request.context_tokens, origin="default")
