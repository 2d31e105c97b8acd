"""What a rank takes outside torch's tensors between its first snapshot and the cache: contexts, NCCL, cuBLAS, kernels' code.

vLLM charges the difference of free memory that torch does not explain (`non_torch`; from 0.27 on everything consumed). It
follows from nothing in a configuration, so it is fitted: the middle and the ends of what logs print, by how GPUs are joined.

    one GPU to 0.17                 0.02 to 0.15   L4 0.05, T4 0.05, L40 0.08, V100 0.09, A100 0.08, H100 0.13 (15 logs)
    one GPU from 0.18 on            0.24 to 0.27   H100, 24 logs of 0.18 and 0.19 (graphs are tried out in the run), one of
                                                   0.46; B300 0.25; RTX 4090 0.18; RTX PRO 6000 0.28
    the same in 0.27 to 0.30        0.06 to 1.36   Qwen3-14B: 0.06 warm, 1.3 after compiling anew (two GPUs), 0.6; 0.5B 0.14, 0.6
    several, NVLink,  to 0.17      1.38           H200
    several, NVLink,  0.18 to 0.20 2.06 to 2.27   H100, 9 logs
    several, NVLink,  from 0.21    0.7 to 1.7     H200 0.71, GB200 0.95, H100 1.1 and 1.7
    several over PCIe, to 0.20      0.19 to 0.43   4 logs, L40S and RTX 4090 0.25 and 0.3, A100 PCIe 0.43
    several over PCIe, from 0.21    0.4 to 0.6     L4, RTX PRO 6000
    unified memory                  -2.8 to 6      GB10, Thor: the CPU's own allocations move it either way
    AMD                             -0.1 to 2.1    MI300X: Llama-3.1-8B 0.05 and 0.5, Qwen2.5-7B-1M -0.1 to 0.9, gemma-3-27b 0.6,
                                                   gemma-4-E2B 2.1
    Intel                           1.0 to 1.7     Arc Pro B60, three logs
"""

from typing import NamedTuple

from kvplan.engines.vllm.changes import Version, applies
from kvplan.gpus import GpuSpec
from kvplan.parallel import Parallelism


class Runtime(NamedTuple):
    """GiB of one rank, with bounds.

    Attributes:
        kind: what it is of.
        fitted_to: the logs that it is the middle of.
        middle, low, high: GiB.

    """

    kind: str
    fitted_to: str
    middle: float
    low: float
    high: float


_ONE = Runtime(kind="CUDA context and kernels", fitted_to="one GPU to 0.17", middle=0.12, low=0.02, high=0.3)
_ONE_TRIED = Runtime(
    kind="CUDA context, kernels and graphs that were tried out",
    fitted_to="one GPU from 0.18 on",
    middle=0.26,
    low=0.15,
    high=0.5,
)
_ONE_LEFT = Runtime(
    kind="CUDA context, kernels and what compiling leaves",
    fitted_to="one GPU, 0.27 to 0.30",
    middle=0.55,
    low=0.05,
    high=1.4,
)
_SWITCHED_OLD = Runtime(kind="NCCL over NVLink", fitted_to="NVLink to 0.17", middle=1.4, low=0.7, high=2.3)
_SWITCHED = Runtime(kind="NCCL over NVLink", fitted_to="NVLink, 0.18 to 0.20", middle=2.1, low=1.4, high=2.3)
_SWITCHED_NEW = Runtime(kind="NCCL over NVLink", fitted_to="NVLink from 0.21 on", middle=1.1, low=0.6, high=2.2)
_PCIE = Runtime(kind="NCCL over PCIe", fitted_to="PCIe to 0.20", middle=0.25, low=0.1, high=0.6)
_PCIE_NEW = Runtime(kind="NCCL over PCIe", fitted_to="PCIe from 0.21 on", middle=0.45, low=0.2, high=0.9)
_UNIFIED = Runtime(
    kind="unified memory, which the CPU's allocations move",
    fitted_to="unified memory",
    middle=2.5,
    low=-2.8,
    high=5.0,
)
_AMD = Runtime(kind="HIP context, kernels and RCCL", fitted_to="AMD", middle=0.4, low=-0.2, high=2.1)
_INTEL = Runtime(kind="Level Zero and oneCCL", fitted_to="Intel", middle=1.4, low=0.9, high=2.0)
# Logs of 0.19 and of 0.26 on show it; which release changed it was not looked up.
_NCCL_SHRUNK_SINCE = (0, 21)


def runtime(gpu: GpuSpec, parallel: Parallelism, version: Version, *, graphs: bool, tried: bool) -> Runtime:
    """Return what a rank takes outside torch.

    Args:
        gpu: of the rank.
        parallel: how many ranks.
        version: of vLLM.
        graphs: whether the model is compiled and graphs are captured.
        tried: whether graphs are tried out before there is a cache.

    """
    if gpu.unified:
        return _UNIFIED
    if gpu.vendor in ("AMD", "Intel"):
        return _AMD if gpu.vendor == "AMD" else _INTEL
    if parallel.tensor * parallel.pipeline == 1:
        if graphs and applies("consumed", version) and not applies("unsplit_profile", version):
            return _ONE_LEFT
        return _ONE_TRIED if tried else _ONE
    shrunk = version >= _NCCL_SHRUNK_SINCE
    if not _is_switched(gpu):
        return _PCIE_NEW if shrunk else _PCIE
    if shrunk:
        return _SWITCHED_NEW
    return _SWITCHED if applies("graphs_tried", version) else _SWITCHED_OLD


def _is_switched(gpu: GpuSpec) -> bool:
    """Whether GPUs are joined by NVLink as a whole (SXM boards), not by PCIe or by bridges between two."""
    how = gpu.interconnect or ""
    return "NVLink" in how and "bridge" not in how and "no NVLink" not in how
