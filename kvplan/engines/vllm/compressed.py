"""Layers that keep pooled entries and the rows to pool next, whose pages lie side by side in one block.

Source: vLLM 0.33 models/deepseek_v4/{attention,compressor}.py, v1/attention/backends/mla/sparse_swa.py (DeepSeek V4);
models/glm5next/common/attention.py, v1/attention/backends/mla/indexer.py (GLM-5.3-Flash).
"""

from kvplan.caches import MLA, LayerCache, SlidingWindow, SparseIndex
from kvplan.caches.compressed import CompressorState
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.vllm.kernels import Kernel
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import UnsupportedArchitectureError

# DeepSeek V4: a packed row is 448 fp8 + 64 bf16 + 8 B of scales; pages are rounded up to 576 B (FlashMLA's layout).
_V4_ROW = Dtype(
    name="fp8_ds_mla", block_elements=512, block_bytes=584, source="vLLM 0.33 models/deepseek_v4/attention.py"
)
_V4_ALIGN = 576
# Entries are paged by 256 positions, windows by 64, a compressor's rows by 4 (ratio 4) or 8 (ratio 128).
V4_BLOCK, _V4_WINDOW_BLOCK = 256, 64
_V4_COMPRESSOR_BLOCKS = {4: 4, 128: 8}
# DeepGEMM's index kernel reads pages of 32 or 64 keys, each for `ratio` positions.
_INDEX_PAGE, _INDEX_PAGE_LONGEST = 32, 64


def index_dtype(width: int) -> Dtype:
    """Return the format of DSA index keys: fp8 with a float32 scale per 128 (models/deepseek_v32/attention.py)."""
    return Dtype(
        name="fp8_index",
        block_elements=width,
        block_bytes=width + width // 128 * 4,
        source="vLLM 0.33 models/deepseek_v32/attention.py",
    )


def v4_spec(cache: LayerCache) -> LayerSpec:
    """Return the spec of one of DeepSeek V4's caches.

    Raises:
        UnsupportedArchitectureError: a cache that V4 does not have (V4.1's shared entries).

    """
    if isinstance(cache, CompressorState) and cache.ratio in _V4_COMPRESSOR_BLOCKS:
        dtype = find_dtype(cache.dtype)
        return _v4_window(cache, dtype, _V4_COMPRESSOR_BLOCKS[cache.ratio], cache.window_tokens)
    if isinstance(cache, SlidingWindow):
        return _v4_window(cache, _V4_ROW, _V4_WINDOW_BLOCK, cache.window)
    if isinstance(cache, MLA | SparseIndex) and V4_BLOCK % cache.ratio == 0:
        dtype = index_dtype(cache.dim) if isinstance(cache, SparseIndex) else _V4_ROW
        return LayerSpec(
            cache=cache,
            dtype=dtype,
            kind="mla",
            block_tokens=V4_BLOCK,
            content_bytes=cache.token_bytes(dtype),
            ratio=cache.ratio,
            align=_V4_ALIGN,
            kernel_block=V4_BLOCK,
        )
    raise UnsupportedArchitectureError(
        f"How vLLM pages {cache.kind} caches of this form is not established.", hint="Plan with --engine textbook."
    )


def _v4_window(cache: LayerCache, dtype: Dtype, block: int, window: int) -> LayerSpec:
    return LayerSpec(
        cache=cache,
        dtype=dtype,
        kind="sliding_mla",
        block_tokens=block,
        content_bytes=cache.token_bytes(dtype),
        align=_V4_ALIGN,
        window=window,
    )


def pooled_block(kernel: Kernel, ratio: int) -> int:
    """Return the least block that the kernel and the index of pooled keys both take."""
    page = _INDEX_PAGE * ratio
    return -(-kernel.step // page) * page


def pooled_spec(cache: LayerCache, *, block_tokens: int) -> LayerSpec:
    """Return the spec of GLM-5.3-Flash's pooled index keys, or of the positions not yet pooled: one ring per request."""
    if isinstance(cache, CompressorState):
        dtype = find_dtype(cache.dtype)
        return LayerSpec(
            cache=cache,
            dtype=dtype,
            kind="ring",
            block_tokens=cache.ratio,
            content_bytes=cache.token_bytes(dtype),
        )
    assert isinstance(cache, SparseIndex)  # noqa: S101  the caller has no other
    dtype = index_dtype(cache.dim)
    return LayerSpec(
        cache=cache,
        dtype=dtype,
        kind="mla",
        block_tokens=block_tokens,
        content_bytes=cache.token_bytes(dtype),
        ratio=cache.ratio,
        kernel_block=_INDEX_PAGE_LONGEST * cache.ratio,
    )
