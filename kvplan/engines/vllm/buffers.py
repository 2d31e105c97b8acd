"""What some models hold on the GPU beside 16-bit weights: index and draft buffers, routing tables, float32 parameters."""

from collections.abc import Iterator

from kvplan.caches import SparseIndex
from kvplan.engines.vllm.changes import Version, applies
from kvplan.models.spec import ModelSpec
from kvplan.weights.figure import WeightItem
from kvplan.weights.parts import Part
from kvplan.weights.ranks import RankParts

_INT32 = _FLOAT32 = 4
# Models whose routers vLLM makes in float32 (params_dtype=torch.float32 in 0.33 models/*.py GateLinear).
_FLOAT32_ROUTERS = frozenset(
    {
        "afmoe",
        "ernie4_5_moe",
        "ernie4_5_vl_moe",
        "glm4_moe",
        "hy_v3",
        "mimo_v2",
        "mimo_v2_flash",
        "minimax_m2",
        "minimax_m3",
        "minimax_m3_text",
        "minimax_m3_vl",
        "step3p5",
    }
)


def buffer_items(
    model: ModelSpec,
    layers: range,
    parts: RankParts,
    *,
    plain_bytes: int,
    batched_tokens: int,
    version: Version,
    drafts: bool,
) -> Iterator[WeightItem]:
    """Yield the buffers of one stage's rank; some have no bytes."""
    if any(isinstance(cache, SparseIndex) for cache, _ in model.caches):
        yield WeightItem(
            name="index buffer",
            bytes=batched_tokens * _count(model, "index_topk") * _INT32,
            formula=f"{batched_tokens:,} tokens x index_topk x {_INT32} B",
            source="vLLM 0.33 models/deepseek_v2.py topk_indices_buffer",
        )
    deepseek_v4 = model.model_type.startswith("deepseek_v4")
    if deepseek_v4 and layers.stop == len(model.layers) and (drafts or not applies("drafts_input_on_use", version)):
        yield WeightItem(
            name="draft's input",
            bytes=batched_tokens * _count(model, "hc_mult") * model.hidden_size * plain_bytes,
            formula=f"{batched_tokens:,} tokens x hc_mult x hidden_size x {plain_bytes} B",
            source="vLLM 0.20.2 models/deepseek_v4.py _mtp_hidden_buffer",
        )
    if model.checkpoint is not None:
        return  # The weight files state the rest.
    hashed = sum(index < _count(model, "num_hash_layers") for index in layers) if deepseek_v4 else 0
    yield WeightItem(
        name="routing tables",
        bytes=hashed * model.vocab_size * _count(model, "num_experts_per_tok") * _INT32,
        formula=f"{hashed} layers x vocab_size x num_experts_per_tok x {_INT32} B",
        source="vLLM 0.33 models/deepseek_v4/nvidia/model.py tid2eid",
    )
    single = sum(
        copies * piece.part.parameters
        for group, copies in parts.distinct
        for piece in group
        if piece.form is None and _is_float32(piece.part, model.model_type)
    )
    yield WeightItem(
        name="float32 parameters",
        bytes=single * (_FLOAT32 - plain_bytes),
        formula=f"{single:,} parameters x {_FLOAT32 - plain_bytes} B more",
        source="vLLM 0.33 models/*.py GateLinear; models/deepseek_v4/nvidia/model.py hc_attn_fn, compressor.py ape",
    )


def _is_float32(part: Part, model_type: str) -> bool:
    if model_type.startswith("deepseek_v4"):
        return part.name.startswith("hc") or part.name.endswith("position_bias")
    return part.component == "router" and model_type in _FLOAT32_ROUTERS


def _count(model: ModelSpec, key: str) -> int:
    value = model.stated(key)
    return value if isinstance(value, int) and value > 0 else 0
