"""Which attention kernel vLLM takes on a GPU, as far as it decides block sizes and the format of latents.

Source: vLLM 0.8 to 0.33 platforms/{cuda,rocm,xpu}.py _get_backend_priorities and check_and_update_config;
v1/attention/backends/*.py get_supported_kernel_block_sizes, supported_kv_cache_dtypes, supports_compute_capability,
supports_combination; platforms/interface.py update_block_size_for_backend.
"""

from dataclasses import dataclass
from typing import NamedTuple

from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.defaults import BLOCK_TOKENS
from kvplan.errors import SettingError

# MLACommonBackend.get_supported_head_sizes: of FlashAttention-MLA, FlashMLA, FlashInfer-MLA and CUTLASS-MLA.
_LATENT_WIDTHS = (320, 512, 576)


class Kernel(NamedTuple):
    """An attention kernel.

    Attributes:
        name: vLLM's.
        block_tokens: the block size that vLLM prefers with it.
        step: the least block it reads; longer ones are multiples.
        fixed: the longest block, where it reads only certain ones; None: any multiple of `step`.
        rows: whether blocks are to be whole rows apart.
        packed: whether latents take the packed fp8_ds_mla form.

    """

    name: str
    block_tokens: int
    step: int
    fixed: int | None = None
    rows: bool = False
    packed: bool = False


_TRITON_MLA = Kernel(name="TRITON_MLA", block_tokens=16, step=16)
_AMD, _INTEL = "AMD", "Intel"
# What stands for AMD's data-centre GPUs (gfx9) as a generation.
INSTINCT = (9, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a kernel is chosen by, of the GPU and of vLLM.

    Attributes:
        vendor: `NVIDIA`, `AMD` or `Intel`.
        generation: compute capability; for AMD `INSTINCT` or (0, 0), for Intel of no meaning.
        version: of vLLM.

    """

    vendor: str
    generation: tuple[int, int]
    version: Version

    def has(self, key: str) -> bool:
        """Whether the release has a rule (`changes.applies`)."""
        return applies(key, self.version)


class Heads(NamedTuple):
    """What a kernel is chosen by, of the model.

    Attributes:
        width: of a key head; of the latent and rotary key together for latent attention.
        nope: qk_nope_head_dim, for latent attention; 0 elsewhere.
        queries: query heads on this rank.

    """

    width: int
    nope: int = 0
    queries: int = 0


def attention_kernel(device: Device, *, width: int, fp8: bool, sinks: bool = False) -> Kernel:
    """Return the kernel of ordinary attention.

    All take blocks of 16, but FlashAttention 4 on Hopper for fp8 caches of heads as wide as 512 reads tiles of 64
    (flash_attn.py _get_sm90_fa4_fp8_kv_block_size), Intel's reads 64 (platforms/xpu.py), and AITER's unified kernel, which
    serves what ROCM_ATTN does not, prefers 64.
    """
    if device.vendor == _AMD:
        if sinks and device.generation[0] == INSTINCT[0] and device.has("amd_unified"):
            return Kernel(name="ROCM_AITER_UNIFIED_ATTN", block_tokens=64, step=16)
        return Kernel(name="ROCM_ATTN", block_tokens=BLOCK_TOKENS, step=16)
    if device.vendor == _INTEL:
        return Kernel(name="FLASH_ATTN", block_tokens=64, step=64)
    major = device.generation[0]
    if major == 9 and fp8 and width == 512 and device.has("tma_tiles"):
        return Kernel(name="FLASH_ATTN", block_tokens=64, step=64, fixed=64)
    if major == 10:
        return Kernel(name="FLASHINFER", block_tokens=BLOCK_TOKENS, step=16, fixed=64)
    return Kernel(name="FLASH_ATTN" if major >= 8 else "TRITON_ATTN", block_tokens=BLOCK_TOKENS, step=16)


def latent_kernel(device: Device, heads: Heads, *, fp8: bool) -> Kernel:
    """Return the kernel of dense latent attention: the first of the priorities that takes the GPU, dtype and widths."""
    if device.vendor != "NVIDIA":
        # AMD's own (AITER, blocks of one position) has to be asked for: VLLM_ROCM_USE_AITER=1.
        return _TRITON_MLA
    if not device.has("blocks_by_kernel"):
        return _early_latent_kernel(device, heads)
    major = device.generation[0]
    common = heads.width in _LATENT_WIDTHS
    if major == 9 and common:
        if not fp8:
            return Kernel(name="FLASH_ATTN_MLA", block_tokens=16, step=16)
        return Kernel(name="FLASHMLA", block_tokens=64, step=64, fixed=64)
    if major == 10 and common:
        if heads.nope in ((64, 128, 192) if device.has("flashinfer_wide_latents") else (64, 128)):
            return Kernel(name="FLASHINFER_MLA", block_tokens=32, step=32, fixed=64)
        return Kernel(name="CUTLASS_MLA", block_tokens=128, step=128, fixed=128)
    return _TRITON_MLA


def _early_latent_kernel(device: Device, heads: Heads) -> Kernel:
    """Return what the platform chose, with its block size, before kernels named theirs (0.8 to 0.17)."""
    major = device.generation[0]
    if major == 9:
        return Kernel(name="FLASHMLA", block_tokens=64, step=64)
    family = major == 10 if device.has("cutlass_family") else device.generation == (10, 0)
    if family and device.has("flashinfer_latents") and heads.nope == 128:
        return Kernel(name="FLASHINFER_MLA", block_tokens=64, step=32)
    if family and device.has("cutlass_latents"):
        return Kernel(name="CUTLASS_MLA", block_tokens=128, step=128)
    return _TRITON_MLA


def sparse_kernel(device: Device, heads: Heads, *, fp8: bool, auto: bool) -> Kernel:
    """Return the kernel of sparse latent attention. The indexer beside it reads pages of 64 (indexer.py).

    Args:
        device: GPU and version.
        heads: of the model.
        fp8: whether the cache is in fp8.
        auto: whether no format was asked for.

    Raises:
        SettingError: a GPU or a version without one.

    """
    if not device.has("packed_latents"):
        raise SettingError(
            f"vLLM {_dotted(device.version)} has no sparse latent attention.", hint="It came with 0.11: vllm@0.11."
        )
    if device.vendor == _AMD:
        block = 16 if device.has("sparse_16_on_amd") else 1
        return Kernel(name="ROCM_AITER_MLA_SPARSE", block_tokens=block, step=block, rows=True)
    major = device.generation[0] if device.vendor == "NVIDIA" else 0
    packed = fp8 or (auto and not device.has("sparse_auto_is_16_bit"))
    if major == 9:
        return _sparse_on_hopper(device, heads, packed=packed)
    if major == 10:
        # The packed form needs --attention-backend FLASHMLA_SPARSE there; plain fp8 is the default.
        plain = device.has("sparse_fp8_plain_on_blackwell") and fp8
        plain = plain or (device.has("sparse_by_kernel") and heads.queries <= 16)
        name = "FLASHINFER_MLA_SPARSE" if plain else "FLASHMLA_SPARSE"
        return Kernel(name=name, block_tokens=64, step=64, rows=True, packed=packed and not plain)
    if major == 12 and device.has("sparse_on_sm120"):
        # Unquantised caches take the packed form too (mla_attention.py _canonicalize_sparse_mla_kv_cache_dtype).
        return Kernel(name="FLASHINFER_MLA_SPARSE_SM120", block_tokens=64, step=64, rows=True, packed=True)
    raise SettingError(
        f"vLLM {_dotted(device.version)} has no sparse latent attention for GPUs of compute capability "
        f"{device.generation[0]}.{device.generation[1]}.",
        hint="It runs on Hopper and Blackwell: --gpu h100, b200, rtx-pro-6000 (from 0.24 on).",
    )


def _sparse_on_hopper(device: Device, heads: Heads, *, packed: bool) -> Kernel:
    if packed and heads.width == 512 and device.has("sparse_by_kernel"):
        # Latents without a rotary key: FlashMLA has no packed form for them (flashmla_sparse.py supports_combination).
        return Kernel(name="FLASHINFER_MLA_SPARSE_SM90", block_tokens=64, step=64, rows=True)
    if not packed:
        return Kernel(name="FLASH_ATTN_MLA_SPARSE", block_tokens=64, step=64, rows=True)
    return Kernel(name="FLASHMLA_SPARSE", block_tokens=64, step=64, fixed=64, packed=True)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


# Kernels that can be asked for by name: preferred block, least block, longest fixed block.
_NAMED: dict[str, tuple[int, int, int | None]] = {
    "FLASH_ATTN": (16, 16, None), "FLASHINFER": (16, 16, 64), "TRITON_ATTN": (16, 16, None),
    "FLEX_ATTENTION": (16, 16, None), "TREE_ATTN": (16, 16, None), "XFORMERS": (16, 16, None),
    "ROCM_ATTN": (16, 16, None), "ROCM_AITER_FA": (16, 16, 32), "ROCM_AITER_UNIFIED_ATTN": (64, 16, None),
    "FLASH_ATTN_MLA": (16, 16, None), "TRITON_MLA": (16, 16, None), "FLASHMLA": (64, 64, 64),
    "FLASHINFER_MLA": (32, 32, 64), "TOKENSPEED_MLA": (32, 32, 64), "CUTLASS_MLA": (128, 128, 128),
    "ROCM_AITER_MLA": (16, 1, None), "ROCM_AITER_TRITON_MLA": (16, 1, None),
    "FLASHMLA_SPARSE": (64, 64, 64), "FLASHINFER_MLA_SPARSE": (64, 64, None), "FLASH_ATTN_MLA_SPARSE": (64, 64, None),
    "FLASHINFER_MLA_SPARSE_SM90": (64, 64, None), "FLASHINFER_MLA_SPARSE_SM120": (64, 64, None),
    "ROCM_AITER_MLA_SPARSE": (16, 1, None),
}  # fmt: skip
_PACKED = ("FLASHMLA_SPARSE", "FLASHINFER_MLA_SPARSE_SM120")


def named_kernel(name: str, device: Device, *, fp8: bool) -> Kernel:
    """Return the kernel that --attention-backend (before 0.13: VLLM_ATTENTION_BACKEND) names.

    Raises:
        SettingError: its blocks are not known here.

    """
    known = name.upper().removesuffix("_VLLM_V1")
    if known not in _NAMED:
        raise SettingError(
            f"The blocks of attention backend {name!r} are not known.", hint=f"Known: {', '.join(sorted(_NAMED))}."
        )
    block, step, fixed = _NAMED[known]
    if known == "FLASHINFER_MLA" and not device.has("blocks_by_kernel"):
        block = 64
    if known.startswith("ROCM_AITER_MLA") and not device.has("hybrids_by_kernel"):
        block = 1
    packed = known in _PACKED and (fp8 or known != _PACKED[0])
    return Kernel(
        name=known,
        block_tokens=block,
        step=step,
        fixed=fixed,
        rows=known.endswith(("_SPARSE", "_SM90", "_SM120")) and known != _PACKED[0],
        packed=packed,
    )


def block_sparse_kernel() -> Kernel:
    """Return the kernel of block-sparse ordinary attention (MiniMax-M3): a page is one sparse block of 128.

    Source: models/minimax_m3/common/sparse_attention.py, indexer.py get_supported_kernel_block_sizes.
    """
    return Kernel(name="MINIMAX_M3_SPARSE", block_tokens=128, step=128, fixed=128)


def for_block(kernel: Kernel, block_tokens: int, *, latent: bool) -> Kernel:
    """Return the kernel that reads blocks of the given size: this one, or Triton's for dense latents.

    Source: v1/attention/backend.py supports_block_size, by which platforms/cuda.py leaves backends out.

    Raises:
        SettingError: none does.

    """
    if block_tokens % kernel.step == 0:
        return kernel
    if latent and block_tokens % _TRITON_MLA.step == 0:
        return _TRITON_MLA
    raise SettingError(
        f"vLLM refuses block_size {block_tokens}: no valid attention backend; {kernel.name} reads multiples of {kernel.step}.",
        hint=f"Use a multiple of {kernel.step}, or leave it to vLLM.",
    )
