"""What a checkpoint takes on disk: every module of a model in the format that its scheme gives it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvplan.models.spec import ModelSpec
from kvplan.weights.ranks import Ranks, layer_bytes, rank_parts
from kvplan.weights.scheme import Scheme

if TYPE_CHECKING:
    from kvplan.checkpoints.tensors import Checkpoint


def checkpoint_bytes(model: ModelSpec, scheme: Scheme) -> int:
    """Return the bytes of a published checkpoint: all parts, next-token layers among them, each in its own format."""
    count, one = len(model.layers), Ranks()
    drafts = layer_bytes(enumerate(model.draft_layers, start=count), scheme, one)
    return rank_parts(model, range(count), scheme, one).bytes + drafts


def as_in_files(scheme: Scheme, checkpoint: "Checkpoint", parameters: int | None) -> Scheme:
    """Return the scheme with the width of number that the files have: engines cast weights that are not quantised.

    Headers state it. Pickles are not opened: files of at least three bytes per parameter hold four.
    """
    if not scheme.is_plain or checkpoint.container == "gguf":
        return scheme
    if not checkpoint.tensors:
        return replace(scheme, plain_bytes=4 if parameters and checkpoint.total_bytes >= 3 * parameters else 2)
    plain = [tensor for tensor in checkpoint.tensors if tensor.is_plain]
    numbers = sum(tensor.numbers for tensor in plain)
    return replace(scheme, plain_bytes=round(sum(tensor.bytes for tensor in plain) / numbers)) if numbers else scheme
