"""vLLM's defaults that depend on its version, the GPU, the model or how it is used."""

from collections.abc import Mapping
from typing import Any

from kvplan.caches import ChunkedLocal
from kvplan.engines.vllm import refusals
from kvplan.engines.vllm.changes import Version, applies, version_tuple
from kvplan.engines.vllm.profile.items import GEMMA_4_VIDEO
from kvplan.engines.vllm.profile.runner import is_v2
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.units import GIB

# config/cache.py CacheConfig.DEFAULT_BLOCK_SIZE.
BLOCK_TOKENS = 16
# Where no GPU is named, kernels are chosen as on an H100.
HOPPER = (9, 0)
# V0: engine/arg_utils.py _set_default_args_v0, config.py SchedulerConfig.
_V0_TOKENS, _V0_SEQS, _V0_CHUNKS_FROM = 2048, 256, 32_768
# Connectors that know groups of several kinds (classes that derive from SupportsHMA), by the start of their names.
_GROUPING_CONNECTORS = (
    "nixl", "offloading", "simplecpuoffload", "mooncake", "multi", "decodebench", "examplehiddenstates",
    "moriio", "hisparse", "umbp",
)  # fmt: skip


def memory_fraction(version: str) -> float:
    """Return the default of gpu_memory_utilization (config/cache.py): 0.92 from 0.20 on, 0.90 before.

    Logs of 0.19.0 and 0.19.1 show 0.90, one of a build on the way from 0.19.2rc1 to 0.20 shows 0.92 (field corpus).
    """
    return 0.92 if applies("fraction_092", version_tuple(version)) else 0.9


def batch_defaults(gpu: GpuSpec | None, version: Version, *, serves: bool) -> tuple[int, int]:
    """Return the defaults of max_num_batched_tokens and max_num_seqs of the V1 engine.

    Large from 70 GiB on but for A100s and GB10, largest from 160 GiB on; offline use (`LLM()`) doubles or quadruples the
    tokens. Source: engine/arg_utils.py get_batch_defaults; the GPU's total is what torch sees.

    Args:
        gpu: None is taken for an H100.
        version: of vLLM.
        serves: `vllm serve`; otherwise `LLM()`.

    """
    name = "h100" if gpu is None else gpu.name.lower()
    total = 80 * GIB if gpu is None else gpu.torch_bytes
    if not applies("batch_by_memory", version):
        large = "h100" in name or "h200" in name
        return (8192 if serves else 16384) if large else (2048 if serves else 8192), 1024
    if applies("batch_by_160_gib", version) and total >= 160 * GIB:
        return 16384, 1024
    small = (applies("small_batch_on_a100", version) and "a100" in name) or (
        gpu is not None and _names_no_memory(gpu, version)
    )
    if total >= 70 * GIB and not small:
        return 8192 if serves else 16384, 1024
    return 2048 if serves else 8192, 256


def _names_no_memory(gpu: GpuSpec, version: Version) -> bool:
    """Whether NVML reports no memory of its own: GPUs that share the CPU's. GB10 is left out by name since that was mended."""
    if gpu.vendor != "NVIDIA" or not gpu.unified:
        return False
    return not applies("unified_memory_read", version) or gpu.compute_capability == (12, 1)


def v0_batch_defaults(model: ModelSpec) -> tuple[int, int]:
    """Return the defaults of the V0 engine: a whole prompt in one batch, unless lengths beyond 32,768 are cut into chunks.

    The prompt is taken for the model's longest up to 32,768: the flag that would say is not known here.
    """
    longest = model.max_context_tokens or 0
    return _V0_TOKENS if longest > _V0_CHUNKS_FROM else max(_V0_TOKENS, longest), _V0_SEQS


def largest_item(model: ModelSpec, version: Version) -> int:
    """Return the tokens of the largest picture or video that must fit in one batch; 0 where items may be cut.

    Gemma 4 attends to them in both directions.
    Source: engine/arg_utils.py _get_min_mm_batched_tokens, models/gemma4_mm.py get_mm_max_tokens_per_item.
    """
    text = model.config.get("text_config")
    if (
        not applies("batch_holds_items", version)
        or not model.model_type.startswith("gemma4")
        or not isinstance(text, Mapping)
        or not model.config.get("vision_config")
    ):
        return 0
    return GEMMA_4_VIDEO if text.get("use_bidirectional_attention") == "vision" else 0


def generation(gpu: GpuSpec | None) -> tuple[int, int]:
    """Return the compute capability that kernels are chosen by; Hopper's where none is known."""
    return (gpu.compute_capability if gpu else None) or HOPPER


def prefix_caching(model: ModelSpec, version: Version) -> bool:
    """Whether prefix caching is on by default: not for models without attention, encoder-decoders, nor early hybrids.

    Source: config/model.py is_prefix_caching_supported, engine/arg_utils.py.
    """
    kinds = {cache.kind for cache, _ in model.caches}
    if kinds == {"recurrent_state"} or model.has_encoder:
        return False
    return "recurrent_state" not in kinds or applies("hybrids_cached", version)


def promotes_windows(model: ModelSpec, version: Version, connector: str) -> bool:
    """Whether the hybrid manager is off by default: not there yet, a KV connector's, or chunked-local attention.

    Source: config/vllm.py VllmConfig.__post_init__.
    """
    if not applies("hybrid_manager", version):
        return True
    if connector:
        grouping = connector.lower().replace("_", "").startswith(_GROUPING_CONNECTORS)
        if not (applies("connectors_keep_groups", version) and grouping):
            return True
    chunked = any(isinstance(cache, ChunkedLocal) for cache, _ in model.caches)
    return chunked and applies("chunks_promoted", version) and not applies("chunks_kept", version)


def concurrent_batches(model: ModelSpec, version: Version, pipeline: int) -> int:
    """Return the batches whose tokens windows reserve for.

    Asynchronous scheduling overlaps one more than there are pipeline stages on model runner V2, and two without stages on
    V1. Source: config/vllm.py max_concurrent_batches, max_in_flight_tokens.
    """
    if not applies("in_flight", version):
        return 1
    if pipeline == 1:
        # Asynchronous scheduling was off with a separate draft model.
        return 1 if model.speculates == "draft_model" and not applies("v2_runner_all", version) else 2
    return pipeline + 1 if is_v2(model, version, quantised=False) else pipeline


def preset(
    version: str, model: ModelSpec, gpu: GpuSpec | None, given: Mapping[str, Any], *, on_v0: bool
) -> dict[str, Any]:
    """Return the defaults that depend on version, model, GPU or use."""
    release = version_tuple(version)
    if on_v0:
        tokens, seqs = v0_batch_defaults(model)
    else:
        tokens, seqs = batch_defaults(gpu, release, serves=given.get("usage", "serve") == "serve")
    tokens = max(tokens, largest_item(model, release))
    if applies("seqs_up_to_tokens", release):
        # A batch has at most as many requests as tokens (engine/arg_utils.py).
        seqs = min(seqs, given.get("max_num_batched_tokens", tokens))
    return {
        "gpu_memory_utilization": memory_fraction(version),
        "max_num_seqs": seqs,
        "max_num_batched_tokens": tokens,
        "enable_prefix_caching": not on_v0 and prefix_caching(model, release),
        "disable_hybrid_kv_cache_manager": promotes_windows(
            model, release, refusals.connector(given.get("kv_transfer_config", ""))
        ),
    }
