"""ModelSpec + engine settings + GpuSpec to Plan: the one path that every command takes."""

from collections.abc import Mapping
from functools import lru_cache
from os import PathLike
from typing import Any

from kvplan.deployment import Deployment
from kvplan.engines import find_engine
from kvplan.engines.base import Engine, Stage
from kvplan.errors import SettingError
from kvplan.gpus import GpuGroup, find_gpu
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.plan import Plan, make_plan
from kvplan.units import ceil_div, parse_size
from kvplan.weights.checkpoint import declared_kv_dtype, weight_format
from kvplan.weights.formats import WeightFormat
from kvplan.weights.ranks import rank_bytes, stage_parts

# A model that states no longest sequence is planned for one of this length where none is given.
_CONTEXT_WHERE_UNBOUNDED = 8192


def estimate(
    model: str | PathLike[str] | ModelSpec,
    gpu: str | GpuGroup | None = None,
    engine: str = "vllm",
    *,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    data_parallel: int = 1,
    context: int | None = None,
    users: int | None = None,
    quantization: str | None = None,
    kv_dtype: str = "auto",
    kv_cache_memory: int | str | None = None,
    engine_args: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the plan for serving a model.

    Args:
        model: a catalogue name or alias, a hub id, a path to a configuration, or a model read by `load_model`.
        gpu: a catalogue name, `COUNTxNAME`, a cloud instance type, `auto` or a size; None: sizes only, no verdict.
        engine: `vllm`, `transformers` or `textbook`; `vllm@0.19` pins a version.
        tensor_parallel: ranks that split each layer.
        pipeline_parallel: stages that split the layers.
        data_parallel: replicas.
        context: tokens of one request; None: the model's own maximum.
        users: concurrent requests that must fit; None: one must.
        quantization: format of the weights; None: as the checkpoint is published.
        kv_dtype: format of the cache; `auto`: what the checkpoint declares, else the model's own.
        kv_cache_memory: bytes of cache per GPU (or a size such as `10GiB`), instead of a budget.
        engine_args: the engine's own settings, by its own names.

    Raises:
        KvplanError: a name, path, setting or configuration that cannot be meant (see `kvplan.errors`); that a model
            does not fit is a verdict, not an error.

    """
    _check_kinds(gpu, engine, quantization, kv_dtype, engine_args)
    spec = model if isinstance(model, ModelSpec) else load_model(model)
    deployment = _deploy(
        spec,
        gpu,
        engine,
        tensor_parallel,
        pipeline_parallel,
        data_parallel,
        quantization,
        kv_dtype,
        kv_cache_memory,
        _pairs(engine_args) if engine_args else (),
    )
    if context is None:
        context = spec.max_context_tokens or _CONTEXT_WHERE_UNBOUNDED
    elif isinstance(context, bool) or not isinstance(context, int) or not 1 <= context <= 10**10:
        raise SettingError(f"context is {context!r}; a whole number of tokens, at least 1, was expected.")
    if users is not None and (isinstance(users, bool) or not isinstance(users, int) or not 1 <= users <= 10**9):
        raise SettingError(f"users is {users!r}; a whole number of at least 1 was expected.")
    return make_plan(deployment, context, users)


def _pairs(engine_args: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    for name, value in engine_args.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise SettingError(f"The engine argument {name!r} is {value!r}; a text, a number or a bool was expected.")
    return tuple(sorted(engine_args.items()))


def _check_kinds(gpu: Any, engine: Any, quantization: Any, kv_dtype: Any, engine_args: Any) -> None:
    """Refuse arguments of a kind that cannot be meant, so that a script's slip is named where it happens."""
    for name, value, kinds in (
        ("gpu", gpu, (str, GpuGroup, type(None))),
        ("engine", engine, (str,)),
        ("quantization", quantization, (str, type(None))),
        ("kv_dtype", kv_dtype, (str,)),
        ("engine_args", engine_args, (Mapping, type(None))),
    ):
        if not isinstance(value, kinds):
            words = {"engine_args": "a mapping", "gpu": "a name"}.get(name, "a text")
            raise SettingError(f"{name} is {value!r}; {words} was expected.")


@lru_cache(maxsize=1024)
def _deploy(
    model: ModelSpec,
    gpu: str | GpuGroup | None,
    engine_name: str,
    tensor: int,
    pipeline: int,
    data: int,
    quantization: str | None,
    kv_dtype: str,
    kv_cache_memory: int | str | None,
    engine_args: tuple[tuple[str, Any], ...],
) -> Deployment:
    """Return the deployment; the same arguments give the same one, so that many requests on it are cheap."""
    engine, version = find_engine(engine_name)
    group = find_gpu(gpu) if isinstance(gpu, str) else gpu
    given = dict(engine_args)
    context = engine.check_args(given).get(engine.context_parallel_arg, 1)
    parallel = Parallelism(tensor=tensor, pipeline=pipeline, data=data, context=context)
    if group is not None and group.count > 1 and parallel.gpus > group.count:
        raise SettingError(
            f"{group.count} x {group.gpu.id} are {group.count} GPUs, but tensor x pipeline x data parallel is {parallel.gpus}.",
            hint="Name more GPUs, or lower the parallel sizes.",
        )
    device = group.gpu if group else None
    settings = engine.settings(
        version=version,
        given=given,
        kv_dtype=_kv_dtype(kv_dtype, model, engine),
        model=model,
        gpu=device,
        parallel=parallel,
    )
    form = weight_format(model, quantization, settings.model_dtype)
    stages = tuple(_stages(model, parallel, form))
    return Deployment(
        model=model,
        group=group,
        engine=engine,
        settings=settings,
        parallel=parallel,
        quantization=form[0].name if form else "unknown",
        kv_cache_memory=_memory(kv_cache_memory),
        stages=stages,
        layouts=tuple(
            engine.layout(model=model, stage=stage, parallel=parallel, settings=settings, gpu=device)
            for stage in stages
        ),
        arguments={
            "model": model,
            "gpu": group,
            "engine": engine_name,
            "tensor_parallel": tensor,
            "pipeline_parallel": pipeline,
            "data_parallel": data,
            "quantization": quantization,
            "kv_dtype": kv_dtype,
            "kv_cache_memory": kv_cache_memory,
            "engine_args": given,
        },
    )


def _kv_dtype(asked: str, model: ModelSpec, engine: Engine) -> str:
    """Return the cache format asked for; `auto` is what the checkpoint declares where the engine follows that."""
    if asked == "auto" and engine.follows_declared_cache:
        return declared_kv_dtype(model) or asked
    return asked


def _memory(size: int | str | None) -> int | None:
    if size is None:
        return None
    size = parse_size(size) if isinstance(size, str) else size
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise SettingError(f"kv_cache_memory is {size!r}; bytes per GPU or a size such as 10GiB was expected.")
    return size


def _stages(model: ModelSpec, parallel: Parallelism, form: tuple[WeightFormat, int] | None) -> list[Stage]:
    stages = []
    for index, layers in enumerate(parallel.stages(len(model.layers))):
        size, formula = _weights(model, layers, parallel, form)
        low, high = form[0].bounds(size) if form is not None and size is not None else (0, 0)
        stages.append(
            Stage(
                index=index,
                layers=tuple(model.layers[i] for i in layers),
                weights_bytes=size,
                weights_low=low,
                weights_high=high,
                weights_formula=formula,
            )
        )
    return stages


def _weights(
    model: ModelSpec, layers: range, parallel: Parallelism, form: tuple[WeightFormat, int] | None
) -> tuple[int | None, str]:
    """Return the weights of a stage's fullest rank and how they come about; None and why where they are unknown."""
    if form is None:
        section = model.quantization or {}
        method = str(section.get("quant_algo") or section.get("quant_method"))[:40]
        return (
            None,
            f"quantization_config {method!r} states no width that kvplan understands; name one with --quantization",
        )
    if model.parameters is None:
        return None, model.unknown_parameters or ""
    weight_format, plain_bytes = form
    ranks = parallel.tensor * parallel.pipeline
    over = f" in {weight_format.name}{f', over {ranks} ranks' if ranks > 1 else ''}"
    if model.unknown_parameters is None:
        size = rank_bytes(stage_parts(model, layers), weight_format, plain_bytes, parallel.tensor)
        return size, f"{model.parameters:,} parameters{over}"
    # A published total stands in where no rule counts the parts: an even split, as first order.
    size = ceil_div(weight_format.approximate_bytes(model.parameters), ranks)
    return size, f"{model.parameters:,} parameters (published total){over}"
