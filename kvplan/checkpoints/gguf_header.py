"""The header of one GGUF file: metadata and the table of tensors, every claim checked against the file's size.

Source: docs/gguf.md and ggml/src/gguf.cpp of llama.cpp (as in llama-cpp-python 0.3.36), whose checks these are, and more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from kvplan.checkpoints.gguf_bytes import Cursor, Source
from kvplan.checkpoints.gguf_types import REMOVED, TYPES
from kvplan.checkpoints.tensors import Tensor

_MAGIC: Final = b"GGUF"
_ALIGNMENT: Final = 32
_MAX_KEYS, _MAX_TENSORS, _MAX_KEY_BYTES, _MAX_NAME_BYTES = 65_536, 131_072, 65_535, 255
_MAX_AXES: Final = 4  # GGML_MAX_DIMS
_MAX_AXIS: Final = 2**40


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """What one file says of itself.

    Attributes:
        version: of the format, 1 to 3.
        metadata: every key; long texts and arrays are `Skipped`, with only their length.
        tensors: in the order of the table.
        bytes: where the header ends and padding begins.

    """

    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class _Placed:
    tensor: Tensor
    offset: int  # from the start of the data


def read_header(source: Source, where: str) -> Header:
    """Return the header of a GGUF file; weights are not read.

    Args:
        source: the file.
        where: what error messages call it.

    Raises:
        CheckpointError: it is no GGUF file, or is broken, cut off or written for a big-endian machine.

    """
    cursor = Cursor(source, where)
    version = _version(cursor, source)
    cursor.narrow = version == 1
    tensor_count, key_count = cursor.count(), cursor.count()
    # The least that one takes in the file keeps a lie from costing anything: name length, axes, type, offset.
    for what, count, most, least in (
        ("tensors", tensor_count, _MAX_TENSORS, 24),
        ("metadata keys", key_count, _MAX_KEYS, 13),
    ):
        if count > most:
            cursor.fail(f"is not believed: it claims {count:,} {what}.")
        if count * least > cursor.left * (2 if cursor.narrow else 1):
            cursor.fail(f"is incomplete: it claims {count:,} {what}, but has {source.size:,} bytes.")
    metadata = _metadata(cursor, key_count)
    placed = _table(cursor, tensor_count)
    _check_places(placed, metadata, cursor, source.size)
    return Header(
        version=version, metadata=metadata, tensors=tuple(place.tensor for place in placed), bytes=cursor.position
    )


def _version(cursor: Cursor, source: Source) -> int:
    if source.size < 24 or (magic := cursor.take(4)) != _MAGIC:
        start = f"starts with {magic!r}" if source.size >= 24 else f"has {source.size} bytes"
        cursor.fail(f"is no GGUF file: it {start}.")
    version = int(cursor.scalar("I"))
    if version and not version & 0xFFFF:
        cursor.fail("is written for a big-endian machine, which kvplan does not read: convert it again.")
    if version not in (1, 2, 3):
        cursor.fail(f"has version {version} of GGUF; 1 to 3 are known.")
    return version


def _metadata(cursor: Cursor, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for i in range(count):
        key = cursor.name(f"metadata key {i}", _MAX_KEY_BYTES)
        if key in metadata:
            cursor.fail(f"is broken: the metadata key {_shown(key)} stands in it twice.")
        metadata[key] = cursor.value(cursor.scalar("I"), _shown(key))
    return metadata


def _table(cursor: Cursor, count: int) -> list[_Placed]:
    placed: list[_Placed] = []
    seen: set[str] = set()
    for i in range(count):
        name = cursor.name(f"the name of tensor {i}", _MAX_NAME_BYTES)
        if name in seen:
            cursor.fail(f"is broken: the tensor {_shown(name)} stands in it twice.")
        seen.add(name)
        axes = cursor.scalar("I")
        if axes > _MAX_AXES:
            cursor.fail(f"is broken: the tensor {_shown(name)} has {axes} axes; {_MAX_AXES} are possible.")
        lengths = [cursor.count() for _ in range(axes)]  # the row's length first
        tensor = _tensor(cursor, name, lengths, cursor.scalar("I"))
        placed.append(_Placed(tensor, cursor.scalar("Q")))
    return placed


def _tensor(cursor: Cursor, name: str, lengths: list[int], kind: int) -> Tensor:
    """Return one tensor: rows x blocks of a row x bytes of a block."""
    if any(length > _MAX_AXIS for length in lengths):
        cursor.fail(f"is not believed: the tensor {_shown(name)} has the shape {lengths[::-1]}.")
    if kind not in TYPES:
        gone = "which ggml has removed" if kind in REMOVED else "which kvplan does not know"
        cursor.fail(f"has the tensor {_shown(name)} of ggml type {kind}, {gone}: convert or quantise it again.")
    block = TYPES[kind]
    row = lengths[0] if lengths else 1
    if row % block.elements:
        cursor.fail(
            f"is broken: a row of the tensor {_shown(name)} has {row:,} elements, no multiple of {block.name}'s {block.elements}."
        )
    size = row // block.elements * block.bytes * prod(lengths[1:])
    return Tensor(name, block.name, tuple(reversed(lengths)), size)


def _check_places(placed: list[_Placed], metadata: Mapping[str, Any], cursor: Cursor, file_bytes: int) -> None:
    """Refuse tensors that are not aligned, share bytes, or end beyond the file."""
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        cursor.fail(f"is broken: general.alignment is {alignment!r}; a power of two was expected.")
    start = -(-cursor.position // alignment) * alignment
    end, before = 0, ""
    for place in sorted(placed, key=lambda place: place.offset):
        name = _shown(place.tensor.name)
        if place.offset % alignment:
            cursor.fail(f"is broken: the tensor {name} starts at {place.offset:,}, no multiple of {alignment}.")
        if place.offset < end:
            cursor.fail(f"is broken: the tensors {before} and {name} overlap.")
        end, before = place.offset + place.tensor.bytes, name
        if start + end > file_bytes:
            cursor.fail(
                f"is incomplete: the tensor {name} ends at byte {start + end:,}, but the file has {file_bytes:,} bytes."
            )


def _shown(name: str) -> str:
    """Return a name from the file as it may be printed: short, and without what would steer a terminal."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in name[:80])
    return text if len(name) <= 80 else text + "..."
