"""Recurrent state as vLLM keeps it: its tensors and formats, its pages, and how attention is aligned to them."""

from dataclasses import replace
from math import lcm
from typing import Any

from kvplan.caches import RecurrentState, StateTensor
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.defaults import BLOCK_TOKENS
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import SettingError
from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div

# --mamba-cache-dtype and --mamba-ssm-cache-dtype (config/cache.py MambaDType).
STATE_DTYPES = ("auto", "float32", "float16", "bfloat16")

# FlashInfer's gated-delta-net prefill exports states at multiples of this (gdn/qwen_gdn_linear_attn.py).
_GDN_CHECKPOINT_TOKENS = 64
# Families whose KDA layers prefill with FlashKDA and so export checkpoints (models/kimi_k3/nvidia/kda.py,
# models/glm5next/common/kda.py); Kimi-Linear's own layers do not (layers/mamba/gdn/kimi_gdn_linear_attn.py).
_FLASHKDA = ("kimi_k3", "glm5_next", "glm5_next_text")
# Gated delta nets without exported checkpoints (layers/mamba/gdn/olmo_gdn_linear_attn.py).
_PLAIN_DELTA_NETS = ("olmo_hybrid",)
# config/model.py get_mamba_chunk_size, where the file names none (Mamba-1).
_MAMBA1_CHUNK = 2048


# Model types whose states vLLM keeps for every block (classes that derive from SupportsMambaPrefixCaching).
_EVERY_BLOCK = ("bamba", "falcon_h1", "granitemoehybrid", "jamba", "mamba", "mamba2", "nemotron_h", "zamba2")
# mamba_cache_mode (config/cache.py).
CACHE_MODES = ("none", "align", "all")


def recurrent_dtype(model: ModelSpec, asked: str, version: Version) -> str:
    """Return what `mamba_ssm_cache_dtype` comes to; `auto`: as the convolution.

    Nemotron-H takes its file's mamba_ssm_cache_dtype, else float32; Qwen 3.5 its file's mamba_ssm_dtype.
    Source: model_executor/models/config.py NemotronHForCausalLMConfig, Qwen3_5ForConditionalGenerationConfig.
    """
    if asked != "auto":
        return asked
    stated: Any = None
    if model.model_type.lower().startswith(("nemotron_h", "nemotronh")) and applies("nemotron_states", version):
        usual = "float32" if applies("nemotron_float32", version) else "float16"
        stated = model.stated("mamba_ssm_cache_dtype") or usual
    elif model.model_type.startswith("qwen3_5"):
        stated = model.stated("mamba_ssm_dtype")
    return stated if stated in STATE_DTYPES else "auto"


def kept_state(
    state: RecurrentState, model: ModelSpec, *, cache_dtype: str, ssm_dtype: str, version: Version, drafts: int
) -> RecurrentState:
    """Return the state as vLLM keeps it: past taps and one for each draft token; formats by the two flags.

    Source: layers/mamba/mamba_utils.py MambaStateDtypeCalculator: the recurrent part follows the convolution's format,
    KDA's is float32 unless told otherwise, linear attention and short convolutions only know the first flag.
    """
    first = "model" if cache_dtype == "auto" else cache_dtype
    ssm = recurrent_dtype(model, ssm_dtype, version)
    follows = {
        "gated_delta_net": applies("delta_net_states", version),
        "kda": applies("kda_state_format", version),
        "lightning": False,
        "linear_attention": False,
    }.get(state.style, True)
    usual = "float32" if state.style == "kda" else first
    second = ssm if ssm != "auto" and follows else usual
    more = drafts if _keeps_draft_taps(state, version) else 0

    def kept(part: StateTensor) -> StateTensor:
        part = part.without_current_tap()
        if not part.taps:
            return replace(part, dtype=second)
        return replace(part, shape=(*part.shape[:-1], part.shape[-1] + more), dtype=first)

    return replace(state, tensors=tuple(kept(part) for part in state.tensors))


def _keeps_draft_taps(state: RecurrentState, version: Version) -> bool:
    """Whether convolutions keep a tap more for each draft token (mamba_utils.py MambaStateShapeCalculator)."""
    key = {"mamba2": "mamba2_draft_taps", "kda": "kda_draft_taps", "short_conv": "short_conv_draft_taps"}.get(
        state.style
    )
    return applies(key, version) if key else state.style == "gated_delta_net"


def check_shards(state: RecurrentState, tensor: int) -> None:
    """Refuse what vLLM's mixers refuse: heads, groups and channels that the tensor-parallel size does not divide.

    Source: layers/mamba/mamba_mixer2.py (groups), mamba_utils.py (divide). A single Mamba-2 group is replicated.

    Raises:
        SettingError: one does not divide.

    """
    if tensor == 1:
        return
    shapes = {part.name: part.shape for part in state.tensors}
    if state.style == "mamba2" and "conv" in shapes and "ssm" in shapes:
        heads, head_dim, width = shapes["ssm"]
        groups = (shapes["conv"][0] - heads * head_dim) // (2 * width)
        if groups != 1 and groups % tensor:
            raise SettingError(
                f"vLLM refuses tensor parallel {tensor}: the mixer's {groups} groups are not divisible by it.",
                hint=f"Choose a size that divides {groups}.",
            )
    for part in state.tensors:
        rows = part.shape[0] - part.replicated
        if rows % tensor:
            raise SettingError(
                f"vLLM refuses tensor parallel {tensor}: the {part.name} state's {rows} rows are not divisible by it.",
                hint=f"Choose a size that divides {rows}.",
            )


def checkpoint_tokens(
    state: RecurrentState, model: ModelSpec, *, generation: tuple[int, int], version: Version, gdn_prefill: str
) -> int | None:
    """Return the multiple of positions at which a layer can export its state inside a prefill; None where it cannot.

    Mamba-2 anywhere (mamba_mixer2.py get_kv_cache_spec); gated delta nets at 64 where FlashInfer prefills: Hopper, and
    Blackwell for key heads of 128 (_resolve_gdn_prefill_backend); KDA at 16 where FlashKDA does (kda_checkpoint.py).
    """
    major = generation[0]
    if state.style == "mamba2":
        return 1 if applies("mamba2_checkpoints", version) else None
    if state.style == "gated_delta_net" and model.model_type not in _PLAIN_DELTA_NETS:
        key_dim = next((part.shape[-1] for part in state.tensors if part.name == "ssm"), 0)
        flashinfer = generation == (9, 0) or (major in (10, 12) and key_dim == 128)
        flashinfer = flashinfer if gdn_prefill == "auto" else gdn_prefill == "flashinfer"
        return _GDN_CHECKPOINT_TOKENS if flashinfer and applies("delta_net_checkpoints", version) else None
    key = "glm_kda_checkpoints" if model.model_type.startswith("glm") else "kda_checkpoints"
    if state.style == "kda" and model.model_type in _FLASHKDA and applies(key, version):
        head_dim = next((part.shape[-1] for part in state.tensors if not part.taps), 0)
        return 16 if major in (9, 10, 12) and head_dim == 128 else None
    return None


def cache_mode(model: ModelSpec, *, asked: str, caching: bool, version: Version, drafts: int) -> str:
    """Return which states are kept with prefix caching: `none`, the last ones (`align`), or one for every block (`all`).

    Source: model_executor/models/config.py MambaModelConfig.
    """
    if not caching or not applies("states_cached", version):
        return "none"
    every = model.model_type.lower().startswith(_EVERY_BLOCK)
    if not applies("states_aligned", version):
        return "all" if every else "none"
    if asked in ("align", "all"):
        return asked if every else "align"
    if applies("hybrids_cached", version) or not every:
        return "align"
    early = applies("drafts_align_states", version) and not applies("drafts_keep_all_states", version)
    return "align" if drafts and early else "all"


def state_spec(
    state: RecurrentState,
    *,
    model_dtype: Dtype,
    block_tokens: int,
    mode: str,
    exports: bool,
    version: Version,
    drafts: int,
) -> LayerSpec:
    """Return the spec of one layer's state.

    With mamba_cache_mode "align" a request holds the state that it grows, the one it grew from, one for each draft token
    and those exported inside a prefill; without prefix caching one and one for each draft token.
    Source: v1/kv_cache_interface.py MambaSpec.max_memory_usage_bytes.
    """
    extra = drafts if applies("states_aligned", version) else 0
    pages = {"align": 2 + extra + exports, "none": 1 + extra}.get(mode)
    if pages is None:
        pages = extra if applies("drafts_keep_all_states", version) else 0
    return LayerSpec(
        cache=state,
        dtype=model_dtype,
        kind="mamba",
        block_tokens=block_tokens,
        content_bytes=state.fixed_bytes(model_dtype),
        state_pages=pages,
        page_per_block=mode == "all",
        live_pages=0 if mode == "all" else pages - (exports if mode == "align" else 0),
    )


def block_grid(
    *,
    version: Version,
    block: int,
    step: int,
    latent: bool,
    head_dim: int,
    generation: tuple[int, int],
    grid: int,
    chunk: int | None,
) -> int:
    """Return what a hybrid's block is a multiple of.

    Args:
        version: of vLLM.
        block: the block size that the kernel prefers or that was given.
        step: the least block that the kernel reads.
        latent: whether attention is latent.
        head_dim: the widest attention head.
        generation: compute capability.
        grid: of the states that are exported inside a prefill.
        chunk: of the recurrent kernel, where a state is kept for every block.

    """
    if applies("hybrids_by_kernel", version):
        align = max(step, block)
        if latent and applies("latent_hybrids_by_128", version):
            align = max(align, 128)
        align = lcm(align, grid)
    elif not applies("kernel_blocks_of_hybrids", version):
        align = BLOCK_TOKENS
    elif latent:
        align = 64
    else:
        family = generation[0] == 10 if applies("cutlass_family", version) else generation == (10, 0)
        wide = head_dim == 256 and family and not applies("no_32_for_wide_heads", version)
        align = 32 if wide else BLOCK_TOKENS
    return lcm(align, chunk) if chunk else align


def align_to_states(block: int, *, state_bytes: int, token_bytes: int, step: int, align: int) -> tuple[int, int]:
    """Return a hybrid's block size and page: blocks of attention enlarged until a page holds a state.

    block = align x ceil(state / (align x attention bytes of a token)), at least the one that was given.
    Source: platforms/interface.py _align_hybrid_block_size.
    """
    enlarged = align * ceil_div(state_bytes, align * token_bytes)
    enlarged = step * ceil_div(enlarged, step)
    block = max(block, enlarged)
    return block, block * token_bytes


def kernel_chunk(model: ModelSpec) -> int:
    """Return the positions that a recurrent kernel takes at once (config/model.py get_mamba_chunk_size)."""
    for key in ("mamba_chunk_size", "chunk_size"):
        if isinstance(chunk := model.stated(key), int) and chunk > 0:
            return chunk
    return _MAMBA1_CHUNK


def known_state_dtype(name: str, value: str) -> str:
    """Return a state format as it was given.

    Raises:
        SettingError: vLLM does not take it.

    """
    value = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}.get(value, value)
    if value not in STATE_DTYPES:
        raise SettingError(f"vLLM's {name} is {value[:40]!r}; {', '.join(STATE_DTYPES)} was expected.")
    if value != "auto":
        find_dtype(value)
    return value
