"""The rotary tables that vLLM keeps on every rank: cosines and sines for every position of the model's longest sequence.

One table serves all layers of equal settings (`_ROPE_DICT`): positions x rotary width, in the model's format unless said.
Source: vLLM 0.33 model_executor/layers/rotary_embedding/__init__.py get_rope and the classes beside it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kvplan.caches import MLA, FullAttention, SparseIndex
from kvplan.engines.vllm.changes import Version, applies
from kvplan.models.config import language_config
from kvplan.models.defaults import type_facts
from kvplan.models.spec import ModelSpec

# Types whose vLLM code has no rotary embedding though their files or classes state a base.
_WITHOUT = (
    "nemotron_h", "jamba", "mamba", "mamba2", "falcon_mamba", "gpt2", "gpt_bigcode", "opt", "bloom", "mpt", "whisper", "bart",
    "t5", "mllama", "granitemoehybrid",
)  # fmt: skip
# Types that run through the Transformers backend, which turns by frequencies without a table, by the first release that
# lists them (models/registry.py _TRANSFORMERS_SUPPORTED_MODELS); earlier ones had models of their own.
_BACKEND: dict[str, Version] = {
    "smollm3": (0, 10, 1), "starcoder2": (0, 25), "olmo": (0, 26), "olmo2": (0, 26), "vaultgemma": (0, 27),
    "flex_olmo": (0, 29), "olmo3": (0, 29), "nanbeige": (0, 30), "arcee": (0, 32), "cwm": (0, 32), "glm": (0, 32),
    "gpt_neox": (0, 32), "jais2": (0, 32), "mellum": (0, 32), "phi": (0, 32), "seed_oss": (0, 32), "kolibri1": (0, 33),
}  # fmt: skip
# gpt_oss.py asks for float32; so do DeepSeek's scaled tables where FlashInfer applies them (deepseek_scaling_rope.py).
_FLOAT32 = ("gpt_oss",)
_LATENT_FLOAT32_DIMS = (64, 128, 256, 512)
# MRotaryEmbedding keeps four times the positions, for videos; these families' never exceed the tokens (mrope_by_tokens).
_MROPE_FACTOR = 4
_ONCE = ("qwen3_vl", "qwen3_5")
_POOLED = ("deepseek_v4", "deepseek_ref")
_PARTIAL = ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction")


class RopeTable(NamedTuple):
    """One table: positions x width numbers of `number_bytes` each."""

    positions: int
    width: int
    number_bytes: int

    @property
    def bytes(self) -> int:
        """Of the table."""
        return self.positions * self.width * self.number_bytes


def rope_tables(model: ModelSpec, number_bytes: int, version: Version) -> tuple[RopeTable, ...]:
    """Return the distinct tables of a model, in a format of `number_bytes`, as a version of vLLM keeps them."""
    config = language_config(model.config)
    model_type = str(config.get("model_type") or model.model_type)
    through_backend = model_type in _BACKEND and version >= _BACKEND[model_type]
    if model_type in _WITHOUT or through_backend or not _has_rope(config, model_type):
        return ()
    longest = _longest(config, model_type)
    if not longest:
        return ()
    if config.get("mla_use_nope") is True:
        return ()  # Kimi Linear's latents turn by nothing
    if model_type in _POOLED:
        return _pooled_tables(model, config, longest)
    videos = 1 if applies("mrope_by_tokens", version) and model_type.startswith(_ONCE) else _MROPE_FACTOR
    tables: dict[tuple[RopeTable, str], RopeTable] = {}
    for kind, head_dim, latent in _heads(model):
        for parameters in _parameters(config, model_type, kind):
            table = _table(config, model_type, parameters, head_dim, longest, number_bytes, videos, latent=latent)
            tables[(table, repr(sorted(parameters.items(), key=str)))] = table
    # An indexer turns its halves, latents their pairs, unless the file says that it does as they do.
    indexed = any(isinstance(cache, SparseIndex) for cache, _ in model.caches)
    apart = indexed and any(latent for *_, latent in _heads(model)) and not config.get("indexer_rope_interleave")
    return (*tables.values(),) * (1 + apart)


def _pooled_tables(model: ModelSpec, config: Mapping[str, Any], longest: int) -> tuple[RopeTable, ...]:
    """Return DeepSeek-V4's tables: one for layers that pool, one for those that only slide, both float32.

    Source: models/deepseek_v4/common/rope.py; DeepseekV4ScalingRotaryEmbedding.
    """
    pools = [any(isinstance(c, MLA) and c.ratio > 1 for c in layer.caches) for layer in model.layers]
    width = config.get("qk_rope_head_dim")
    width = width if isinstance(width, int) and 0 < width <= 1024 else 64
    return (RopeTable(longest, width, 4),) * (any(pools) + (not all(pools)))


def _default(model_type: str, key: str) -> Any:
    facts = type_facts(model_type)
    return facts.defaults.get(key) if facts else None


def _stated(config: Mapping[str, Any], model_type: str, *keys: str) -> Any:
    for key in keys:
        if config.get(key) is not None:
            return config[key]
    return next((value for key in keys if (value := _default(model_type, key)) is not None), None)


def _has_rope(config: Mapping[str, Any], model_type: str) -> bool:
    facts = type_facts(model_type)
    declared = facts is not None and ("rope_parameters" in facts.defaults or "rope_theta" in facts.defaults)
    return declared or any(
        key in config for key in ("rope_theta", "rope_parameters", "rope_scaling", "rotary_emb_base")
    )


def _longest(config: Mapping[str, Any], model_type: str) -> int:
    value = _stated(config, model_type, "max_position_embeddings", "max_sequence_length", "seq_length", "n_positions")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _heads(model: ModelSpec) -> Iterator[tuple[str, int, bool]]:
    """Yield the kind of attention, the width of a head and whether it is the rotary part of a latent; each once."""
    seen = set()
    for cache, _ in model.caches:
        if isinstance(cache, MLA) and cache.rope_dim:
            key = ("full_attention", cache.rope_dim, True)
        elif isinstance(cache, FullAttention):
            windowed = cache.window_tokens is not None
            key = ("sliding_attention" if windowed else "full_attention", cache.key_dim, False)
        else:
            continue
        if key not in seen:
            seen.add(key)
            yield key


def _parameters(config: Mapping[str, Any], model_type: str, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rotary parameters of the layers of one kind, in the words of transformers 5."""
    stated = _stated(config, model_type, "rope_parameters", "rope_scaling")
    parameters = dict(stated) if isinstance(stated, Mapping) else {}
    nested = parameters.get(kind)
    if isinstance(nested, Mapping):
        parameters = dict(nested)
    local = _stated(config, model_type, "rope_local_base_freq", "local_rope_theta", "swa_rope_theta")
    if kind == "sliding_attention" and local is not None and not isinstance(nested, Mapping):
        # Gemma 3's older files: windows turn by a base of their own, without scaling.
        yield {"rope_theta": local}
        return
    parameters.setdefault("rope_theta", _stated(config, model_type, "rope_theta", "rotary_emb_base"))
    yield parameters


def _table(
    config: Mapping[str, Any],
    model_type: str,
    parameters: Mapping[str, Any],
    head_dim: int,
    longest: int,
    number_bytes: int,
    videos: int,
    *,
    latent: bool,
) -> RopeTable:
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    factor = _number(parameters.get("factor"), 1.0)
    stated = parameters.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    original = int(_number(stated, 0)) or longest
    width = head_dim if latent else _rotary_width(config, model_type, parameters, head_dim)
    positions = longest
    if kind == "linear":
        positions = int(longest * factor)
    elif kind in ("yarn", "deepseek_yarn", "deepseek_llama_scaling"):
        positions = int(original * factor)
    elif kind in ("longrope", "su"):
        positions = longest + original
    if "mrope_section" in parameters:
        positions *= videos
    scaled_latent = latent and kind in ("yarn", "deepseek_yarn") and width in _LATENT_FLOAT32_DIMS
    return RopeTable(positions, width, 4 if model_type in _FLOAT32 or scaled_latent else number_bytes)


def _rotary_width(config: Mapping[str, Any], model_type: str, parameters: Mapping[str, Any], head_dim: int) -> int:
    given = config.get("rotary_dim") or parameters.get("rope_dim")
    if isinstance(given, int) and 0 < given <= head_dim:
        return given
    share = parameters.get("partial_rotary_factor")
    if parameters.get("rope_type") == "proportional":
        return head_dim  # the rest turns by nothing, and is in the table
    if share is None:
        share = _stated(config, model_type, *_PARTIAL)
    return int(head_dim * min(max(_number(share, 1.0), 0.0), 1.0))


def _number(value: Any, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        return default
    return float(value)
