"""ModelSpec + engine settings + GpuSpec to Plan: the one path that every command takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from os import PathLike, fspath
from os.path import exists
from typing import TYPE_CHECKING, Any, NamedTuple

from kvplan.additions import Draft, adapter_items, adapter_notes, draft_item, find_draft, read_adapters, with_draft
from kvplan.deployment import Deployment
from kvplan.engines import find_engine
from kvplan.engines.base import Engine, Settings, Stage
from kvplan.errors import SettingError
from kvplan.gpus import GpuGroup, GpuSpec, find_gpu
from kvplan.models.config import show
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.plan import Plan, make_plan
from kvplan.units import LARGEST_SIZE, parse_size
from kvplan.weights.checkpoint import declared_kv_dtype, weight_scheme
from kvplan.weights.figure import WeightItem
from kvplan.weights.ranks import RankParts, Ranks, rank_parts
from kvplan.weights.scheme import Scheme
from kvplan.weights.stage import stage_weights

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter

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
    draft: str | None = None,
    adapters: Sequence[str | PathLike[str]] = (),
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
        draft: a draft model for speculation (as `model`), or `mtp` for the model's own next-token layers.
        adapters: folders or hub ids of LoRA adapters that are served beside the model.

    Raises:
        KvplanError: a name, path, setting or configuration that cannot be meant (see `kvplan.errors`); that a model
            does not fit is a verdict, not an error.

    """
    _check_kinds(gpu, engine, quantization, kv_dtype, engine_args, draft)
    spec = model if isinstance(model, ModelSpec) else load_model(model)
    # What lies at a path may change between two calls; a model's own path is read above.
    by_path = bool(adapters) or (draft is not None and exists(draft))  # noqa: PTH110  Path raises for odd names
    deployment = (_deploy.__wrapped__ if by_path else _deploy)(
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
        draft,
        _names(adapters),
    )
    if context is None:
        context = spec.max_context_tokens or _CONTEXT_WHERE_UNBOUNDED
    elif isinstance(context, bool) or not isinstance(context, int) or not 1 <= context <= 10**10:
        raise SettingError(
            f"context is {show(context)}; a whole number of tokens from 1 to 10,000,000,000 was expected."
        )
    if users is not None and (isinstance(users, bool) or not isinstance(users, int) or not 1 <= users <= 10**9):
        raise SettingError(f"users is {show(users)}; a whole number from 1 to 1,000,000,000 was expected.")
    return make_plan(deployment, context, users)


def _pairs(engine_args: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    for name, value in engine_args.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise SettingError(
                f"The engine argument {name!r} is {show(value)}; a text, a number or a bool was expected."
            )
    return tuple(sorted(engine_args.items()))


def _names(adapters: Any) -> tuple[str, ...]:
    if isinstance(adapters, str | PathLike) or not isinstance(adapters, Sequence):
        raise SettingError(f"adapters is {adapters!r}; a list of folders or hub ids was expected.")
    if not all(isinstance(name, str | PathLike) and str(name).strip() for name in adapters):
        raise SettingError(f"adapters is {list(adapters)!r}; a list of folders or hub ids was expected.")
    return tuple(str(fspath(name)) for name in adapters)


def _check_kinds(gpu: Any, engine: Any, quantization: Any, kv_dtype: Any, engine_args: Any, draft: Any) -> None:
    """Refuse arguments of a kind that cannot be meant, so that a script's slip is named where it happens."""
    for name, value, kinds in (
        ("gpu", gpu, (str, GpuGroup, type(None))),
        ("engine", engine, (str,)),
        ("quantization", quantization, (str, type(None))),
        ("kv_dtype", kv_dtype, (str,)),
        ("engine_args", engine_args, (Mapping, type(None))),
        ("draft", draft, (str, type(None))),
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
    draft_name: str | None,
    adapter_names: tuple[str, ...],
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
    if engine.stand_for_others and "@" not in engine_name:
        note = Note(
            f"No version was named: planned as {version}; the interval covers {engine.stand_for_others[0]} to {version}",
            f"--engine {engine.name}@VERSION names one",
        )
        settings = replace(settings, version_named=False, notes=(*settings.notes, note) if device else settings.notes)
    draft = find_draft(draft_name, model, engine) if draft_name is not None else None
    if draft is not None and pipeline > 1:
        raise SettingError(
            "A draft over several pipeline stages is not planned yet.", hint="Use --pipeline-parallel 1 with --draft."
        )
    scheme, as_published = weight_scheme(model, quantization, settings.model_dtype)
    if as_published and model.checkpoint is not None:
        from kvplan.weights.completeness import check_complete  # noqa: PLC0415  only for models with weight files

        check_complete(model, scheme)
    loads = Loads(
        engine=engine,
        parallel=parallel,
        settings=settings,
        gpu=device,
        scheme=scheme,
        as_published=as_published,
        draft=draft,
        adapters=read_adapters(adapter_names),
    )
    stages = tuple(_stages(model, loads))
    laid_out = with_draft(model, draft)
    return Deployment(
        model=model,
        group=group,
        engine=engine,
        settings=settings,
        parallel=parallel,
        quantization=stages[0].weights.scheme if stages[0].weights else "unknown",
        scheme=loads.scheme,
        as_published=loads.as_published,
        kv_cache_memory=_memory(kv_cache_memory),
        stages=stages,
        layouts=tuple(
            engine.layout(model=laid_out, stage=stage, parallel=parallel, settings=settings, gpu=device)
            for stage in stages
        ),
        notes=tuple(adapter_notes(loads.adapters, model)),
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
            "draft": draft_name,
            "adapters": adapter_names,
        },
        under=lambda version: _deploy(
            model,
            group,
            f"{engine.name}@{version}",
            tensor,
            pipeline,
            data,
            quantization,
            kv_dtype,
            kv_cache_memory,
            engine_args,
            draft_name,
            adapter_names,
        ),
    )


def _kv_dtype(asked: str, model: ModelSpec, engine: Engine) -> str:
    """Return the cache format asked for; `auto` is what the checkpoint declares where the engine follows that."""
    if asked == "auto" and engine.follows_declared_cache:
        return declared_kv_dtype(model) or asked
    return asked


def _memory(size: int | str | None) -> int | None:
    if size is None:
        return None
    size = parse_size(size, name="kv_cache_memory") if isinstance(size, str) else size
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST_SIZE:
        raise SettingError(f"kv_cache_memory is {show(size)}; bytes per GPU or a size such as 10GiB was expected.")
    return size


class Loads(NamedTuple):
    """What decides the weights of a stage: how they are stored and spread, and what is loaded beside them."""

    engine: Engine
    parallel: Parallelism
    settings: Settings
    gpu: GpuSpec | None
    scheme: Scheme | None
    as_published: bool
    draft: Draft | None
    adapters: tuple["Adapter", ...]


def _stages(model: ModelSpec, loads: Loads) -> Iterator[Stage]:
    parallel = loads.parallel
    ranks = loads.engine.ranks(model=model, parallel=parallel, settings=loads.settings)
    for index, layers in enumerate(parallel.stages(len(model.layers))):
        last = layers.stop == len(model.layers)
        parts = None
        if loads.scheme is not None and model.unknown_parameters is None:
            parts = rank_parts(model, layers, loads.scheme, ranks)
        weights = stage_weights(
            model,
            layers,
            loads.scheme,
            ranks,
            as_published=loads.as_published,
            parts=parts,
            extras=_beside(model, layers, parts, ranks, loads, last=last),
            spread=loads.engine.weights_spread,
        )
        drafted = loads.draft.layers if loads.draft is not None and last else ()
        yield Stage(
            index=index,
            layers=(*(model.layers[i] for i in layers), *drafted),
            weights=weights,
            unknown_weights="" if weights else _why_unknown(model, loads.scheme),
        )


def _beside(
    model: ModelSpec, layers: range, parts: RankParts | None, ranks: Ranks, loads: Loads, *, last: bool
) -> Iterator[WeightItem]:
    """Yield what a stage loads beside the stored weights: the engine's own tables, the draft, the adapters."""
    engine, settings = loads.engine, loads.settings
    if loads.scheme is not None and parts is not None:
        yield from engine.loading(
            model=model,
            layers=layers,
            parts=parts,
            plain_bytes=loads.scheme.plain_bytes,
            ranks=ranks,
            settings=settings,
            gpu=loads.gpu,
            drafts=loads.draft is not None,
        )
    if loads.draft is not None and last:
        yield draft_item(loads.draft, model, loads.scheme, ranks, settings)
    yield from adapter_items(loads.adapters, engine, model, layers, ranks, settings)


def _why_unknown(model: ModelSpec, scheme: Scheme | None) -> str:
    if scheme is None:
        section = model.quantization or {}
        method = str(section.get("quant_algo") or section.get("quant_method"))[:40]
        return f"quantization_config {method!r} states no width that kvplan understands; name one with --quantization"
    return model.unknown_parameters or ""
