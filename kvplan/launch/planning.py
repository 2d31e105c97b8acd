"""The plan of a pasted command: what it says, with what is asked for beside it."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kvplan.errors import SettingError, UnknownModelError
from kvplan.gpus import GpuGroup, find_gpu
from kvplan.launch.command import Command, shown
from kvplan.models.overrides import with_overrides
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec
from kvplan.plan import Plan
from kvplan.planner import estimate
from kvplan.units import parse_size

# kvplan's options, for messages.
_OPTIONS = {
    "model": "--model",
    "tensor_parallel": "--tensor-parallel",
    "pipeline_parallel": "--pipeline-parallel",
    "data_parallel": "--data-parallel",
    "context": "--context",
    "quantization": "--quantization",
    "kv_dtype": "--kv-dtype",
    "kv_cache_memory": "--kv-cache-memory",
    "draft": "--draft",
    "adapters": "--adapter",
}

# Arguments that describe the machine or the request: no command says them.
_OF_THE_MACHINE = ("gpu_memory_used", "usage", "encoder_tokens")


def plan_command(
    command: Command,
    *,
    gpu: str | GpuGroup | None = None,
    version: str | None = None,
    users: int | None = None,
    engine_args: Mapping[str, Any] | None = None,
    spec: ModelSpec | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of a command.

    Args:
        command: as read.
        gpu: as `kvplan.estimate`; None: sizes only.
        version: of the engine, where the command does not say.
        users: as `kvplan.estimate`.
        engine_args: what is asked for beside the command, by the engine's own names.
        spec: the model, where it was read already; None: by the name that the command or an option gives.
        options: the other arguments of `kvplan.estimate`, None where not given; they fill what the command leaves open.

    Raises:
        SettingError: an option and the command say different things, or the command says something that cannot be meant.
        KvplanError: as `kvplan.estimate`.

    """
    values = _with_options(command, options)
    model = values.pop("model", None)
    if model is None:
        raise SettingError(
            "The command names no model.", hint="Add it to the command, or name it with --model before --."
        )
    spec = _model(command, model if spec is None else spec)
    if command.format_of is not None:
        values["quantization"] = command.format_of(spec)
    context = values.pop("context", None)
    if "context" in command.beside and command.beside["context"] == spec.max_context_tokens:
        del command.beside["context"]  # what the engine plans for anyway
    if command.longest_is_free and isinstance(context, int) and context > (spec.max_context_tokens or context):
        command.note(
            f"VLLM_ALLOW_LONG_MAX_MODEL_LEN lets in {context:,} tokens; the model's own are {spec.max_context_tokens:,}"
        )
        spec = replace(spec, max_context_tokens=context)
    arguments = {
        **values,
        "model": spec,
        "gpu": find_gpu(gpu) if isinstance(gpu, str) else gpu,
        "engine": f"{command.engine}@{command.version.value if command.version else version}"
        if command.version or version
        else command.engine,
        "engine_args": _engine_args(command, engine_args or {}, spec),
    }
    _check_gpus(command, arguments)
    if command.beside:
        words = ", ".join(f"{name} {shown(_word(value))}" for name, value in _options(command.beside))
        command.warnings.append(f"The command itself does not say {words}: planned as if it did.")
    plan = (
        _longest(command, arguments, users)
        if context == "auto"
        else estimate(**arguments, context=context, users=users)
    )
    return replace(plan, command=command)


def check_engine(command: Command, name: str, version: str) -> None:
    """Refuse an engine or version that was asked for and that the command does not start.

    Raises:
        SettingError: names both.

    """
    if name and name != command.engine:
        raise SettingError(
            f"--engine {name[:40]} contradicts the command, which starts {command.engine}.", hint="Leave --engine out."
        )
    if version and command.version is not None and _release(version) != _release(str(command.version.value)):
        raise SettingError(
            f"--engine {name}@{version[:40]} contradicts {shown(command.version)} of the command ({command.version.value}).",
            hint="Keep one of the two.",
        )


def _release(version: str) -> list[int]:
    """Return `0.19` as [0, 19, 0]."""
    return [*map(int, re.findall(r"\d+", version)), 0, 0][:3]


def _with_options(command: Command, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command's values, with those of the options that it leaves open.

    Raises:
        SettingError: both say something, and it differs.

    """
    values = {name: given.value for name, given in command.settings.items()}
    for name, value in options.items():
        if value is None or value == ():
            continue
        given = command.settings.get(name)
        if given is None or (name == "context" and given.value == "auto"):
            values[name] = value
            if name != "model":
                command.beside[name] = value
        elif name == "model" and _elsewhere(str(given.value)):
            # A path inside a container or on another machine: the option says what lies there.
            command.note(f"{shown(given.value)} is planned as {shown(value)}")
            values[name] = value
        elif not _same(name, value, given.value):
            raise SettingError(
                f"{_OPTIONS.get(name, name)} {shown(_word(value))} contradicts {shown(given)} of the command.",
                hint="Keep one of the two.",
            )
    return values


def _elsewhere(model: str) -> bool:
    """Whether a model's name is a path that does not exist here."""
    return model.startswith(("/", "./", "../", "~", "s3://", "gs://")) and not os.path.exists(  # noqa: PTH110  Path raises for odd names
        os.path.expanduser(model)  # noqa: PTH111  Path's own raises for a user there is not
    )


def _same(name: str, value: Any, given: Any) -> bool:
    if name == "kv_cache_memory":
        return bool((parse_size(value) if isinstance(value, str) else value) == given)
    if isinstance(value, str) and isinstance(given, str):
        return value.strip().lower() == given.strip().lower()
    return bool(value == given)


def _word(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _model(command: Command, model: Any) -> ModelSpec:
    try:
        spec = model if isinstance(model, ModelSpec) else load_model(model)
    except UnknownModelError as error:
        given = command.settings.get("model")
        if given is not None and "$" in str(model):
            raise SettingError(
                f"What {shown(model)} stands for is not known here.", hint="Write the model's name, or give --model."
            ) from error
        if given is not None and _elsewhere(str(model)):
            raise SettingError(
                f"The command serves {shown(model)}, which is not on this machine.",
                hint="Say what lies there: --model ORG/NAME before --.",
            ) from error
        raise
    if command.config:
        command.note(f"The model's configuration is changed: {shown(', '.join(command.config))}")
        spec = with_overrides(spec, {key: given.value for key, given in command.config.items()})
    if command.longest is not None:
        spec = replace(spec, max_context_tokens=command.longest)
    return spec


def _engine_args(command: Command, options: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any]:
    args = {name: given.value for name, given in command.engine_args.items()}
    for name, value in options.items():
        if name in args and str(args[name]).lower() != str(value).lower():
            raise SettingError(
                f"--engine-arg {name}={shown(value)} contradicts {shown(command.engine_args[name])} of the command.",
                hint="Keep one of the two.",
            )
        if name not in args:
            args[name] = value
            if name not in _OF_THE_MACHINE:
                command.beside.setdefault("engine_args", {})[name] = value
    no_items = args.pop("no_items", None)
    if no_items is not None:
        towers = {part.component for part in spec.parts()} & {"vision", "audio"}
        closed = {"vision"} if {"image", "video"} <= set(no_items) else set()
        closed |= {"audio"} if "audio" in no_items else set()
        if towers and towers <= closed:
            args.setdefault("language_model_only", True)
        elif towers:
            command.note("The towers are counted: not every kind of input has the limit 0")
    return args


def _check_gpus(command: Command, arguments: Mapping[str, Any]) -> None:
    """Refuse a command that needs more GPUs than it may see."""
    needed = 1
    for name in ("tensor_parallel", "pipeline_parallel", "data_parallel"):
        size = arguments.get(name) or 1
        needed *= size if isinstance(size, int) else 1
    if command.gpus is not None and command.gpus.value < needed and not command.several_nodes:
        raise SettingError(
            f"The command needs {needed} GPUs (tensor x pipeline x data parallel); "
            f"{command.gpus} shows it {command.gpus.value}.",
            hint="Show it more GPUs, or lower the parallel sizes.",
        )


def _options(beside: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what was asked for beside a command as it was asked for."""
    for name, value in beside.items():
        if name == "engine_args":
            yield from ((f"--engine-arg {argument}", each) for argument, each in value.items())
        else:
            yield _OPTIONS.get(name, name), value


def _longest(command: Command, arguments: Mapping[str, Any], users: int | None) -> Plan:
    """Return the plan for the length that the engine picks itself: the model's own, or the longest that fits."""
    plan = estimate(**arguments, users=users)
    interval = plan.interval
    if plan.verdict in ("fits", "unknown") or interval is None or not plan.capacity.max_context_tokens:
        return plan
    surely = interval["max_context_tokens"][0]
    picked = plan.capacity.max_context_tokens
    length = int(surely) if surely else picked
    if not length:
        return plan
    command.note(
        f"{command.engine} picks the longest request that fits: about {picked:,} tokens, at least {length:,}, which is planned"
    )
    return estimate(**arguments, context=length, users=users)
