"""The multimodal half of the profile run: the largest pictures or videos that the encoder's budget holds, at once.

The budget is max(max_num_batched_tokens, tokens of the largest item); its items' pixels and the encoder's outputs stay
until the language model has run, the encoder's own peak does not. With P patches, C numbers of a patch, V the tower's
width and M that of its MLP on this rank: pixels P x C, a gated block 3 M + 3.33 V for each patch, else 2 M + 3.33 V.
Sound is counted in the same way, with positions for patches.
Source: v1/core/encoder_cache_manager.py compute_mm_encoder_budget; multimodal/encoder_budget.py; v1/worker/
gpu_model_runner.py profile_run, which runs only the kind of item with most tokens. The items: profile/items.py.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from kvplan.engines.vllm.profile.items import Item, are_bounded, largest
from kvplan.models.spec import ModelSpec
from kvplan.weights.parts import Part
from kvplan.weights.ranks import Ranks, shard

_NUMBER = 2
# Residual, norm and rotary tables of a block: 3.2 to 3.5 tower widths by three logs of Qwen 3.5 models (0.17, 0.29).
_RESIDUALS = 3.33
# A block's own linears, by their whole name: those of mergers and pooling heads have longer ones, or come later.
_FIRST, _LAST = ("gate_proj", "up_proj", "fc1"), ("down_proj", "fc2")
_EMBEDS = ("patch", "input_proj")


class Encoding(NamedTuple):
    """What the encoder's run takes.

    Attributes:
        held: pixels and outputs, which stay.
        peak: what the tower takes beside them.
        formula: how they come about.

    """

    held: int
    peak: int
    formula: str


NOTHING = Encoding(held=0, peak=0, formula="no encoder")


def encoding(
    model: ModelSpec,
    ranks: Ranks,
    *,
    tokens: int,
    context: int,
    pictures: int | None = None,
    sequences: int | None = None,
) -> Encoding:
    """Return the encoder's run for a batch of tokens; nothing for a model without a tower, or one that is left out.

    Args:
        model: with its tower.
        ranks: how the tower is spread, or that it is left out.
        tokens: of a batch.
        context: max_model_len.
        pictures: that all requests of a batch may have; None: not bounded.
        sequences: of a batch on V0, where those of encoder-decoders have an item each; None: on V1.

    """
    item = largest(model, context)
    if item is None or item.tower in ranks.left_out:
        return NOTHING
    tower = [shard(part, ranks) for part in model.outer if part.component == item.tower]
    count = sequences if sequences and item.each else max(tokens // item.tokens, 1)
    if pictures is not None and are_bounded(item, model, pictures):
        count = min(count, pictures)
    if not tower or not count:
        return NOTHING
    patches, outputs = count * item.patches, count * (item.outputs or item.tokens)
    at_once = item.one_by_one or patches
    numbers = item.numbers or _numbers_of_patch(tower)
    pixels = patches * numbers * _NUMBER
    held = pixels + outputs * model.hidden_size * (1 + _deepstack(tower)) * _NUMBER
    peak = int(at_once * (item.alive or _numbers_of_block(tower, item)) * _NUMBER)
    unit = "patches" if item.tower == "vision" else "positions"
    formula = f"{count} x {item.what} of {item.tokens:,} tokens, {patches:,} {unit}"
    return Encoding(held=held, peak=peak, formula=formula)


def _numbers_of_block(tower: Sequence[Part], item: Item) -> float:
    """Return the numbers of a patch in the first block's MLP: what it widens to and narrows from, and residuals."""
    linears: dict[str, Part] = {}
    for part in tower:
        linears.setdefault(part.name, part)
    first = sum(linears[name].shape[0] for name in _FIRST if name in linears)
    last = next((linears[name] for name in _LAST if name in linears), None)
    if last is None:
        # No blocks: patches go straight to the language model's width.
        return _RESIDUALS * next((part.shape[0] for part in tower if part.kind == "linear"), 0)
    width, narrowed = last.shape
    return first + narrowed + (_RESIDUALS + item.saved) * width


def _numbers_of_patch(tower: Sequence[Part]) -> int:
    """Return what the patch embedding reads: colours x frames x sides."""
    embed = next((part for part in tower if part.name.startswith(_EMBEDS) and len(part.shape) > 1), None)
    return 0 if embed is None else prod(embed.shape[1:])


def _deepstack(tower: Sequence[Part]) -> int:
    """Return the layers of the tower whose outputs are added to the language model's first layers."""
    return len({part.name.rpartition(".")[0] for part in tower if part.name.startswith("deepstack")})
