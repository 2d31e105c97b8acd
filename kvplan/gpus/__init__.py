"""GPUs: what one is (`spec`), how it is named (`lookup`, `instances`), what this machine has (`detect`)."""

from kvplan.gpus.lookup import GpuGroup, find_gpu
from kvplan.gpus.spec import GpuSpec

__all__ = ["GpuGroup", "GpuSpec", "find_gpu"]
