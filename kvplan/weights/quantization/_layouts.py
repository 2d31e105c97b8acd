"""The layouts that several methods store a linear in. Each function's docstring lists the tensors, R rows x C columns."""

from kvplan.weights.formats import EIGHT_BIT_SPREAD, FOUR_BIT_SPREAD, WeightFormat
from kvplan.weights.quantization._section import WHOLE_INPUT


def spread_of(bits: float) -> tuple[int, int]:
    """Return how far published files are from a width where the section does not say which modules stay."""
    return EIGHT_BIT_SPREAD if bits > 6 else FOUR_BIT_SPREAD


def fp8_tensor(*, input_scale: bool, source: str) -> WeightFormat:
    """R x C bytes, a float32 scale, and another of the input where activations are scaled ahead of time."""
    return WeightFormat(
        name="fp8-tensor", bits=8, tensor_bytes=8 if input_scale else 4, spread=EIGHT_BIT_SPREAD, source=source
    )


def fp8_row(*, scale_bytes: int, source: str, tensor_bytes: int = 0) -> WeightFormat:
    """R x C bytes and a scale per row."""
    return WeightFormat(
        name="fp8", bits=8, row_bytes=scale_bytes, tensor_bytes=tensor_bytes, spread=EIGHT_BIT_SPREAD, source=source
    )


def fp8_block(block: tuple[int, int], *, scale_bytes: int, source: str) -> WeightFormat:
    """R x C bytes and a scale per block."""
    return WeightFormat(
        name="fp8-block", bits=8, block=block, block_bytes=scale_bytes, spread=EIGHT_BIT_SPREAD, source=source
    )


def int8_row(*, scale_bytes: int, source: str, tensor_bytes: int = 0) -> WeightFormat:
    """R x C bytes and a scale per row."""
    return WeightFormat(
        name="int8", bits=8, row_bytes=scale_bytes, tensor_bytes=tensor_bytes, spread=EIGHT_BIT_SPREAD, source=source
    )


def integers(
    bits: float,
    group: int | None,
    *,
    scale_bits: float,
    zero_bits: float,
    source: str,
    column_bytes: int = 0,
    tensor_bytes: int = 0,
) -> WeightFormat:
    """R x C packed integers; per row and group (None: the whole input) a scale and perhaps a zero point."""
    return WeightFormat(
        name=f"int{bits:g}",
        bits=bits,
        group=group or WHOLE_INPUT,
        scale_bits=scale_bits,
        zero_bits=zero_bits,
        column_bytes=column_bytes,
        tensor_bytes=tensor_bytes,
        spread=spread_of(bits),
        source=source,
    )


def nvfp4(*, group: int = 16, input_scale: bool = True, source: str, column_bytes: int = 0) -> WeightFormat:
    """R x C / 2 bytes, an fp8 scale per 16, a float32 scale of the tensor and perhaps of its input."""
    return WeightFormat(
        name="nvfp4",
        bits=4,
        group=group,
        scale_bits=8,
        column_bytes=column_bytes,
        tensor_bytes=8 if input_scale else 4,
        spread=FOUR_BIT_SPREAD,
        source=source,
    )


def microscaled(bits: int, *, source: str, group: int = 32, tensor_bytes: int = 0) -> WeightFormat:
    """OCP MX: packed floats and an 8-bit exponent per 32 of them."""
    return WeightFormat(
        name=f"mxfp{bits}",
        bits=bits,
        group=group,
        scale_bits=8,
        tensor_bytes=tensor_bytes,
        spread=spread_of(bits),
        source=source,
    )
