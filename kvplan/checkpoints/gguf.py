"""GGUF files: one, or the parts of a split one, on this machine or on the hub. Only headers are read.

A header takes at most 128 MiB (gguf_bytes.MAX_HEADER_BYTES) and is read front to back in growing chunks; vocabularies are
stepped over, so that memory stays at one chunk and the table of tensors.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from kvplan.checkpoints.gguf_bytes import FIRST_CHUNK, Source
from kvplan.checkpoints.gguf_header import Header, read_header
from kvplan.checkpoints.ranges import RangeReader
from kvplan.checkpoints.tensors import Checkpoint
from kvplan.errors import CheckpointError, UnknownModelError
from kvplan.hub import HubNoFileError

# llama.cpp's name of a part (src/llama.cpp, llama_split_path): counted from 1, while split.no counts from 0.
_PART = re.compile(r"^(?P<stem>.+)-(?P<no>\d{5})-of-(?P<count>\d{5})\.gguf$", re.DOTALL)
_MOST_PARTS = 4096  # a file of a terabyte in parts of 256 MB
# A revision may hold slashes where a colon stands before the file, else it is one word.
_HUB_NAMES = (
    re.compile(r"^(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:]+))?:(?P<file>.+\.gguf)$"),
    re.compile(r"^(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:/]+))?/(?P<file>[^:]+\.gguf)$"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gguf:
    """A model in GGUF.

    Attributes:
        checkpoint: its tensors, of all parts.
        metadata: of the file, or of the first part; long texts and arrays are `Skipped`, with only their length.

    """

    checkpoint: Checkpoint
    metadata: Mapping[str, Any]


def read_gguf(path: str | os.PathLike[str]) -> Gguf:
    """Return what a GGUF file's header lists. Any part of a split file stands for all, which lie beside it.

    Args:
        path: the file.

    Raises:
        UnknownModelError: there is no such file.
        CheckpointError: it is broken, cut off or no GGUF file; a part is missing; the parts do not belong together.

    """
    file = Path(path)
    if not _is_file(file):
        raise UnknownModelError(f"There is no file {shown(file)}.", hint="Give the path of a .gguf file.")
    with ExitStack() as stack:

        def opened(name: str) -> Source | None:
            part = file.with_name(name)
            return stack.enter_context(_Local(part)) if _is_file(part) else None

        return read_parts(file.name, opened, source=f"file: {shown(file)}")


def read_gguf_hub(name: str, *, open_range: Callable[[str, str, str | None], Source] = RangeReader) -> Gguf:
    """Return what the header of a GGUF file on the hub lists, read by range requests.

    Args:
        name: `org/name:file.gguf` or `org/name/path/file.gguf`; a revision stands behind an @: `org/name@main:file.gguf`.
        open_range: repository, file and revision to a reader of byte ranges.

    Raises:
        UnknownModelError: the name is none of a GGUF file on the hub.
        HubError: the hub did not give the file.
        CheckpointError: as `read_gguf`.

    """
    repository, revision, file = split_hub_name(name)
    folder, _, base = file.rpartition("/")

    def opened(part: str) -> Source | None:
        try:
            return _Ahead(open_range(repository, f"{folder}/{part}".lstrip("/"), revision))
        except HubNoFileError:
            if part == base:
                raise
            return None

    return read_parts(base, opened, source=f"hub: {name}")


def split_hub_name(name: str) -> tuple[str, str | None, str]:
    """Return repository, revision and file of a hub name; without a colon the revision is one word.

    Raises:
        UnknownModelError: it is none.

    """
    found = next((match for form in _HUB_NAMES if (match := form.match(name))), None)
    if found is None or ".." in found["file"].split("/"):
        raise UnknownModelError(
            f"{shown(name)} names no GGUF file on the hub.",
            hint="Write it as org/name:file.gguf or org/name/file.gguf.",
        )
    return found["repo"], found["revision"], found["file"]


def read_parts(name: str, opened: Callable[[str], Source | None], *, source: str) -> Gguf:
    """Return a model from its file or its parts.

    Args:
        name: of the file, or of any part.
        opened: a name beside it to its bytes; None where there is no such file.
        source: what to call the checkpoint.

    Raises:
        CheckpointError: a part is missing or broken, or the parts do not belong together.

    """
    names = part_names(name)
    sources = {part: opened(part) for part in names}
    missing = [shown(part) for part in names if sources[part] is None]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckpointError(f"{shown(name)} is one of {len(names)} parts; missing: {', '.join(missing[:3])}{more}.")
    headers = {part: read_header(found, shown(part)) for part, found in sources.items() if found is not None}
    _check_parts(headers)
    tensors = tuple(tensor for header in headers.values() for tensor in header.tensors)
    checkpoint = Checkpoint(
        container="gguf",
        source=source + (f" ({len(names)} files)" if len(names) > 1 else ""),
        tensors=tensors,
        total_bytes=sum(tensor.bytes for tensor in tensors),
    )
    return Gguf(checkpoint=checkpoint, metadata=headers[names[0]].metadata)


def part_names(name: str) -> list[str]:
    """Return the names of all parts, the first one first; of a file that is no part, its own.

    Raises:
        CheckpointError: the numbers in the name cannot be meant.

    """
    found = _PART.match(name)
    if found is None:
        return [name]
    no, count = int(found["no"]), int(found["count"])
    if not 1 <= no <= count or count > _MOST_PARTS:
        raise CheckpointError(f"{shown(name)} is named part {no} of {count}, which cannot be.")
    return [f"{found['stem']}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]


def _check_parts(headers: Mapping[str, Header]) -> None:
    """Refuse parts that do not belong together (src/llama-model-loader.cpp asks the same of them)."""
    seen: set[str] = set()
    for i, (name, header) in enumerate(headers.items()):
        count = header.metadata.get("split.count", 0 if len(headers) > 1 else 1)
        number = header.metadata.get("split.no", 0)
        if count != len(headers) and not (len(headers) == 1 and count == 0):
            hint = "Give the name of its first part, ...-00001-of-0000N.gguf." if len(headers) == 1 else None
            raise CheckpointError(
                f"{shown(name)} says that it is one of {count!r} parts; its name says {len(headers)}.", hint=hint
            )
        if number != i:
            raise CheckpointError(f"{shown(name)} says that it is part {number!r} counted from 0; its name says {i}.")
        for tensor in header.tensors:
            if tensor.name in seen:
                raise CheckpointError(f"{shown(name)} has the tensor {shown(tensor.name)}, which another part has too.")
            seen.add(tensor.name)
    first, header = next(iter(headers.items()))
    total = header.metadata.get("split.tensors.count")
    if total is not None and total != len(seen):
        raise CheckpointError(
            f"{shown(first)} says that there are {total!r} tensors in all; the parts have {len(seen)}."
        )


class _Ahead:
    """A file at a distance whose first bytes are asked for at once: the answer tells its size too."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._first = source.read(0, FIRST_CHUNK)
        self.size = source.size

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`."""
        known = self._first[start : start + length]
        if len(known) == length:
            return known
        return known + self._source.read(start + len(known), length - len(known))


class _Local:
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.size = 0

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("rb")
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise CheckpointError(f"{shown(self._path)} cannot be read: {error.strerror}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`.

        Raises:
            CheckpointError: the disk does not give them.

        """
        assert self._file is not None  # noqa: S101  for the type checker: only read while open
        try:
            self._file.seek(start)
            return self._file.read(length)
        except OSError as error:
            raise CheckpointError(f"{shown(self._path)} cannot be read: {error.strerror}.") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def shown(name: str | os.PathLike[str]) -> str:
    """Return a name as it may be printed: short, and without what would steer a terminal."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in os.fspath(name))
    return text if len(text) <= 120 else "..." + text[-117:]
