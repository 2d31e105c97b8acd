"""Variables that vLLM reads (envs.py) and that count for memory."""

import re
from collections.abc import Mapping

from kvplan.engines.base import ArgSpec
from kvplan.engines.vllm.command.table import FlagTable, padded
from kvplan.errors import SettingError
from kvplan.launch.command import Command
from kvplan.launch.words import Given

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
# V0 and its variable went with this release.
_V0_GONE = padded("0.11.0")
_NOT_MODELLED = (
    "VLLM_CPU_KVCACHE_SPACE", "VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE", "VLLM_KV_CACHE_LAYOUT",
    "VLLM_FUSED_MOE_CHUNK_SIZE", "VLLM_MLA_DISABLE", "VLLM_USE_BREAKABLE_CUDAGRAPH", "VLLM_ENABLE_CUDAGRAPH_GC",
)  # fmt: skip


def read_environment(
    environment: Mapping[str, Given], table: FlagTable, command: Command, args: Mapping[str, ArgSpec]
) -> None:
    """Put what the variables say among the settings.

    Raises:
        SettingError: they ask for the V0 engine, or name no GPU.

    """
    if (given := environment.get("VLLM_USE_V1")) is not None:
        _read_v1(given, table, command, args)
    if (given := environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN")) is not None:
        command.longest_is_free = _truth(given)
    if (given := environment.get("VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS")) is not None:
        command.engine_args["estimate_cudagraph_memory"] = Given(_truth(given), given.words)
    if (given := environment.get("VLLM_USE_V2_MODEL_RUNNER")) is not None:
        command.engine_args["use_v2_model_runner"] = Given(_truth(given), given.words)
    if (given := environment.get("VLLM_ATTENTION_BACKEND")) is not None and given.value:
        command.engine_args.setdefault("attention_backend", Given(given.value, given.words))
    for name in _NOT_MODELLED:
        if (given := environment.get(name)) is not None:
            command.note(f"{name} counts for memory and is not modelled")
    for name in _VISIBLE:
        if (given := environment.get(name)) is not None:
            _read_devices(name, given, command)


def _read_v1(given: Given, table: FlagTable, command: Command, args: Mapping[str, ArgSpec]) -> None:
    if table.number >= _V0_GONE:
        if not _truth(given):
            command.warnings.append(f"VLLM_USE_V1=0 has no effect: vLLM {table.version} has no V0 engine.")
    elif "use_v1" in args:
        command.engine_args["use_v1"] = Given(_truth(given), given.words)
    elif not _truth(given):
        raise SettingError(
            "VLLM_USE_V1=0 asks for the V0 engine, whose memory kvplan does not plan.",
            hint="Leave it out to plan for V1.",
        )


def _truth(given: Given) -> bool:
    return str(given.value).strip().lower() in ("1", "true", "yes", "on")


def _read_devices(name: str, given: Given, command: Command) -> None:
    text = str(given.value).strip()
    if text.lower() in ("all", "void") or "$" in text:
        return
    if text in ("", "-1", "none", "NoDevFiles"):
        if name == "NVIDIA_VISIBLE_DEVICES":
            return
        raise SettingError(f"{name}={text} hides every GPU from vLLM.", hint="Leave it out, or name the GPUs.")
    count = len([part for part in re.split(r"[,\s]+", text) if part])
    if command.gpus is None or count < command.gpus.value:
        command.gpus = Given(count, given.words)
