"""The workspace that sparse attention reserves for gathered keys, which grows with max_model_len.

* Index keys (128 fp8 numbers and a float32 scale): max_model_len x 40 / ratio, x 2 until 0.12; from 0.33 on x 16 beyond 256 Ki
  tokens. Source: v1/attention/backends/mla/indexer.py get_max_prefill_buffer_size; config/vllm.py (the factor of 5 or 2).
* DeepSeek V4 gathers latents of four requests at once: 4 x (max_model_len / ratio + window + max_num_batched_tokens) rows.
  Source: models/deepseek_v4/nvidia/flashmla.py (0.20 layers/deepseek_v4_attention.py), PREFILL_CHUNK_SIZE.
* The logits of an index: 512 MiB in passing (VLLM_SPARSE_INDEXER_MAX_LOGITS_MB).
"""

from kvplan.caches import MLA, SlidingWindow, SparseIndex
from kvplan.engines.vllm.changes import Version, applies
from kvplan.models.spec import ModelSpec
from kvplan.units import MIB, ceil_div

LOGITS_BYTES = 512 * MIB
_LONG = 256 * 1024
_SCALE_BYTES = 4
_GATHERED_REQUESTS = 4
_NUMBER = 2


def index_workspace(model: ModelSpec, version: Version, *, context: int, batched_tokens: int) -> tuple[int, str]:
    """Return the bytes that indexers and sparse kernels reserve, and how they come about; 0 for other models."""
    latents = [cache for cache, _ in model.caches if isinstance(cache, MLA)]
    indexes = [cache for cache, _ in model.caches if isinstance(cache, SparseIndex)]
    if not latents or not indexes:
        return 0, ""
    index = indexes[0]
    factor = _factor(version, context)
    size = factor * context // index.ratio * (index.dim + _SCALE_BYTES)
    how = f"{factor} x {context:,} tokens / {index.ratio} x {index.dim + _SCALE_BYTES} B"
    windows = [cache for cache, _ in model.caches if isinstance(cache, SlidingWindow)]
    if windows:
        rows = ceil_div(context, min(cache.ratio for cache in latents)) + windows[0].window + batched_tokens
        width = latents[0].latent_dim + latents[0].rope_dim
        gathered = _GATHERED_REQUESTS * rows * width * _NUMBER
        if gathered > size:
            return gathered, f"{_GATHERED_REQUESTS} x {rows:,} rows x {width} x {_NUMBER} B"
    return size, how


def _factor(version: Version, context: int) -> int:
    if not applies("indexer_buffer", version):
        return 2
    return 16 if context > _LONG and applies("small_index_buffer", version) else 40
