"""transformers' own caches (`cache_utils.py`, 5.18), batch 1.

DynamicCache grows by the token, without rounding; a window keeps W - 1 positions (the next token makes it W). StaticCache
reserves `max_cache_len` positions, W for a window. Convolution states keep all taps; recurrent states have the model's
fixed formats. Where a model's implementation caches something else, `departures.py` says so.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from kvplan.caches import CompressorState, LayerCache
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import (
    ArgSpec,
    BudgetItem,
    CacheLayout,
    Engine,
    MemoryBudget,
    Settings,
    Size,
    Stage,
    divide,
    less_others,
    weights_item,
)
from kvplan.engines.plain import SummedLayout, group_of, rank_caches
from kvplan.engines.transformers.departures import as_cached
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.config import show
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.units import GIB

# Non-torch memory of one process at TP 1 (CUDA context, cuBLAS): 0.25 GiB in 66 start-up logs of vLLM 0.19 on H100
# (llm-d-planner receipts); up to 0.6 GiB on other GPUs.
_CONTEXT_BYTES, _CONTEXT_HIGH = GIB // 4, 6 * GIB // 10


class Transformers(Engine):
    """`model.generate` in one process."""

    name: ClassVar[str] = "transformers"
    latest: ClassVar[str] = "5.18"
    title: ClassVar[str] = "Hugging Face transformers: DynamicCache, StaticCache"
    args: ClassVar[Mapping[str, ArgSpec]] = {
        "cache_implementation": ArgSpec(("dynamic", "static"), "which cache generate() builds", "dynamic"),
        "max_cache_len": ArgSpec(int, "positions that a static cache reserves; default: the context", None),
        "gpu_memory_used": ArgSpec(Size, "what others use of each GPU", 0),
        "encoder_tokens": ArgSpec(int, "length of the encoder's input", None),
    }
    follows_declared_cache: ClassVar[bool] = False

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
        """Return the arguments, defaults included.

        Raises:
            SettingError: a KV dtype that these caches do not have.

        """
        args = self.with_defaults(self.check_args(given))
        for name in ("max_cache_len", "encoder_tokens"):
            if (value := args[name].value) is not None and not 1 <= value <= 10**10:
                raise SettingError(
                    f"transformers' {name} is {show(value)}; a whole number from 1 to 10,000,000,000 was expected."
                )
        model_dtype = find_dtype(model.dtype)
        dtype = model_dtype if kv_dtype == "auto" else find_dtype(kv_dtype)
        if dtype.name not in ("float32", "float16", "bfloat16"):
            raise SettingError(
                f"transformers' DynamicCache and StaticCache keep the model's own format, not {dtype.name}.",
                hint="Leave --kv-dtype out, or plan another engine.",
            )
        return Settings(version=version, args=args, kv_dtype=dtype, model_dtype=model_dtype)

    def layout(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec | None,  # noqa: ARG002
    ) -> CacheLayout:
        """Return what the cache object holds."""
        dtype, model_dtype = settings.kv_dtype, settings.model_dtype
        caches = rank_caches(as_cached(model, stage.layers), parallel.tensor)
        sizes = tuple(_size(cache, n, settings) for cache, n in caches.items())
        peaks = tuple(_peak(cache, n, settings) or size for (cache, n), size in zip(caches.items(), sizes, strict=True))
        return SummedLayout(
            groups=tuple(group_of(cache, n, dtype=dtype, model_dtype=model_dtype) for cache, n in caches.items()),
            sizes=sizes,
            live=sizes,
            peaks=peaks,
            over_encoder=tuple(cache.kind == "cross_attention" for cache in caches),
        )

    def budget_grows_to(
        self,
        *,
        model: ModelSpec,  # noqa: ARG002
        parallel: Parallelism,  # noqa: ARG002
        settings: Settings,  # noqa: ARG002
        gpu: GpuSpec,  # noqa: ARG002
    ) -> int | None:
        """Return that activations grow with every token of the request."""
        return None

    def budget(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec,
        context: int,
    ) -> MemoryBudget:
        """Return torch's memory - what others use - weights - context - the prefill's activation peak.

        The peak is the MLP of one layer over the whole prompt: residual and input (2 D) beside gate, its activation, up
        and their product (4 F); experts that a token goes through count as their width. Source: modeling_llama.py
        LlamaMLP.forward in eager mode. Long prompts of windowed layers also hold all their keys for a moment.
        """
        width = _mlp_width(model)
        per_token = (2 * model.hidden_size + 4 * width // parallel.tensor) * settings.model_dtype.block_bytes
        peak = context * per_token
        used = settings["gpu_memory_used"]
        return divide(
            total_bytes=gpu.driver_bytes,
            budget_bytes=(gpu.torch_bytes or gpu.driver_bytes) - used,
            items=(
                weights_item(stage),
                BudgetItem(
                    name="activation",
                    bytes=peak,
                    low=0,
                    high=2 * peak,
                    formula=f"{context:,} tokens x (2 x {model.hidden_size:,} + 4 x {width:,}) x "
                    f"{settings.model_dtype.block_bytes} B",
                    source="one layer's MLP over the whole prompt (modeling_llama.py, eager); bounds: chunked prefill to twice",
                ),
                BudgetItem(
                    name="runtime",
                    bytes=_CONTEXT_BYTES,
                    low=0,
                    high=_CONTEXT_HIGH,
                    formula="0.25 GiB",
                    source="CUDA context: 66 start-up logs of vLLM 0.19 on H100, TP 1",
                ),
            ),
            formula=f"what torch sees of the GPU{less_others(used)}",
            source=f"gpu_specs/{gpu.id}.yaml",
        )


def _mlp_width(model: ModelSpec) -> int:
    if model.moe is not None:
        return model.moe.intermediate_size * (
            (model.moe.experts_per_token or model.moe.experts) + model.moe.shared_experts
        )
    widths = [p.shape[0] for layer in model.layers for p in layer.parts if p.component == "mlp" and p.kind == "linear"]
    return max(widths, default=0)


def _compressor_bytes(cache: CompressorState, layers: int, dtype: Dtype) -> tuple[int, int]:
    """Return the bytes of one position that waits to be pooled, and those kept of the last entry where entries overlap.

    Source: modeling_deepseek_v4.py: buffer_kv and buffer_gate are drained every `ratio` tokens; overlap_kv and
    overlap_gate hold `ratio` positions of one series.
    """
    row = 2 * layers * cache.dim * dtype.block_bytes
    return cache.series * row, cache.ratio * row if cache.series > 1 else 0


def _peak(cache: LayerCache, layers: int, settings: Settings) -> Callable[[int], int] | None:
    """Return the most that the layers hold on the way to `tokens`, where that is more than they hold there."""
    if not isinstance(cache, CompressorState):
        return None
    waiting, overlap = _compressor_bytes(cache, layers, settings.kv_dtype)
    return lambda tokens: min(tokens, cache.ratio - 1) * waiting + (overlap if tokens >= cache.ratio else 0)


def _size(cache: LayerCache, layers: int, settings: Settings) -> Callable[[int], int]:
    """Return the bytes of `layers` layers after `tokens` positions."""
    dtype, model_dtype = settings.kv_dtype, settings.model_dtype
    if isinstance(cache, CompressorState):
        waiting, overlap = _compressor_bytes(cache, layers, dtype)
        return lambda tokens: tokens % cache.ratio * waiting + (overlap if tokens >= cache.ratio else 0)
    window, per_token = cache.window_tokens, cache.token_bytes(dtype)
    if cache.kind in ("recurrent_state", "cross_attention") or window is None:
        if settings["cache_implementation"] == "static" and cache.kind not in ("recurrent_state", "cross_attention"):
            reserved = settings["max_cache_len"]
            return lambda tokens: layers * cache.bytes_for(max(tokens, reserved or tokens), dtype, model_dtype)
        return lambda tokens: layers * cache.bytes_for(tokens, dtype, model_dtype)
    if settings["cache_implementation"] == "static":
        reserved = settings["max_cache_len"]
        return lambda tokens: layers * min(max(tokens, reserved or tokens), window) * per_token
    return lambda tokens: layers * min(tokens, window - 1) * per_token
