"""How vLLM divides a GPU: a fraction of it, less weights, activation peak, CUDA graphs and what the runtime takes.

A first budget: the activation, graph and runtime figures are allowances with wide bounds from published start-up logs, not
yet a model of the profile run.
"""

from kvplan.engines.base import BudgetItem, MemoryBudget, Settings, Stage, divide, exact
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.units import GIB

# 66 start-up logs of vLLM 0.19 on H100 (llm-d-planner receipts, 29 models): the activation peak of models with large
# vocabularies is the sampler's, 16 bytes x max_num_seqs x vocabulary, whatever the tensor-parallel size; smaller
# vocabularies show a floor of 1.0 to 1.6 GiB, mixtures of experts 1.16 to 2.5 GiB.
_SAMPLER_BYTES = 16
_FLOOR, _FLOOR_LOW, _FLOOR_HIGH = 1.3, 0.4, 2.5
# The same logs: memory outside torch 0.25 GiB with one GPU, 2.07 to 2.21 GiB per rank with several (NCCL).
_RUNTIME_ONE, _RUNTIME_MANY = (0.25, 0.1, 0.6), (2.14, 0.6, 3.0)
# The same logs: CUDA graphs 0.6 to 1.9 GiB; subtracted from the pool from 0.21 on.
_GRAPHS = (1.0, 0.3, 1.9)
_GRAPHS_SUBTRACTED_SINCE = (0, 21)
_SOURCE = "allowance from 66 start-up logs of vLLM 0.19 on H100 (llm-d-planner receipts)"


def budget(
    *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec, version: tuple[int, ...]
) -> MemoryBudget:
    """Return the division of one GPU."""
    fraction = settings["gpu_memory_utilization"]
    total = gpu.torch_bytes
    # ceil, as the worker does (v1/worker/utils.py request_memory).
    requested = -int(-total * fraction // 1)
    weights = exact("weights", stage.weights_bytes or 0, stage.weights_formula, "parameters x bytes of their format")
    items = [weights, _activation(model, settings), _runtime(parallel)]
    if not settings["enforce_eager"] and version >= _GRAPHS_SUBTRACTED_SINCE:
        items.insert(2, _allowance("cuda_graph", _GRAPHS))
    return divide(
        total_bytes=gpu.driver_bytes,
        budget_bytes=requested,
        items=items,
        formula=f"{fraction:g} x {total:,} B (what torch sees)",
        source="vLLM v1/worker/utils.py request_memory",
    )


def _activation(model: ModelSpec, settings: Settings) -> BudgetItem:
    seqs = settings["max_num_seqs"]
    sampler = _SAMPLER_BYTES * seqs * model.vocab_size
    return BudgetItem(
        name="activation",
        bytes=max(sampler, int(_FLOOR * GIB)),
        low=min(sampler, int(_FLOOR_LOW * GIB)),
        high=max(int(1.15 * sampler), int(_FLOOR_HIGH * GIB)),
        formula=f"max({_SAMPLER_BYTES} B x {seqs} sequences x {model.vocab_size:,} vocabulary, {_FLOOR} GiB)",
        source=_SOURCE,
    )


def _runtime(parallel: Parallelism) -> BudgetItem:
    return _allowance("runtime", _RUNTIME_MANY if parallel.tensor * parallel.pipeline > 1 else _RUNTIME_ONE)


def _allowance(name: str, figures: tuple[float, float, float]) -> BudgetItem:
    middle, low, high = (int(figure * GIB) for figure in figures)
    return BudgetItem(name=name, bytes=middle, low=low, high=high, formula=f"{figures[0]:g} GiB", source=_SOURCE)
