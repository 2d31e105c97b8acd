"""Which attention kernel vLLM takes on a GPU, as far as it decides block sizes and the format of latents.

Source: vLLM 0.33 platforms/cuda.py _get_backend_priorities; v1/attention/backends/*.py get_supported_kernel_block_sizes,
supported_kv_cache_dtypes, supports_compute_capability, supports_combination; platforms/interface.py
_preferred_block_size_for_backends.
"""

from dataclasses import dataclass

from kvplan.engines.vllm.defaults import BLOCK_TOKENS
from kvplan.errors import SettingError

# MLACommonBackend.get_supported_head_sizes: of FlashAttention-MLA, FlashMLA, FlashInfer-MLA and CUTLASS-MLA.
_LATENT_WIDTHS = (320, 512, 576)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What a kernel is chosen by.

    Attributes:
        width: of a key head; of the latent and rotary key together for latent attention.
        nope: qk_nope_head_dim, for latent attention; 0 elsewhere.
        queries: query heads on this rank.

    """

    width: int
    nope: int = 0
    queries: int = 0


def attention_kernel(generation: tuple[int, int], *, width: int, fp8: bool) -> Kernel:
    """Return the kernel of ordinary attention.

    All take blocks of 16, but FlashAttention 4 on Hopper for fp8 caches of heads as wide as 512 reads tiles of 64
    (flash_attn.py _get_sm90_fa4_fp8_kv_block_size).
    """
    if generation[0] == 9 and fp8 and width == 512:
        return Kernel(name="FLASH_ATTN", block_tokens=64, step=64, fixed=64)
    if generation[0] == 10:
        return Kernel(name="FLASHINFER", block_tokens=BLOCK_TOKENS, step=16, fixed=64)
    return Kernel(name="FLASH_ATTN" if generation[0] >= 8 else "TRITON_ATTN", block_tokens=BLOCK_TOKENS, step=16)


def latent_kernel(generation: tuple[int, int], heads: Heads, *, fp8: bool) -> Kernel:
    """Return the kernel of dense latent attention: the first of the priorities that takes the GPU, dtype and widths."""
    major = generation[0]
    common = heads.width in _LATENT_WIDTHS
    if major == 9 and common:
        if not fp8:
            return Kernel(name="FLASH_ATTN_MLA", block_tokens=16, step=16)
        return Kernel(name="FLASHMLA", block_tokens=64, step=64, fixed=64)
    if major == 10 and common:
        if heads.nope in (64, 128, 192):
            return Kernel(name="FLASHINFER_MLA", block_tokens=32, step=32, fixed=64)
        return Kernel(name="CUTLASS_MLA", block_tokens=128, step=128, fixed=128)
    return _TRITON_MLA


def sparse_kernel(generation: tuple[int, int], heads: Heads, *, fp8: bool) -> Kernel:
    """Return the kernel of sparse latent attention. The indexer beside it reads pages of 64 (indexer.py).

    Raises:
        SettingError: a GPU without one.

    """
    major = generation[0]
    if major == 9:
        if fp8 and heads.width == 512:
            # Latents without a rotary key: FlashMLA has no packed form for them (flashmla_sparse.py supports_combination).
            return Kernel(name="FLASHINFER_MLA_SPARSE_SM90", block_tokens=64, step=64, rows=True)
        if not fp8:
            return Kernel(name="FLASH_ATTN_MLA_SPARSE", block_tokens=64, step=64, rows=True)
        return Kernel(name="FLASHMLA_SPARSE", block_tokens=64, step=64, fixed=64, packed=True)
    if major == 10:
        # The packed form needs --attention-backend FLASHMLA_SPARSE there; plain fp8 is the default.
        name = "FLASHINFER_MLA_SPARSE" if fp8 or heads.queries <= 16 else "FLASHMLA_SPARSE"
        return Kernel(name=name, block_tokens=64, step=64, rows=True)
    if major == 12:
        # Unquantised caches take the packed form too (mla_attention.py _canonicalize_sparse_mla_kv_cache_dtype).
        return Kernel(name="FLASHINFER_MLA_SPARSE_SM120", block_tokens=64, step=64, rows=True, packed=True)
    raise SettingError(
        f"vLLM has no sparse latent attention for GPUs of compute capability {major}.{generation[1]}.",
        hint="It runs on Hopper and Blackwell: --gpu h100, b200, rtx-pro-6000.",
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
