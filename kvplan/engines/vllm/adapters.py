"""What vLLM sets aside for LoRA adapters: slots of the largest rank for every module, whatever an adapter changes.

Source: vLLM 0.33 lora/model_manager.py _create_lora_modules; lora/layers/base_linear.py, column_parallel_linear.py,
row_parallel_linear.py, fused_moe.py, logits_processor.py create_lora_weights; config/lora.py.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kvplan.errors import SettingError
from kvplan.models.spec import ModelSpec
from kvplan.weights.figure import WeightItem
from kvplan.weights.parts import Component, Part
from kvplan.weights.ranks import Ranks, shard, stage_parts

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
DEFAULT_RANK, DEFAULT_SLOTS = 16, 1
_MODULES: frozenset[Component] = frozenset(
    {"attention", "mixer", "mlp", "experts", "shared_experts", "router", "embeddings", "head"}
)
_NUMBER_BYTES = 2  # lora_dtype is the model's own, 16 bits


# What an adapter may replace as a whole (lora/peft_helper.py _validate_features).
_REPLACED = ("classifier", "score")


def check(adapters: Iterable["Adapter"]) -> None:
    """Refuse adapters that vLLM does not load.

    Source: vLLM 0.33 lora/peft_helper.py PEFTHelper, which needs a rank, and _validate_features.

    Raises:
        SettingError: with the reason.

    """
    for adapter in adapters:
        for reason in _refusals(adapter):
            raise SettingError(
                f"vLLM refuses the adapter {adapter.source}: {reason}.",
                hint="Merge it into its base model, or plan with --engine transformers.",
            )


def _refusals(adapter: "Adapter") -> Iterator[str]:
    if adapter.kind not in ("lora", "unknown") or adapter.rank is None:
        yield f"it is {adapter.kind[:40]!r}, not LoRA with a rank"
    if adapter.dora:
        yield "it is DoRA"
    whole = [name for name in adapter.modules_to_save if name not in _REPLACED]
    if whole:
        yield f"it replaces {whole[0][:40]!r} as a whole (modules_to_save)"


def smallest_rank(ranks: Iterable[int]) -> int | None:
    """Return the smallest max_lora_rank that holds adapters of these ranks, at least the default; None: none does."""
    wanted = max([DEFAULT_RANK, *ranks])
    return next((rank for rank in RANKS if rank >= wanted), None)


def slots_item(model: ModelSpec, layers: range, ranks: Ranks, *, slots: int, rank: int) -> WeightItem:
    """Return the bytes of all slots on one rank: slots x rank x the inputs and outputs of every module."""
    width = sum(_width(part, ranks) for part, _ in stage_parts(model, layers))
    return WeightItem(
        name="adapter slots",
        bytes=slots * rank * width * _NUMBER_BYTES,
        formula=f"{slots} x rank {rank} x {width:,} inputs and outputs x {_NUMBER_BYTES} B",
        source="vLLM 0.33 lora/layers/*.py create_lora_weights",
    )


def _width(part: Part, ranks: Ranks) -> int:
    """Return the inputs and outputs of a module on one rank; the whole of the axis that is not split."""
    if part.component not in _MODULES or part.kind not in ("linear", "embedding") or len(part.shape) != 2:
        return 0
    piece = shard(part, ranks)
    return piece.count * sum(piece.shape)
