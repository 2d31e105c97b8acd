"""A GGUF writer of a few lines, which can also write what no sound writer would."""

import struct
from dataclasses import dataclass, field

from kvplan.checkpoints.gguf_types import TYPES

NUMBER = {block.name: number for number, block in TYPES.items()}
_KINDS = {bool: 7, str: 8, float: 6}
_LETTERS = {4: "I", 6: "f", 7: "?", 10: "Q"}


@dataclass
class File:
    """What a file holds; every field can be made to lie."""

    metadata: dict = field(default_factory=dict)
    tensors: list = field(default_factory=list)  # name, type's name or number, shape outermost first
    version: int = 3
    alignment: int = 32
    offsets: dict = field(default_factory=dict)  # of single tensors, instead of one after the other
    tensor_count: int | None = None
    key_count: int | None = None
    cut: int | None = None  # bytes of the whole file that are kept

    def text(self, value: str | bytes) -> bytes:
        """Return a text behind its length."""
        raw = value.encode() if isinstance(value, str) else value
        return self.count(len(raw)) + raw

    def count(self, value: int) -> bytes:
        """Return a count: 32 bits in version 1."""
        return struct.pack("<I" if self.version == 1 else "<Q", value)

    def scalar(self, value, kind: int) -> bytes:
        """Return one value."""
        return self.text(value) if kind == 8 else struct.pack("<" + _LETTERS[kind], value)

    def value(self, value) -> bytes:
        """Return a value behind its type."""
        if isinstance(value, bytes):
            return value  # as it is: a type and what is to stand for a value
        if isinstance(value, list):
            kind = self.kind(value[0]) if value else 4
            return struct.pack("<II", 9, kind) + self.count(len(value)) + b"".join(self.scalar(v, kind) for v in value)
        kind = self.kind(value)
        return struct.pack("<I", kind) + self.scalar(value, kind)

    @staticmethod
    def kind(value) -> int:
        """Return a value's type."""
        return _KINDS.get(type(value), 4 if not isinstance(value, int) or value < 2**32 else 10)

    def header(self) -> bytes:
        """Return everything before the data."""
        keys = self.count(len(self.metadata) if self.key_count is None else self.key_count)
        tensors = self.count(len(self.tensors) if self.tensor_count is None else self.tensor_count)
        out = [b"GGUF", struct.pack("<I", self.version), tensors, keys]
        out += [self.text(key) + self.value(value) for key, value in self.metadata.items()]
        offset = 0
        for name, kind, shape in self.tensors:
            at = self.offsets.get(name, offset)
            out += [self.text(name), struct.pack("<I", len(shape)), *(self.count(axis) for axis in reversed(shape))]
            out += [struct.pack("<IQ", NUMBER.get(kind, kind), at)]
            offset = self.padded(at + tensor_bytes(kind, shape))
        return b"".join(out)

    def padded(self, length: int) -> int:
        """Return a length up to the next multiple of the alignment."""
        return -(-length // self.alignment) * self.alignment

    def bytes(self) -> bytes:
        """Return the whole file, zeros for weights; of one that claims more than 100 MB, those."""
        header = self.header()
        start = self.padded(len(header))
        end = start
        offset = 0
        for name, kind, shape in self.tensors:
            at = self.offsets.get(name, offset)
            offset = self.padded(at + tensor_bytes(kind, shape))
            end = max(end, start + at + tensor_bytes(kind, shape))
        return (header + bytes(min(end, 10**8) - len(header)))[: self.cut]


def tensor_bytes(kind, shape) -> int:
    """Return what a tensor takes; of unknown types, nothing."""
    block = TYPES.get(NUMBER.get(kind, kind))
    if block is None:
        return 0
    size = block.bytes
    for i, axis in enumerate(reversed(shape)):
        size *= axis // block.elements if i == 0 else axis
    return size


class Counted:
    """Bytes that remember what was read of them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size = len(content)
        self.requests: list[tuple[int, int]] = []

    def read(self, start: int, length: int) -> bytes:
        """Return a part."""
        assert start >= 0
        assert length >= 0
        self.requests.append((start, length))
        return self.content[start : start + length]

    @property
    def read_bytes(self) -> int:
        """Bytes read in all."""
        return sum(length for _, length in self.requests)
