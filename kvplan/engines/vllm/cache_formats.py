"""Cache formats that a kernel of their own reads: which kernel, what it does not serve, which layers keep the model's format.

Source: vLLM 0.33 v1/attention/backends/{triton_attn,turboquant_attn}.py, mla/flashmla_sparse.py (supported_kv_cache_dtypes,
supports_combination), v1/attention/backend.py validate_configuration; engine/arg_utils.py create_engine_config;
layers/quantization/turboquant/config.py get_boundary_skip_layers; platforms/interface.py _align_heterogeneous_kv_block_size.
"""

from collections.abc import Collection, Iterator

from kvplan.caches import (
    MLA,
    ChunkedLocal,
    CrossAttention,
    FullAttention,
    LayerCache,
    RecurrentState,
    SlidingWindow,
    SparseIndex,
)
from kvplan.caches.compressed import CompressorState
from kvplan.dtypes import Dtype
from kvplan.engines.base import Settings
from kvplan.engines.vllm.departures import SINKS
from kvplan.engines.vllm.kernels import Device, Kernel
from kvplan.engines.vllm.profile.runner import is_v2
from kvplan.errors import SettingError
from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div

_TRITON = Kernel(name="TRITON_ATTN", block_tokens=16, step=16)
# Kernels of formats that pack a head's key and value into one slot, and spare the layers at either end of a model.
_TURBOQUANT = Kernel(name="TURBOQUANT", block_tokens=16, step=16, fixed=128)
_ULTRAQUANT = Kernel(name="ULTRAQUANT", block_tokens=64, step=16, fixed=128)
_LATENT_NVFP4 = Kernel(name="FLASHMLA_SPARSE", block_tokens=64, step=64, rows=True, packed=True)
# Layers at either end that these leave in the model's format.
_BOUNDARY = 2
# Hybrids whose configuration lists no layer as one of attention (turboquant/config.py _get_full_attention_layer_indices).
_NO_NAMED_ATTENTION = ("zamba2", "falcon_h1")


def _is_token_head(dtype: Dtype) -> bool:
    return dtype.name.endswith("_per_token_head")


def _slot_kernel(dtype: Dtype) -> Kernel | None:
    """Return the kernel of a format that packs slots; None for others."""
    if dtype.name.startswith("turboquant_"):
        return _TURBOQUANT
    return _ULTRAQUANT if dtype.name == "ultraquant_4bit" else None


def own_kernel(dtype: Dtype, *, boundary: bool) -> Kernel | None:
    """Return the one kernel that reads the format and decides the block size; None where the GPU decides.

    With layers that keep the model's format the first of these decides (_find_non_ssm_backends).
    """
    if _is_token_head(dtype):
        return _TRITON
    if dtype.name == "nvfp4_ds_mla":
        return _LATENT_NVFP4
    return None if boundary else _slot_kernel(dtype)


def boundary_layers(dtype: Dtype, model: ModelSpec) -> frozenset[int]:
    """Return the layers that keep the model's format beside packed slots: the first and last two, none of hybrids."""
    if _slot_kernel(dtype) is None or any(isinstance(cache, RecurrentState) for cache, _ in model.caches):
        return frozenset()
    stated = model.stated("num_hidden_layers")
    layers = stated if isinstance(stated, int) and 0 < stated <= len(model.layers) else len(model.layers)
    end = min(_BOUNDARY, layers // 2)
    return frozenset((*range(end), *range(layers - end, layers)))


def shared_block(block: int, kernel: Kernel, device: Device) -> int:
    """Return the block size with layers in 16 bits beside others: a page of 8 bits is to hold the kernel's least block in 16.

    Packed slots count as plain bytes here: it is the kernel of the 16-bit layers that is asked for their pages.
    """
    if not device.has("formats_share_blocks"):
        return block
    block = max(block, kernel.step)
    return block * ceil_div(2 * kernel.step, block)


def check(settings: Settings, caches: Collection[LayerCache], model: ModelSpec, device: Device) -> None:
    """Refuse a format beside caches, GPUs or kernels for which vLLM has no kernel that reads it.

    Raises:
        SettingError: with the first reason.

    """
    reason = next(_reasons(settings, caches, model, device), None)
    if reason is not None:
        raise SettingError(
            f"vLLM {'.'.join(map(str, device.version))} refuses the KV-cache dtype {settings.kv_dtype.name} here: {reason}.",
            hint="Use --kv-dtype fp8 or auto.",
            about="kv_cache_dtype",
        )


def _reasons(settings: Settings, caches: Collection[LayerCache], model: ModelSpec, device: Device) -> Iterator[str]:
    dtype = settings.kv_dtype
    if dtype.name == "nvfp4_ds_mla":
        return _packed_reasons(settings, caches, device)
    if dtype.name.startswith("nvfp4"):
        return _nvfp4_reasons(dtype, caches, model, device)
    if (kernel := _slot_kernel(dtype)) is not None:
        return _slot_reasons(settings, kernel, caches, model, device)
    return _token_head_reasons(settings, caches, device) if _is_token_head(dtype) else iter(())


def _packed_reasons(settings: Settings, caches: Collection[LayerCache], device: Device) -> Iterator[str]:
    """Yield what speaks against latents in NVFP4 (flashmla_sparse.py supports_combination)."""
    if not {MLA, SparseIndex} <= {type(cache) for cache in caches}:
        yield "it is a layout of sparse latents (DeepSeek V3.2, GLM-5)"
    if device.vendor != "NVIDIA" or device.generation[0] != 10:
        yield "FlashMLA reads it on GPUs of compute capability 10 only (B200, B300)"
    yield from _other_kernel(settings, _LATENT_NVFP4)


def _nvfp4_reasons(dtype: Dtype, caches: Collection[LayerCache], model: ModelSpec, device: Device) -> Iterator[str]:
    """Yield what speaks against NVFP4 (config/vllm.py; flashinfer.py supports_kv_cache_dtype, supports_combination)."""
    kinds = {type(cache) for cache in caches}
    if MLA in kinds:
        yield "no kernel of latents reads it"
    if SparseIndex in kinds or (device.vendor == "NVIDIA" and device.generation[0] == 10):
        return
    if device.vendor != "NVIDIA" or dtype.name != "nvfp4" or not device.has("nvfp4_everywhere"):
        yield "FlashInfer reads it on GPUs of compute capability 10 (B200, B300); nvfp4 from 0.32 on from 8.0 on"
    if model.model_type in SINKS or any(isinstance(cache, FullAttention) and cache.key_dim == 64 for cache in caches):
        yield "FlashInfer reads it with attention sinks or heads of 64 on GPUs of compute capability 10 only"


def _token_head_reasons(settings: Settings, caches: Collection[LayerCache], device: Device) -> Iterator[str]:
    """Yield what speaks against scales for each token and head: Triton's kernel reads them."""
    yield from _unserved(caches)
    if device.vendor == "Intel" and settings["attention_backend"].upper() != _TRITON.name:
        yield "FlashAttention, which serves Intel's GPUs, does not read it; Triton does (attention_backend TRITON_ATTN)"
    windows = any(isinstance(cache, SlidingWindow) for cache in caches)
    if settings.kv_dtype.name == "int4_per_token_head" and windows and not device.has("int4_windows"):
        yield "pages of sliding windows are not those that its kernel reads before 0.28"
    yield from _other_kernel(settings, _TRITON)


def _slot_reasons(
    settings: Settings, kernel: Kernel, caches: Collection[LayerCache], model: ModelSpec, device: Device
) -> Iterator[str]:
    """Yield what speaks against packed slots (turboquant_attn.py; before 0.26 windows' pages did not fit its kernel)."""
    yield from _unserved(caches)
    kinds: set[type[LayerCache]] = {type(cache) for cache in caches}
    if CrossAttention in kinds:
        yield f"{kernel.name} has no cross-attention"
    if SlidingWindow in kinds or ChunkedLocal in kinds:
        yield f"{kernel.name} has no sliding windows"
    if model.model_type in SINKS:
        yield f"{kernel.name} has no attention sinks"
    odd = [
        cache.key_dim for cache in caches if isinstance(cache, FullAttention) and cache.key_dim & (cache.key_dim - 1)
    ]
    if odd and settings.kv_dtype.name != "turboquant_k8v4":
        yield f"{kernel.name} rotates keys of 2^n numbers, not of {odd[0]}"
    if kernel is _ULTRAQUANT and device.vendor != "AMD":
        yield f"{kernel.name} runs on AMD's GPUs only"
    if not _finds_pages(settings, model, device):
        yield "model runner V1 does not find its pages in 0.25 and 0.26 (Unknown TurboQuant cache dtype: 'auto')"
    if RecurrentState not in kinds:
        if device.vendor == "NVIDIA" and settings["attention_backend"] != "auto":
            yield f"layers in 16 bits and in packed slots need two kernels, not {settings['attention_backend']} for both"
        return
    if not device.has("turboquant_hybrids"):
        yield "models with recurrent states take it from 0.21 on"
    if model.model_type in _NO_NAMED_ATTENTION:
        yield "its configuration names no layers of attention"
    yield from _other_kernel(settings, kernel)


def _finds_pages(settings: Settings, model: ModelSpec, device: Device) -> bool:
    """Whether the model runner asks for packed pages by their format: V1 did not in 0.25 and 0.26."""
    if device.has("turboquant_on_v1") or not device.has("formats_share_blocks"):
        return True
    asked = settings["use_v2_model_runner"]
    return bool(is_v2(model, device.version, quantised=False) if asked is None else asked)


def _unserved(caches: Collection[LayerCache]) -> Iterator[str]:
    """Yield which caches no kernel of such formats serves."""
    if any(isinstance(cache, MLA | SparseIndex | CompressorState) for cache in caches):
        yield "no kernel of latents or of sparse attention reads it"
    if any(isinstance(cache, FullAttention) and cache.value_dim not in (0, cache.key_dim) for cache in caches):
        yield "the kernel of values that are not as wide as keys does not read it"


def _other_kernel(settings: Settings, only: Kernel) -> Iterator[str]:
    """Yield that another kernel was asked for than the one that reads the format."""
    asked = settings["attention_backend"]
    if asked != "auto" and asked.upper() != only.name:
        yield f"{asked} does not read it, {only.name} does"
