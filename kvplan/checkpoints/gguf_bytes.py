"""Reading a GGUF header front to back: growing chunks of a file that may lie far away, and nothing beyond the limits."""

import struct
from typing import Any, Final, NoReturn, Protocol

from kvplan.errors import CheckpointError

# Where every header must have ended. The largest known (a vocabulary of 262,144 with its merges and scores, beside a
# tokenizer.json) end before 40 MiB.
MAX_HEADER_BYTES: Final = 128 * 2**20
# The first request, and the most that one asks for. Requests double, so that no more than twice a header's bytes are read
# (and 512 KiB): a header of 8 MiB takes five.
FIRST_CHUNK, _LARGEST_CHUNK = 2**19, 2**23
# Texts and arrays beyond these are passed over. Chat templates are the longest texts kvplan has no use for; arrays with one
# value per layer have at most a few hundred.
_KEPT_TEXT_BYTES, _KEPT_ITEMS = 2**16, 4096
_MAX_STRINGS = 4_000_000  # of one array: ten times the merges of the largest vocabulary
# What all kept values may take in memory, counted at what Python takes for each.
_KEPT_BYTES, _BYTES_PER_VALUE = 32 * 2**20, 64

_TEXT, _ARRAY = 8, 9
# gguf.h, enum gguf_type: the number in the file to struct's letter.
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Source(Protocol):
    """Bytes at a distance: a local file, or a file on the hub read by range requests."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`."""


class Skipped:
    """A value that was passed over: only how many items (or bytes of a text) it has is known."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __repr__(self) -> str:
        return f"Skipped({self.length})"

    def __len__(self) -> int:
        return self.length


class Cursor:
    """A position in a header that only moves forward.

    Args:
        source: the file.
        where: what error messages call it.

    """

    def __init__(self, source: Source, where: str) -> None:
        self._source = source
        self._where = where
        self._buffer = b""
        self._start = 0  # of the buffer in the file
        self._at = 0  # in the buffer
        self._chunk = FIRST_CHUNK
        self._kept = 0
        self.narrow = False  # version 1 counts in 32 bits

    def fail(self, problem: str) -> NoReturn:
        """Raise the error for this file.

        Raises:
            CheckpointError: always.

        """
        raise CheckpointError(f"{self._where} {problem}")

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self._source.size - self.position

    # -- bytes -------------------------------------------------------------------------------------------------------

    def _reach(self, length: int) -> None:
        """Have `length` bytes from here in the buffer."""
        if self._at + length <= len(self._buffer):
            return
        end = self.position + length
        self._check(end)
        rest = self._buffer[self._at :]
        begin = self.position + len(rest)
        ask = min(max(end - begin, self._chunk), self._source.size - begin, MAX_HEADER_BYTES - begin)
        self._chunk = min(2 * self._chunk, _LARGEST_CHUNK)
        got = self._source.read(begin, ask)
        if len(got) != ask:
            self.fail(f"gave {len(got):,} bytes where {ask:,} were asked for: it changed while it was read.")
        self._start, self._buffer, self._at = self.position, rest + got, 0

    def _check(self, end: int) -> None:
        if end > self._source.size:
            self.fail(f"is incomplete: its header goes on beyond the file's {self._source.size:,} bytes.")
        if end > MAX_HEADER_BYTES:
            self.fail(f"is not believed: its header is larger than {MAX_HEADER_BYTES // 2**20} MiB.")

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
            CheckpointError: the file or the limit ends before.

        """
        self._reach(length)
        self._at += length
        return self._buffer[self._at - length : self._at]

    def skip(self, length: int) -> None:
        """Pass over bytes; what is not in the buffer yet is not read.

        Raises:
            CheckpointError: the file or the limit ends before.

        """
        self._check(self.position + length)
        if self._at + length <= len(self._buffer):
            self._at += length
        else:
            self._start, self._buffer, self._at = self.position + length, b"", 0

    # -- values ------------------------------------------------------------------------------------------------------

    def scalar(self, letter: str) -> Any:
        """Return the next value of one of struct's formats, little-endian."""
        return struct.unpack("<" + letter, self.take(struct.calcsize("<" + letter)))[0]

    def count(self) -> int:
        """Return the next count or length: 64 bits, 32 in version 1."""
        return int(self.scalar("I" if self.narrow else "Q"))

    def name(self, what: str, longest: int) -> str:
        """Return the next text where it is a name.

        Raises:
            CheckpointError: it is longer than `longest` bytes, or no UTF-8.

        """
        length = self.count()
        if length > longest:
            self.fail(f"is not believed: {what} is {length:,} bytes long.")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            self.fail(f"is broken: {what} is no text.")

    def value(self, kind: int, key: str) -> Any:
        """Return the next value of a metadata type; `Skipped` for what is too long to be of use.

        Raises:
            CheckpointError: the type is unknown, or a length cannot be meant.

        """
        if kind == _TEXT:
            return self._text()
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            self.fail(f"is broken: {key} has the value type {kind}, which GGUF does not have.")
        self._keep(1)
        return self.scalar(_SCALARS[kind])

    def _text(self) -> str | Skipped:
        length = self.count()
        if length > _KEPT_TEXT_BYTES:
            self.skip(length)
            return Skipped(length)
        self._keep(1 + length // _BYTES_PER_VALUE)
        return self.take(length).decode(errors="replace")

    def _array(self, key: str) -> Any:
        kind, length = self.scalar("I"), self.count()
        if kind == _TEXT:
            return self._strings(key, length)
        if kind not in _SCALARS:
            what = "arrays" if kind == _ARRAY else f"the value type {kind}"
            self.fail(f"is broken: {key} is an array of {what}, which ggml does not read.")
        width = struct.calcsize("<" + _SCALARS[kind])
        if length > _KEPT_ITEMS:
            self.skip(length * width)
            return Skipped(length)
        self._keep(1 + length)
        return list(struct.unpack(f"<{length}{_SCALARS[kind]}", self.take(length * width)))

    def _strings(self, key: str, length: int) -> Skipped:
        """Pass over an array of texts: vocabularies and merges, of which the number is all that counts."""
        self._keep(1)
        if length > _MAX_STRINGS:
            self.fail(f"is not believed: {key} has {length:,} texts.")
        prefix, width = struct.Struct("<I" if self.narrow else "<Q"), 4 if self.narrow else 8
        todo = length
        while todo:
            # Half a million texts: those that lie whole in the buffer are stepped over without a call each.
            buffer, at, end = self._buffer, self._at, len(self._buffer)
            while todo and at + width <= end:
                after = at + width + prefix.unpack_from(buffer, at)[0]
                if after > end:
                    break
                at, todo = after, todo - 1
            self._at = at
            if todo:
                # The rest of this text and its length come first, then a whole new chunk.
                self.skip(self.count())
                todo -= 1
        return Skipped(length)

    def _keep(self, values: int) -> None:
        self._kept += values * _BYTES_PER_VALUE
        if self._kept > _KEPT_BYTES:
            self.fail(f"is not believed: its metadata takes more than {_KEPT_BYTES // 2**20} MiB.")
