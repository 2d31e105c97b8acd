"""The textbook engine: weights, an overhead, and the rest is cache, allocated in one of three ways.

* `paged`: blocks of `block_tokens` positions as the sequence grows; the last block is partly empty (vLLM's paper).
* `contiguous`: exactly the request's length, known beforehand (the paper's "Oracle").
* `reserved`: room for the model's longest sequence for every request, however short (the paper's "Max").

Source of the three: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with
PagedAttention", section 6.2 and figure 2.

Two what-ifs of the literature: `kept_layers`, as if only that many layers kept a cache that the others read
(layer-condensed caches, Wu and Tu 2024), and `host_memory`, as if idle requests waited outside the GPU.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from kvplan.caches import LayerCache
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import (
    ArgSpec,
    CacheLayout,
    Engine,
    MemoryBudget,
    Setting,
    Settings,
    Size,
    Stage,
    divide,
    exact,
    less_others,
    weights_item,
)
from kvplan.engines.plain import SummedLayout, group_of, rank_caches
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.config import show
from kvplan.models.spec import Layer, ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.units import GIB, ceil_div, format_bytes


class Textbook(Engine):
    """Plain arithmetic."""

    name: ClassVar[str] = "textbook"
    title: ClassVar[str] = "no engine: the articles' arithmetic; reservation, rounding and paging shown apart"
    args: ClassVar[Mapping[str, ArgSpec]] = {
        "allocation": ArgSpec(("paged", "contiguous", "reserved"), "how a request's cache is allocated", "paged"),
        "block_tokens": ArgSpec(int, "positions of one block, for paged", 16),
        "overhead": ArgSpec(Size, "memory that neither weights nor cache get, per GPU", GIB),
        "gpu_memory_used": ArgSpec(Size, "what others use of each GPU", 0),
        "max_model_len": ArgSpec(int, "positions kept for every request, for reserved", None),
        "kept_layers": ArgSpec(int, "what-if: only this many layers keep a cache", None),
        "host_memory": ArgSpec(Size, "what-if: host memory per GPU that keeps the caches of idle requests", 0),
        "encoder_tokens": ArgSpec(int, "length of the encoder's input", None),
    }

    def settings(
        self,
        *,
        version: str,
        given: Mapping[str, Any],
        kv_dtype: str,
        model: ModelSpec,
        gpu: GpuSpec | None,  # noqa: ARG002
        parallel: Parallelism,  # noqa: ARG002
    ) -> Settings:
        """Return the arguments, defaults included."""
        args = self.with_defaults(self.check_args(given))
        for name in ("block_tokens", "kept_layers", "max_model_len", "encoder_tokens"):
            value = args[name].value
            if value is not None and not 1 <= value <= 10**10:
                raise SettingError(
                    f"textbook's {name} is {show(value)}; a whole number from 1 to 10,000,000,000 was expected."
                )
        caching = sum(bool(layer.caches) for layer in model.layers)
        if (kept := args["kept_layers"].value) is not None and kept > caching:
            raise SettingError(
                f"textbook's kept_layers is {kept}, but only {caching} layers of {model.id} keep a cache."
            )
        if args["max_model_len"].value is None:
            args["max_model_len"] = Setting(model.max_context_tokens, "from the model")
        if args["allocation"].value == "reserved" and args["max_model_len"].value is None:
            raise SettingError(
                "allocation=reserved needs a longest sequence, and the model states none.",
                hint="Add --engine-arg max_model_len=N.",
            )
        model_dtype = find_dtype(model.dtype)
        return Settings(
            version=version,
            args=args,
            kv_dtype=model_dtype if kv_dtype == "auto" else find_dtype(kv_dtype),
            model_dtype=model_dtype,
            notes=(Note(f"An overhead of {format_bytes(args['overhead'].value)} per GPU", args["overhead"].origin),),
        )

    def layout(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec | None,  # noqa: ARG002
    ) -> CacheLayout:
        """Return the layers' caches, each rounded as the allocation says; without those that a what-if takes away."""
        dtype, model_dtype = settings.kv_dtype, settings.model_dtype
        block: int | None = settings["block_tokens"] if settings["allocation"] == "paged" else None
        caches = rank_caches(_kept(model, stage, parallel, settings["kept_layers"]), parallel.tensor)
        cached = [cache for cache in caches if cache.kind != "recurrent_state"]
        per_block = None
        if block is not None and cached and all(cache.grows for cache in cached):
            per_block = sum(n * cache.page_bytes(block, dtype) for cache, n in caches.items())
        return SummedLayout(
            groups=tuple(
                group_of(cache, n, dtype=dtype, model_dtype=model_dtype, page_tokens=block)
                for cache, n in caches.items()
            ),
            sizes=tuple(_allocated(cache, n, settings) for cache, n in caches.items()),
            live=tuple(_held(cache, n, dtype, model_dtype) for cache, n in caches.items()),
            over_encoder=tuple(cache.kind == "cross_attention" for cache in caches),
            block_tokens=block,
            bytes_per_block=per_block,
            host_bytes=settings["host_memory"],
        )

    def budget(
        self,
        *,
        model: ModelSpec,  # noqa: ARG002
        stage: Stage,
        parallel: Parallelism,  # noqa: ARG002
        settings: Settings,
        gpu: GpuSpec,
        context: int,  # noqa: ARG002
    ) -> MemoryBudget:
        """Return memory - what others use - weights - overhead."""
        overhead, used = settings["overhead"], settings["gpu_memory_used"]
        return divide(
            total_bytes=gpu.driver_bytes,
            budget_bytes=gpu.driver_bytes - used,
            items=(
                weights_item(stage),
                exact("runtime", overhead, format_bytes(overhead), f"overhead, {settings.args['overhead'].origin}"),
            ),
            formula=f"all of the GPU{less_others(used)}",
            source="no engine",
        )


def _kept(model: ModelSpec, stage: Stage, parallel: Parallelism, most: int | None) -> Iterator[Layer]:
    """Return the stage's layers that are among the first `most` of the model that keep a cache; None: all of them."""
    if most is None:
        yield from stage.layers
        return
    start = parallel.stages(len(model.layers))[stage.index].start
    left = most - sum(bool(layer.caches) for layer in model.layers[:start])
    for layer in stage.layers:
        if layer.caches and left > 0:
            left -= 1
            yield layer


def _held(cache: LayerCache, layers: int, dtype: Dtype, model_dtype: Dtype) -> Callable[[int], int]:
    return lambda tokens: layers * cache.bytes_for(tokens, dtype, model_dtype)


def _allocated(cache: LayerCache, layers: int, settings: Settings) -> Callable[[int], int]:
    """Return the bytes of `layers` layers as allocated: the held ones, rounded to blocks or reserved whole."""
    dtype, model_dtype = settings.kv_dtype, settings.model_dtype
    allocation = settings["allocation"]
    # State has one size, and the encoder's output is complete before the first token: neither is reserved beyond that.
    complete = cache.kind == "recurrent_state" or (cache.kind == "cross_attention" and allocation == "reserved")
    if allocation == "contiguous" or complete:
        return _held(cache, layers, dtype, model_dtype)
    if allocation == "reserved":
        longest = settings["max_model_len"]
        return lambda tokens: layers * cache.bytes_for(max(tokens, longest), dtype, model_dtype)
    block = settings["block_tokens"]
    page = cache.page_bytes(block, dtype)
    window = cache.window_tokens
    if window is None:
        return lambda tokens: layers * ceil_div(tokens, block) * page
    # A window that does not start on a block's edge reaches into one block more.
    most = ceil_div(window - 1, block) + 1
    return lambda tokens: layers * min(ceil_div(tokens, block), most) * page
