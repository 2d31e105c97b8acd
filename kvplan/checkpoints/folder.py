"""The weights of a folder or of one file on this machine, by their headers."""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from kvplan.checkpoints.index import MAX_INDEX_BYTES, Index, check_files, join_shards, listed, parse_index
from kvplan.checkpoints.large_json import shown
from kvplan.checkpoints.layout import Choice, choose, complete, left_out, set_of, shards_of
from kvplan.checkpoints.safetensors import read_header
from kvplan.checkpoints.tensors import Checkpoint, Tensor
from kvplan.checkpoints.torch_files import torch_bytes
from kvplan.errors import CheckpointError

# Only for what is said of the files that are not counted: nothing is wrong with a folder that has more.
_MOST_FILES = 10_000


def read_folder(path: Path) -> Checkpoint | None:
    """Return what the weight files in a folder list; None where it has none.

    Symbolic links are followed to regular files. Subfolders are not the model's weights: they are listed as left out.

    Raises:
        CheckpointError: the files are broken, incomplete or contradict each other.

    """
    names = _names(path)
    choice = choose(names)
    if choice is None:
        return None
    files, checkpoint = _read(path, choice, names)
    return replace(checkpoint, left_out=left_out(_tree(path), files))


def read_file(path: Path) -> Checkpoint:
    """Return what one `.safetensors` file lists, or the whole set it is a shard of, which stands beside it.

    Raises:
        CheckpointError: it is no such file, or the files are broken, incomplete or contradict each other.

    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{shown_path(path)} is not a .safetensors file.")
    whole = set_of(path.name)
    if whole is None:
        return _read(path.parent, Choice(container="safetensors", files=(path.name,)), {path.name})[1]
    names = _names(path.parent)
    index = _index_of(path, whole, names)
    files = () if index else complete({*shards_of(whole, names), path.name})
    return _read(path.parent, Choice(container="safetensors", index=index, files=files), names)[1]


def _index_of(path: Path, whole: str, names: Collection[str]) -> str | None:
    """Return the name of the index that a shard belongs to: the one of its set, else one that names it."""
    if f"{whole}.index.json" in names:
        return f"{whole}.index.json"
    others = (name for name in sorted(names) if name.endswith(".safetensors.index.json"))
    return next((name for name in others if path.name in _read_index(path.parent / name).files), None)


def _read(folder: Path, choice: Choice, names: Collection[str]) -> tuple[tuple[str, ...], Checkpoint]:
    """Return which files hold the weights, and what they list."""
    index = _read_index(folder / choice.index) if choice.index else None
    files = choice.files
    if index:
        check_files(index, {file for file in index.files if file in names or (folder / file).is_file()})
        files = index.files
    tensors: tuple[Tensor, ...] = ()
    if choice.container == "torch":
        total, notes = torch_bytes({file: _size(folder / file) for file in files}, index)
    else:
        shards = {file: _tensors(folder / file) for file in files}
        tensors, notes = join_shards(shards, index, where=shown_path(folder))
        total = sum(tensor.bytes for tensor in tensors)
    which = f"{choice.index}, {len(files)} files" if choice.index else listed(files)
    return files, Checkpoint(
        container=choice.container,
        source=f"{which} in {shown_path(folder)}",
        tensors=tensors,
        total_bytes=total,
        notes=notes,
    )


def _tensors(path: Path) -> tuple[Tensor, ...]:
    with open_file(path) as opened:
        return read_header(opened, where=shown_path(path))


def _read_index(path: Path) -> Index:
    with open_file(path) as opened:
        return parse_index(opened.read(0, MAX_INDEX_BYTES + 1), where=shown_path(path))


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is open here, with its size."""

    stream: BinaryIO
    size: int

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from `start`: `length` of them, or fewer where the file ends."""
        self.stream.seek(start)
        return self.stream.read(min(length, max(0, self.size - start)))


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """Open a regular file, or one that a link leads to.

    Raises:
        CheckpointError: there is none, it is no regular file, or it cannot be read.

    """
    size = _size(path)  # asked first: to open a pipe would wait for its other end
    try:
        with path.open("rb", buffering=0) as stream:
            yield OpenFile(stream, size)
    except OSError as error:
        raise CheckpointError(f"{shown_path(path)} cannot be read: {error.strerror}.") from error


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except FileNotFoundError as error:
        problem = "is a link to a file that is not there" if path.is_symlink() else "is not there"
        raise CheckpointError(f"{shown_path(path)} {problem}.", hint="Download the checkpoint again.") from error
    except (OSError, ValueError) as error:
        # A name that the file system has no spelling for is a ValueError.
        raise CheckpointError(f"{shown_path(path)} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{shown_path(path)} is not a regular file.")
    return found.st_size


def _names(folder: Path) -> set[str]:
    """Return the names of what stands in a folder and is no folder itself."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.is_dir()}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{shown_path(folder)} cannot be read: {getattr(error, 'strerror', error)}.") from error


def _tree(folder: Path) -> Mapping[str, int | None]:
    """Return the path of each file in a folder and below, with its size; None where a link leads nowhere."""
    found: dict[str, int | None] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(root, name)
            found[path.relative_to(folder).as_posix()] = path.stat().st_size if path.is_file() else None
            if len(found) == _MOST_FILES:
                return found
    return found


def shown_path(path: Path) -> str:
    """Return a path as it may be printed, its end where it is long."""
    text = str(path)
    return shown(text) if len(text) <= 100 else f"…{shown(text[-99:])}"
