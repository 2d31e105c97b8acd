"""Whether weight files hold the model that their configuration describes: a part of one would seem to fit anywhere."""

from kvplan.checkpoints.tensors import Checkpoint
from kvplan.errors import CheckpointError
from kvplan.models.spec import ModelSpec
from kvplan.weights.scheme import Scheme
from kvplan.weights.stage import placed

# Families and files disagree by buffers, tied copies and next-token layers, never by a quarter of the model.
_LEAST_SHARE = (3, 4)
# No format has less than a bit for a weight: EXL3's smallest is one, llama.cpp's IQ1_S has 1.5625 (ggml-common.h).
_LEAST_BITS = 1
_HINT = "Download the checkpoint again, or plan from its config.json alone."


def check_complete(model: ModelSpec, scheme: Scheme | None) -> None:
    """Check that a model's weight files are not a piece of it.

    Every layer has a tensor; files that are not quantised hold three quarters of the parameters, others a bit of each.

    Raises:
        CheckpointError: they are, or they belong to another model.

    """
    checkpoint = model.checkpoint
    if checkpoint is None or model.unknown_parameters is not None or not model.parameters:
        return
    plain = scheme is not None and scheme.is_plain and checkpoint.container != "gguf"
    if checkpoint.tensors:
        _check_layers(model, checkpoint)
    if plain:
        numbers = _numbers(checkpoint)
        least = model.parameters * _LEAST_SHARE[0] // _LEAST_SHARE[1]
        held = f"{numbers:,} numbers"
    else:
        numbers = checkpoint.total_bytes
        least = model.parameters * _LEAST_BITS // 8
        held = f"{numbers:,} bytes"
    if numbers < least:
        raise CheckpointError(
            f"{checkpoint.source} holds {held}, and its configuration describes {model.parameters:,} parameters: "
            f"it is incomplete, of another model{', or quantised without saying so' if plain else ''}.",
            hint=_HINT,
        )


def _numbers(checkpoint: Checkpoint) -> int:
    """Return the numbers in files that are not quantised; pickles have at least two bytes for each."""
    if not checkpoint.tensors:
        return checkpoint.total_bytes // 2
    return sum(tensor.numbers for tensor in checkpoint.tensors)


def _check_layers(model: ModelSpec, checkpoint: Checkpoint) -> None:
    held = {place.layer for _, place in placed(model).tensors if place.layer is not None}
    missing = [index for index, layer in enumerate(model.layers) if layer.parts and index not in held]
    # Names that bear no layer at all are those of a format that is not understood: its size has to do.
    if missing and held:
        raise CheckpointError(
            f"{checkpoint.source} lists no tensor of layer {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, of {len(model.layers)}: it is incomplete, "
            "or of another model.",
            hint=_HINT,
        )
