"""vLLM's settings, and the way from a model's layers to its groups and budget."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from kvplan.caches import MLA, LayerCache, RecurrentState, SparseIndex
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import ArgSpec, CacheLayout, Engine, MemoryBudget, Setting, Settings, Stage
from kvplan.engines.vllm import budget as vllm_budget
from kvplan.engines.vllm.grouping import group_layers
from kvplan.engines.vllm.layout import VllmLayout
from kvplan.engines.vllm.specs import InFlight, LayerSpec
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.units import GIB, ceil_div

_LATEST = "0.33"


class Vllm(Engine):
    """`vllm serve`."""

    name: ClassVar[str] = "vllm"
    latest: ClassVar[str] = _LATEST
    title: ClassVar[str] = "vLLM: paged groups over one pool; first budget with wide bounds"
    args: ClassVar[Mapping[str, ArgSpec]] = {
        "gpu_memory_utilization": ArgSpec(float, "fraction of the GPU that vLLM lets itself use"),
        "max_num_seqs": ArgSpec(int, "most requests in one batch"),
        "max_num_batched_tokens": ArgSpec(int, "most tokens of one step"),
        "block_size": ArgSpec(int, "positions of a block"),
        "enforce_eager": ArgSpec(bool, "no CUDA graphs", False),
        "enable_prefix_caching": ArgSpec(bool, "keep blocks of shared prefixes", True),
        "disable_hybrid_kv_cache_manager": ArgSpec(bool, "page windows for every position", False),
        "decode_context_parallel_size": ArgSpec(int, "ranks that split the positions of a decode", 1),
        "encoder_tokens": ArgSpec(int, "length of the encoder's input", None),
    }

    def settings(
        self,
        *,
        version: str,
        given: Mapping[str, Any],
        kv_dtype: str,
        model: ModelSpec,
        gpu: GpuSpec | None,
        parallel: Parallelism,
    ) -> Settings:
        """Return the flags, with this version's defaults.

        Raises:
            SettingError: a flag that vLLM would refuse, or heads that the tensor-parallel size does not divide.

        """
        checked = self.check_args(given)
        defaults = {name: spec.default for name, spec in self.args.items()} | _defaults(version, gpu)
        args = {
            name: Setting(checked[name], "given") if name in checked else Setting(value, f"default of vLLM {version}")
            for name, value in defaults.items()
        }
        _check(args, model, parallel)
        model_dtype = find_dtype(model.dtype)
        if model_dtype.name == "float32":
            # vLLM's --dtype auto loads float32 checkpoints in 16 bits (config/model.py _get_and_verify_dtype).
            model_dtype = find_dtype("bfloat16")
        dtype = model_dtype if kv_dtype == "auto" else find_dtype(kv_dtype)
        notes = [Note("First budget: allowances from published logs, not yet vLLM's own profile run", "kvplan 0.1")]
        return Settings(version=version, args=args, kv_dtype=dtype, model_dtype=model_dtype, notes=tuple(notes))

    def layout(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec | None,  # noqa: ARG002
    ) -> CacheLayout:
        """Return the groups of a stage's fullest rank."""
        block = settings["block_size"]
        specs = [
            _spec(cache.shard(parallel.tensor), settings, model, block)
            for layer in stage.layers
            for cache in layer.caches
        ]
        if settings["disable_hybrid_kv_cache_manager"]:
            specs = [spec.as_full() for spec in specs]
        specs = _align_states(specs)
        batched = settings["max_num_batched_tokens"]
        # Asynchronous scheduling keeps two batches in flight (config/vllm.py max_in_flight_tokens).
        flight = InFlight(
            tokens=2 * batched,
            batched_tokens=batched,
            state_pages=2 if settings["enable_prefix_caching"] else 1,
            context_ranks=parallel.context,
        )
        return VllmLayout(
            parts=group_layers(specs),
            flight=flight,
            model_dtype=settings.model_dtype,
            block_tokens=max((spec.block_tokens for spec in specs if not spec.is_state), default=block),
        )

    def budget(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec,
        context: int,  # noqa: ARG002
    ) -> MemoryBudget:
        """Return the fraction, less weights and allowances."""
        return vllm_budget.budget(
            model=model,
            stage=stage,
            parallel=parallel,
            settings=settings,
            gpu=gpu,
            version=version_tuple(settings.version),
        )


def version_tuple(version: str) -> tuple[int, ...]:
    """Return `0.19.1` as (0, 19, 1).

    Raises:
        SettingError: it is no version.

    """
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not match:
        raise SettingError(f"{version!r} is not a vLLM version.", hint="Write it as vllm@0.19 or vllm@0.11.2.")
    return tuple(int(part) for part in match.groups() if part is not None)


def _defaults(version: str, gpu: GpuSpec | None) -> dict[str, Any]:
    """Return the defaults that depend on version or GPU (`engine/arg_utils.py`, `config/cache.py`), for `vllm serve`."""
    memory = gpu.driver_bytes if gpu else 0
    large = memory >= 70 * GIB and not (gpu and (gpu.id.startswith("a100") or gpu.unified))
    huge = memory >= 160 * GIB
    return {
        # The default fraction went from 0.90 to 0.92 (config/cache.py); by which version is issue 4's to settle.
        "gpu_memory_utilization": 0.92 if version_tuple(version) >= (0, 20) else 0.9,
        "max_num_seqs": 1024 if large or huge else 256,
        "max_num_batched_tokens": 16384 if huge else 8192 if large else 2048,
        "block_size": 16,
    }


def _check(args: Mapping[str, Setting], model: ModelSpec, parallel: Parallelism) -> None:
    fraction = args["gpu_memory_utilization"].value
    if not 0 < fraction <= 1:
        raise SettingError(f"gpu_memory_utilization is {fraction:g}; more than 0 and at most 1 was expected.")
    for name in ("max_num_seqs", "max_num_batched_tokens", "block_size", "decode_context_parallel_size"):
        if not 1 <= args[name].value <= 10**9:
            raise SettingError(f"{name} is {args[name].value}; a whole number of at least 1 was expected.")
    heads = {cache.query_heads for cache, _ in model.caches if hasattr(cache, "query_heads")}
    for count in heads:
        if count and count % parallel.tensor:
            raise SettingError(
                f"vLLM refuses tensor parallel {parallel.tensor}: the model's {count} attention heads are not divisible by it.",
                hint="Choose a tensor-parallel size that divides the heads.",
            )


def _spec(cache: LayerCache, settings: Settings, model: ModelSpec, block: int) -> LayerSpec:
    """Return the spec of one layer's cache."""
    dtype = settings.kv_dtype
    if isinstance(cache, RecurrentState):
        cache = _vllm_state(cache, model)
        return LayerSpec(
            cache=cache,
            dtype=settings.model_dtype,
            block_tokens=block,
            page_bytes=cache.fixed_bytes(settings.model_dtype),
        )
    if isinstance(cache, SparseIndex):
        # Index keys are fp8 with a float32 scale per 128 (models/deepseek_v32/attention.py): 132 B for 128.
        dtype = Dtype(
            name="fp8_index", block_elements=128, block_bytes=132, source="vLLM 0.33 models/deepseek_v32/attention.py"
        )
        block = 64
    elif isinstance(cache, MLA):
        sparse = any(c.kind == "sparse_index" for c, _ in model.caches)
        fp8 = dtype.name.startswith("fp8")
        if sparse and fp8:
            dtype = find_dtype("fp8_ds_mla")
        # 16 with FlashAttention-MLA; 64 with FlashMLA (fp8) and beside the indexer. Other generations: issue 4.
        block = 64 if sparse or fp8 else block
    return LayerSpec(cache=cache, dtype=dtype, block_tokens=block, page_bytes=cache.page_bytes(block, dtype))


# Families whose state-space state vLLM keeps in float32; all others follow the model's dtype unless told otherwise.
# Source: vLLM 0.33 model_executor/models/config.py (Nemotron-H, Qwen3.5), layers/mamba/mamba_utils.py (KDA).
_FLOAT32_STATES = ("nemotron_h", "qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text", "kimi_linear", "kimi_k3")


def _vllm_state(state: RecurrentState, model: ModelSpec) -> RecurrentState:
    """Return the state as vLLM keeps it: past taps only, the state in the model's dtype but for some families."""
    kept = "float32" if model.model_type in _FLOAT32_STATES else "model"
    tensors = tuple(replace(part.without_current_tap(), dtype="model" if part.taps else kept) for part in state.tensors)
    return replace(state, tensors=tensors)


def _align_states(specs: list[LayerSpec]) -> list[LayerSpec]:
    """Return the specs of a hybrid with equal pages: attention blocks enlarged to the state, the state padded to them.

    block = align x ceil(state / (align x attention bytes per token)). Source: platforms/interface.py.
    """
    states = [spec for spec in specs if spec.is_state]
    attention = [spec for spec in specs if not spec.is_state]
    if not states or not attention:
        return specs
    align = max(spec.block_tokens for spec in attention)
    per_token = max(spec.cache.token_bytes(spec.dtype) for spec in attention)
    block = align * max(1, ceil_div(max(spec.page_bytes for spec in states), align * per_token))
    page = max(spec.with_block(block).page_bytes for spec in attention)
    return [
        replace(spec, page_bytes=max(page, spec.page_bytes)) if spec.is_state else spec.with_block(block)
        for spec in specs
    ]
