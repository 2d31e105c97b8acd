"""Recurrent state as vLLM keeps it: its tensors and formats, its pages, and how attention is aligned to them."""

from dataclasses import replace
from math import lcm
from typing import Any

from kvplan.caches import RecurrentState, StateTensor
from kvplan.dtypes import Dtype, find_dtype
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


def recurrent_dtype(model: ModelSpec, asked: str) -> str:
    """Return what `mamba_ssm_cache_dtype` comes to; `auto`: as the convolution.

    Nemotron-H takes its file's mamba_ssm_cache_dtype, else float32; Qwen 3.5 its file's mamba_ssm_dtype.
    Source: model_executor/models/config.py NemotronHForCausalLMConfig, Qwen3_5ForConditionalGenerationConfig.
    """
    if asked != "auto":
        return asked
    stated: Any = None
    if model.model_type.startswith("nemotron_h") or model.model_type.lower().startswith("nemotronh"):
        stated = model.stated("mamba_ssm_cache_dtype") or "float32"
    elif model.model_type.startswith("qwen3_5"):
        stated = model.stated("mamba_ssm_dtype")
    return stated if stated in STATE_DTYPES else "auto"


def kept_state(state: RecurrentState, model: ModelSpec, cache_dtype: str, ssm_dtype: str) -> RecurrentState:
    """Return the state as vLLM keeps it: past taps only; formats by mamba_cache_dtype and mamba_ssm_cache_dtype.

    Source: layers/mamba/mamba_utils.py MambaStateDtypeCalculator: the recurrent part follows the convolution's format,
    KDA's is float32 unless told otherwise, linear attention and short convolutions only know the first flag.
    """
    first = "model" if cache_dtype == "auto" else cache_dtype
    ssm = recurrent_dtype(model, ssm_dtype)
    if state.style in ("lightning", "linear_attention"):
        second = first
    elif ssm != "auto":
        second = ssm
    else:
        second = "float32" if state.style == "kda" else first

    def kept(part: StateTensor) -> StateTensor:
        return replace(part.without_current_tap(), dtype=first if part.taps else second)

    return replace(state, tensors=tuple(kept(part) for part in state.tensors))


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


def checkpoint_tokens(state: RecurrentState, model: ModelSpec, generation: tuple[int, int]) -> int | None:
    """Return the multiple of positions at which a layer can export its state inside a prefill; None where it cannot.

    Mamba-2 anywhere (mamba_mixer2.py get_kv_cache_spec); gated delta nets at 64 where FlashInfer prefills: Hopper, and
    Blackwell for key heads of 128 (_resolve_gdn_prefill_backend); KDA at 16 where FlashKDA does (kda_checkpoint.py).
    """
    major = generation[0]
    if state.style == "mamba2":
        return 1
    if state.style == "gated_delta_net" and model.model_type not in _PLAIN_DELTA_NETS:
        key_dim = next((part.shape[-1] for part in state.tensors if part.name == "ssm"), 0)
        flashinfer = generation == (9, 0) or (major in (10, 12) and key_dim == 128)
        return _GDN_CHECKPOINT_TOKENS if flashinfer else None
    if state.style == "kda" and model.model_type in _FLASHKDA:
        head_dim = next((part.shape[-1] for part in state.tensors if not part.taps), 0)
        return 16 if major in (9, 10, 12) and head_dim == 128 else None
    return None


def state_spec(
    state: RecurrentState, *, model_dtype: Dtype, block_tokens: int, caching: bool, exports: bool
) -> LayerSpec:
    """Return the spec of one layer's state.

    With prefix caching (mamba_cache_mode "align") a request holds the state that it grows, the one it grew from and those
    exported inside a prefill; without, just one. Source: v1/kv_cache_interface.py MambaSpec.max_memory_usage_bytes.
    """
    return LayerSpec(
        cache=state,
        dtype=model_dtype,
        kind="mamba",
        block_tokens=block_tokens,
        content_bytes=state.fixed_bytes(model_dtype),
        state_pages=2 + exports if caching else 1,
        live_pages=2 if caching else 1,
    )


def align_to_states(
    block: int, *, state_bytes: int, token_bytes: int, step: int, latent: bool, grid: int
) -> tuple[int, int]:
    """Return a hybrid's block size and page: blocks of attention enlarged until a page holds a state.

    block = align x ceil(state / (align x attention bytes of a token)), align a multiple of the kernel's least block `step`
    (128 at least for latents) and of the grid of exported states. Source: platforms/interface.py _align_hybrid_block_size.
    """
    align = max(step, block)
    if latent:
        align = max(align, 128)
    align = lcm(align, grid)
    enlarged = align * ceil_div(state_bytes, align * token_bytes)
    enlarged = step * ceil_div(enlarged, step)
    block = max(block, enlarged)
    return block, block * token_bytes


def known_state_dtype(name: str, value: str) -> str:
    """Return a state format as it was given.

    Raises:
        SettingError: vLLM does not take it.

    """
    value = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}.get(value, value)
    if value not in STATE_DTYPES:
        raise SettingError(f"vLLM's {name} is {value!r}; {', '.join(STATE_DTYPES)} was expected.")
    if value != "auto":
        find_dtype(value)
    return value
