"""How vLLM divides a GPU: a fraction of it, less weights, activation peak, CUDA graphs and what the runtime takes.

A first budget: the activation, graph and runtime figures are allowances with bounds from published start-up logs, not yet
a model of the profile run. The bounds were set so that, given a log's own weights, GPU and fraction, its available cache
lies between them in 83 of the 92 rows of the field corpus (vllm_field.jsonl) whose model can be read; measured on 22 Nov
2026, on the rows that they were set by. Of the nine others eight take more (a vision encoder's 36.6 GiB, an A100 and a V100
whose logs name no batch, GB10's shared memory twice, GB200's graphs, an unknown version twice) and one takes less.
"""

import math

from kvplan.engines.base import BudgetItem, MemoryBudget, Settings, Stage, divide, weights_item
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.units import GIB

# 66 start-up logs of vLLM 0.19 on H100 (llm-d-planner receipts, 29 models): the activation peak of models with large
# vocabularies is the sampler's, 16 bytes x max_num_seqs x vocabulary, whatever the tensor-parallel size. Logs of 0.10
# to 0.15 show 38.5 to 38.9 bytes for Qwen3-14B (5.64 GiB) and Qwen3-Next (5.58 GiB), those of 0.17 on 16 again.
_SAMPLER_BYTES, _SAMPLER_BYTES_BEFORE_0_16 = 16.0, 38.7
_SAMPLER_LOW, _SAMPLER_HIGH = 0.1, 1.15
# Small vocabularies show a floor of 0.77 to 1.6 GiB, mixtures of experts 1.16 to 2.5 GiB; GPUs with small batches 0.2.
_FLOOR, _FLOOR_LOW, _FLOOR_HIGH = 1.3, 0.15, 2.5
# The same logs: memory outside torch 0.25 GiB with one GPU, 2.07 to 2.21 GiB per rank with several (NCCL) on H100; logs
# of two consumer cards 0.2 GiB.
_RUNTIME_ONE, _RUNTIME_MANY = (0.25, 0.0, 0.6), (2.14, 0.1, 3.0)
# CUDA graphs 0.6 to 1.9 GiB on H100, 0.05 to 0.4 GiB on consumer cards; subtracted from the pool from 0.21 on.
_GRAPHS = (1.0, 0.05, 1.9)
_GRAPHS_SUBTRACTED_SINCE = (0, 21)
_SOURCE = "allowance from the start-up logs of the field corpus"


def budget(
    *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec, version: tuple[int, ...]
) -> MemoryBudget:
    """Return the division of one GPU."""
    fraction = settings["gpu_memory_utilization"]
    total = gpu.torch_bytes
    items = [weights_item(stage), _activation(model, settings, version), _runtime(parallel)]
    if not settings["enforce_eager"] and version >= _GRAPHS_SUBTRACTED_SINCE:
        items.insert(2, _allowance("cuda_graph", _GRAPHS))
    return divide(
        total_bytes=gpu.driver_bytes,
        budget_bytes=_requested(total, fraction),
        budget_low=_requested(gpu.torch_low_bytes, fraction),
        budget_high=_requested(gpu.torch_high_bytes, fraction),
        items=items,
        formula=f"{fraction:g} x {total:,} B (what torch sees)",
        source="vLLM v1/worker/utils.py request_memory",
    )


def _requested(total: int, fraction: float) -> int:
    """Return ceil(total x fraction), as the worker does (v1/worker/utils.py request_memory)."""
    return math.ceil(total * fraction)


def _activation(model: ModelSpec, settings: Settings, version: tuple[int, ...]) -> BudgetItem:
    seqs = settings["max_num_seqs"]
    size = _SAMPLER_BYTES if version >= (0, 16) else _SAMPLER_BYTES_BEFORE_0_16
    sampler = int(size * seqs * model.vocab_size)
    return BudgetItem(
        name="activation",
        bytes=max(sampler, int(_FLOOR * GIB)),
        low=max(int(_SAMPLER_LOW * sampler), int(_FLOOR_LOW * GIB)),
        high=max(int(_SAMPLER_HIGH * sampler), int(_FLOOR_HIGH * GIB)),
        formula=f"max({size:g} B x {seqs} sequences x {model.vocab_size:,} vocabulary, {_FLOOR} GiB)",
        source=_SOURCE,
    )


def _runtime(parallel: Parallelism) -> BudgetItem:
    return _allowance("runtime", _RUNTIME_MANY if parallel.tensor * parallel.pipeline > 1 else _RUNTIME_ONE)


def _allowance(name: str, figures: tuple[float, float, float]) -> BudgetItem:
    middle, low, high = (int(figure * GIB) for figure in figures)
    return BudgetItem(name=name, bytes=middle, low=low, high=high, formula=f"{figures[0]:g} GiB", source=_SOURCE)
