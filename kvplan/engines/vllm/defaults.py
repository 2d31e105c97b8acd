"""vLLM's defaults that depend on its version, the GPU or the model, for `vllm serve`."""

import re
from collections.abc import Mapping

from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.units import GIB

# The version whose rules are built; config/cache.py CacheConfig.DEFAULT_BLOCK_SIZE.
RULES = (0, 33)
BLOCK_TOKENS = 16
# Where no GPU is named, kernels are chosen as on an H100.
HOPPER = (9, 0)
_FRACTION_RAISED = (0, 20)
_GEMMA_4_VIDEO = 32 * (70 + 2 + 6)


def version_tuple(version: str) -> tuple[int, ...]:
    """Return `0.19.1` as (0, 19, 1).

    Raises:
        SettingError: it is no version.

    """
    match = re.fullmatch(
        r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[.+-]?(?:rc|dev|post|a|b|alpha|beta|nightly)[\w.+-]*|\+[\w.+-]+)?",
        version,
    )
    if not match:
        raise SettingError(f"{version!r} is not a vLLM version.", hint="Write it as vllm@0.19 or vllm@0.11.2.")
    return tuple(int(part) for part in match.groups() if part is not None)


def memory_fraction(version: str) -> float:
    """Return the default of gpu_memory_utilization (config/cache.py): 0.92 from 0.20 on, 0.90 before.

    Logs of 0.19.0 and 0.19.1 show 0.90, one of a build on the way from 0.19.2rc1 to 0.20 shows 0.92 (field corpus).
    """
    return 0.92 if version_tuple(version) >= _FRACTION_RAISED else 0.9


def batch_defaults(gpu: GpuSpec | None) -> tuple[int, int]:
    """Return the defaults of max_num_batched_tokens and max_num_seqs.

    Large from 70 GiB on but for A100s and GB10, largest from 160 GiB on. Source: engine/arg_utils.py get_batch_defaults
    (usage context OPENAI_API_SERVER); the GPU's total is what torch sees.
    """
    if gpu is None:
        return 8192, 1024
    if gpu.torch_bytes >= 160 * GIB:
        return 16384, 1024
    gb10 = gpu.compute_capability == (12, 1)
    if gpu.torch_bytes >= 70 * GIB and "a100" not in gpu.name.lower() and not gb10:
        return 8192, 1024
    return 2048, 256


def largest_item(model: ModelSpec) -> int:
    """Return the tokens of the largest picture or video that must fit in one batch; 0 where items may be cut.

    Gemma 4 attends to them in both directions: 32 frames x (70 soft tokens + 2 marks + 6 of the time stamp).
    Source: engine/arg_utils.py _get_min_mm_batched_tokens, models/gemma4_mm.py get_mm_max_tokens_per_item.
    """
    text = model.config.get("text_config")
    if (
        not model.model_type.startswith("gemma4")
        or not isinstance(text, Mapping)
        or not model.config.get("vision_config")
    ):
        return 0
    return _GEMMA_4_VIDEO if text.get("use_bidirectional_attention") == "vision" else 0


def generation(gpu: GpuSpec | None) -> tuple[int, int]:
    """Return the compute capability that kernels are chosen by; Hopper's where none is known."""
    return (gpu.compute_capability if gpu else None) or HOPPER


def prefix_caching(model: ModelSpec) -> bool:
    """Whether prefix caching is on by default: not for models without attention, nor for encoder-decoders.

    Source: config/model.py is_prefix_caching_supported.
    """
    kinds = {cache.kind for cache, _ in model.caches}
    return kinds != {"recurrent_state"} and not model.has_encoder


def concurrent_batches(pipeline: int) -> int:
    """Return the batches in flight: asynchronous scheduling overlaps one more than there are pipeline stages.

    Source: config/vllm.py max_concurrent_batches, with model runner V2 (the default).
    """
    return pipeline + 1
