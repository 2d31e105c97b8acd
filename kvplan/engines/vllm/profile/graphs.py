"""CUDA graphs: which sizes are captured, and what vLLM estimates for them and, from 0.21 on, takes from the cache.

vLLM captures a few graphs for real, before there is a cache, and multiplies (v1/worker/gpu_model_runner.py
profile_cudagraph_memory; in V2 v1/worker/gpu/cudagraph_utils.py). Graphs then take half to twice of that.

The estimate is fitted as so many bytes for each layer and size, from the estimates that logs of 0.21 to 0.33 print:

    dense       0.19 to 0.37 MiB   Qwen2.5-0.5B 0.24, Qwen2.5-7B 0.27, gemma-4-E4B 0.38, gemma-4-31B 0.25 twice, an 8B 0.39
    hybrid      0.21 to 0.61 MiB   Qwen3.8-27B 0.22 under runner V2, 0.49 and 0.61 under V1
    experts     0.19 to 0.7 MiB    gpt-oss-20b 0.19; H100 on 0.19 0.5 to 1.1 times 0.7 (six models), where dense ones take 0.4
    sparse, KDA 1.22 and 1.28 MiB  GLM-5.3-Flash, GLM-5.2
    ROCm        1.5 MiB            gemma-4-E2B on MI300X, one log
    few sizes   a start of 0.1 to 0.6 GiB: Qwen3.6-35B-A3B 0.2 and 0.7, DeepSeek-V4-Flash 0.6 twice (2 to 5 sizes)

Source: config/vllm.py _set_cudagraph_sizes; envs.py VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS.
"""

from typing import NamedTuple

from kvplan.engines.base import BudgetItem, Settings
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.profile.runner import Runner
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.units import GIB, MIB

# The rules by which vendors' graphs are estimated (changes/memory.py).
_BY_VENDOR = {"AMD": "rocm_graphs_subtracted", "Intel": "xpu_graphs_subtracted"}
_LARGEST, _LARGEST_BLACKWELL, _BLACKWELL = 512, 1024, 10


class Fit(NamedTuple):
    """Middle and bounds: MiB for each layer and size, and GiB to start with; of which models."""

    of: str
    each: tuple[float, float, float]
    start: tuple[float, float, float]


_DENSE = Fit(of="dense", each=(0.25, 0.17, 0.4), start=(0.0, 0.0, 0.1))
_HYBRID_V1 = Fit(of="hybrid, runner V1", each=(0.5, 0.2, 0.65), start=(0.0, 0.0, 0.3))
_HYBRID_V2 = Fit(of="hybrid, runner V2", each=(0.25, 0.17, 0.5), start=(0.0, 0.0, 0.3))
_EXPERTS = Fit(of="experts", each=(0.4, 0.19, 0.8), start=(0.2, 0.0, 0.6))
_ROCM = Fit(of="AMD", each=(1.5, 0.4, 2.3), start=(0.0, 0.0, 0.6))
_SPARSE = Fit(of="sparse or KDA", each=(1.2, 0.6, 1.4), start=(0.3, 0.0, 0.6))


def are_subtracted(runner: Runner, version: Version, settings: Settings, gpu: GpuSpec) -> bool:
    """Whether the estimate is taken from the cache: runner V2 estimates nothing until 0.28."""
    if settings["enforce_eager"] or settings["cudagraph_mode"] == "NONE":
        return False
    if not settings["estimate_cudagraph_memory"]:
        return False
    if runner == "V2" and not applies("v2_graphs_subtracted", version):
        return False
    return applies(_BY_VENDOR.get(gpu.vendor, "graphs_subtracted"), version)


def capture_sizes(version: Version, settings: Settings, gpu: GpuSpec) -> tuple[int, ...]:
    """Return the batch sizes captured: 1, 2, 4, eighths to 256, then sixteenths to min(2 x max_num_seqs, 512).

    Args:
        version: of vLLM.
        settings: of the engine.
        gpu: on which; from 0.28 on B200 and its kin go to 1,024.

    """
    generation = gpu.compute_capability or (0, 0)
    larger = applies("larger_graphs", version) and generation[0] == _BLACKWELL
    default = min(settings["max_num_seqs"] * 2, _LARGEST_BLACKWELL if larger else _LARGEST)
    most = min(settings["max_cudagraph_capture_size"] or default, settings["max_num_batched_tokens"])
    return tuple(size for size in (1, 2, 4, *range(8, 256, 8), *range(256, most + 1, 16)) if size <= most)


def estimate(model: ModelSpec, gpu: GpuSpec, runner: Runner, layers: int, sizes: int) -> BudgetItem:
    """Return the estimate for a stage of so many layers and so many sizes."""
    fit = _ROCM if gpu.vendor == "AMD" else _fit(model, runner)
    middle, low, high = (
        int(each * MIB) * layers * sizes + int(start * GIB) for each, start in zip(fit.each, fit.start, strict=True)
    )
    start = f" + {fit.start[0]:g} GiB" if fit.start[0] else ""
    return BudgetItem(
        name="cuda_graph",
        bytes=middle,
        low=low,
        high=high,
        formula=f"{layers} layers x {sizes} batch sizes x {fit.each[0]:g} MiB{start}",
        source="fit to the estimates in logs of vLLM 0.21 to 0.33",
        fit=f"graphs: {fit.of}",
        units=layers * sizes,
    )


def _fit(model: ModelSpec, runner: Runner) -> Fit:
    kinds = {cache.kind for cache, _ in model.caches}
    if "sparse_index" in kinds or {"mla", "recurrent_state"} <= kinds:
        return _SPARSE
    if model.moe is not None:
        return _EXPERTS
    if "recurrent_state" in kinds:
        return _HYBRID_V2 if runner == "V2" else _HYBRID_V1
    return _DENSE
