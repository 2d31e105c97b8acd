"""The V0 engine: what ran before V1, up to 0.10.2 for what V1 did not take yet.

Every attention layer is paged in full, in blocks of 16 (64 with FlashMLA), whatever its window; tokens are GPU blocks x
block size, concurrency is tokens / length. Recurrent states lie outside the pool.
Source: vLLM 0.8.5 worker/cache_engine.py get_cache_block_size, executor/executor_base.py initialize_cache.
"""

from collections.abc import Iterator
from dataclasses import replace

from kvplan.caches import RecurrentState, SparseIndex
from kvplan.dtypes import Dtype
from kvplan.engines.base import Settings
from kvplan.engines.vllm.changes import Version, applies, version_tuple
from kvplan.engines.vllm.grouping import Registered
from kvplan.engines.vllm.registry import Registry
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism

# Whose accounts are kept: releases before V1 counted as V0 always did.
ACCOUNTS: Version = (0, 7)
# Families that stayed on V0 to the end (classes that derive from SupportsV0Only in 0.10.2).
_TO_THE_END = ("bart", "mllama", "florence2", "donut", "phi4flash", "motif")


def why(
    forced: bool | None,
    model: ModelSpec,
    version: Version,
    *,
    gpu: GpuSpec | None,
    kv_dtype: Dtype,
    model_dtype: Dtype,
    parallel: Parallelism,
) -> str | None:
    """Return why this version runs V0; None where it runs V1. VLLM_USE_V1 decides where it is set and both are there.

    Source: engine/arg_utils.py _is_v1_supported_oracle.
    """
    if applies("v1_only", version):
        return None
    if forced is not None:
        return None if forced else "VLLM_USE_V1=0 asks for it"
    generation = gpu.compute_capability if gpu and gpu.vendor == "NVIDIA" else None
    kinds = {cache.kind for cache, _ in model.caches}
    if not applies("v1", version):
        return "V1 is not the default yet"
    if model.model_type.startswith(_TO_THE_END) or (model.has_encoder and not applies("cross_attention", version)):
        return "V1 has no cross-attention yet"
    if "recurrent_state" in kinds and not applies("v1_states", version):
        return "V1 keeps no recurrent states yet"
    if gpu is not None and gpu.vendor in ("AMD", "Intel") and not applies("v1_amd", version):
        return f"V1 is not the default on {gpu.vendor} yet"
    if generation is not None and generation[0] < 8 and not applies("v1_states", version):
        return "V1 needs compute capability 8.0"
    if parallel.pipeline > 1 and not applies("v1_pipeline", version):
        return "V1 has no pipeline stages yet"
    if kv_dtype != model_dtype and not _v1_takes_fp8(version, gpu, generation):
        return f"V1 has no {kv_dtype.name} cache on this GPU yet"
    return None


def runs(model: ModelSpec, settings: Settings, gpu: GpuSpec | None, parallel: Parallelism) -> bool:
    """Whether these settings run V0."""
    reason = why(
        settings["use_v1"],
        model,
        version_tuple(settings.version),
        gpu=gpu,
        kv_dtype=settings.kv_dtype,
        model_dtype=settings.model_dtype,
        parallel=parallel,
    )
    return reason is not None


def _v1_takes_fp8(version: Version, gpu: GpuSpec | None, generation: tuple[int, int] | None) -> bool:
    if gpu is not None and gpu.vendor == "AMD":
        return True
    major = generation[0] if generation else 9
    return (major == 9 and applies("v1_fp8_cache", version)) or (
        generation == (10, 0) and applies("v1_fp8_blackwell", version)
    )


def layers(registry: Registry) -> Iterator[Registered]:
    """Yield one full spec for each attention layer: cross-attention shares the pages of the layer that has both."""
    seen: set[int] = set()
    for index, spec in registry.layers:
        if isinstance(spec.cache, RecurrentState | SparseIndex) or index in seen:
            continue
        seen.add(index)
        yield index, replace(spec, kind="full", window=None)
