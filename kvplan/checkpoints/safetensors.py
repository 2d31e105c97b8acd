"""The header of a safetensors file: 8 bytes of its length, then JSON that lists every tensor.

Source: safetensors 0.8, `safetensors/src/tensor.rs` (`read_metadata`, `Metadata::validate`, `Dtype::bitsize`). What the library
refuses is refused here, by one sentence that names the file and the tensor.
"""

import math
from typing import Any, Protocol

from kvplan.checkpoints.large_json import JsonObject, shown
from kvplan.checkpoints.tensors import Tensor
from kvplan.errors import CheckpointError

LENGTH_BYTES = 8
# tensor.rs: MAX_HEADER_SIZE. Nothing larger is read or allocated.
MAX_HEADER_BYTES = 100_000_000
# Five times the tensors of the largest models published (one for each expert's weight and scale), all in one file.
MAX_TENSORS = 1_000_000
# tensor.rs: Dtype::bitsize.
_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_DTYPES = {name: name.lower() for name in _BITS}
# The longest entry that was seen has 120 characters; one of a tensor with 64 axes has 1,500.
_ENTRY_CHARACTERS = 4_096
# Of `__metadata__`, whose names are held until they are all known to differ; the most seen are some dozens.
_MAX_METADATA = 100_000
_MAX_AXIS = 2**63 - 1
_GIT_LFS = b"version "


class Bytes(Protocol):
    """A file whose bytes can be read from anywhere: one that is open here, or one on the hub."""

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from `start`: `length` of them, or fewer where the file ends."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""


def read_header(file: Bytes, *, where: str) -> tuple[Tensor, ...]:
    """Return the tensors of a file, of which only the header is read.

    Raises:
        CheckpointError: the header is broken, or does not describe this file.

    """
    length = header_length(file.read(0, LENGTH_BYTES), file_bytes=file.size, where=where)
    return parse_header(file.read(LENGTH_BYTES, length), file_bytes=file.size, where=where)


def header_length(start: bytes, *, file_bytes: int, where: str) -> int:
    """Return how many bytes of JSON follow the first 8 bytes of a file.

    Raises:
        CheckpointError: the file is shorter than it says, or this length cannot be meant.

    """
    if start.startswith(_GIT_LFS):
        hint = "Fetch the file itself with `git lfs pull`."
        raise CheckpointError(f"{where} is a pointer of Git LFS, not the weights.", hint=hint)
    if len(start) < LENGTH_BYTES:
        raise CheckpointError(f"{where} is truncated: it has {len(start)} bytes, and a header's length alone takes 8.")
    length = int.from_bytes(start, "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{where} is not a safetensors file: its header would have {length:,} bytes, of at most {MAX_HEADER_BYTES:,}."
        )
    if LENGTH_BYTES + length > file_bytes:
        raise CheckpointError(f"{where} is truncated: its header has {length:,} bytes, the file {file_bytes:,}.")
    return length


def parse_header(header: bytes, *, file_bytes: int, where: str) -> tuple[Tensor, ...]:
    """Return the tensors that a header lists, in the order of their data.

    Takes no more memory than the header's text (up to 4 bytes for each of its characters) and the tensors themselves, at most
    `MAX_TENSORS`.

    Args:
        header: the JSON behind the first 8 bytes.
        file_bytes: size of the whole file; the tensors must fill it to the last byte.
        where: the file, for messages.

    Raises:
        CheckpointError: the header is not what the format asks for, or does not describe a file of this size.

    """
    text = JsonObject(header, where=where)
    found: list[tuple[int, int, Tensor]] = []
    shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
    for name in text.members():
        if name == "__metadata__":
            _skip_metadata(text)
            continue
        if len(found) == MAX_TENSORS:
            text.fail(f"it lists more than {MAX_TENSORS:,} tensors")
        entry = text.value(f"the entry of {name}", limit=_ENTRY_CHARACTERS)
        try:
            dtype, shape, begin, end = _fields(entry)
        except ValueError as error:
            text.fail(f"{shown(name)} {error}")
        # Layers repeat their shapes: one tuple serves them all.
        found.append((begin, end, Tensor(name, dtype, shapes.setdefault(shape, shape), end - begin)))
    text.end()
    found.sort(key=lambda entry: entry[:2])
    _check_coverage(found, file_bytes - LENGTH_BYTES - len(header), where=where)
    return tuple(tensor for _, _, tensor in found)


def _skip_metadata(text: JsonObject) -> None:
    for number, _ in enumerate(text.members()):
        if number == _MAX_METADATA:
            text.fail(f"__metadata__ has more than {_MAX_METADATA:,} entries")
        text.string("a value of __metadata__")


def _fields(entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return a tensor's dtype and shape, and where it begins and ends in the data.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence that begins with the tensor's name.

    """
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError("has no dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise ValueError(f"has dtype {shown(repr(dtype))}, which safetensors does not have")
    if not _are_sizes(shape):
        raise ValueError(f"has a shape that cannot be meant: {shown(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"has data_offsets that are not a begin and an end: {shown(offsets)}")
    begin, end = offsets
    if math.prod(shape) * _BITS[dtype] != (end - begin) * 8:
        raise ValueError(f"has shape {shown(shape)} in {dtype}, but {end - begin:,} bytes of data")
    return _DTYPES[dtype], tuple(shape), begin, end


def _are_sizes(values: Any) -> bool:
    # Not isinstance: True is an int.
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= _MAX_AXIS for value in values)


def _check_coverage(found: list[tuple[int, int, Tensor]], data_bytes: int, *, where: str) -> None:
    """Check that the tensors, sorted by where they begin, fill the data without a hole or an overlap."""
    filled = 0
    for begin, end, tensor in found:
        if begin != filled:
            problem = "overlaps the tensor before it" if begin < filled else "leaves a hole before it"
            raise CheckpointError(
                f"{where}: {shown(tensor.name)} begins at byte {begin:,} of the data and {problem}, which ends at {filled:,}."
            )
        filled = end
    if filled > data_bytes:
        raise CheckpointError(
            f"{where} is truncated: its tensors take {filled:,} bytes, the file has {data_bytes:,} of them."
        )
    if filled < data_bytes:
        raise CheckpointError(
            f"{where}: its tensors take {filled:,} bytes, but {data_bytes:,} bytes of data are there."
        )
