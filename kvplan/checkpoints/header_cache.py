"""What was read of a checkpoint on the hub, kept on disk, so that it is there offline and read once for each commit."""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kvplan.checkpoints.tensors import Checkpoint, LeftOut, Tensor
from kvplan.hub import full_name

# Raised when what is read of a header changes, so that older files are not used.
_FORMAT = 1
_MAX_BYTES = 2**29


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the cache has of one revision.

    Attributes:
        commit: that the revision was then; None where the hub did not tell it.
        checkpoint: None: the repository has no weight files.

    """

    commit: str | None
    checkpoint: Checkpoint | None


def load(repository: str, revision: str | None) -> Kept | None:
    """Return what is kept of a revision; None where nothing is, or where the file is damaged."""
    try:
        path = _path(repository, revision)
        if path.stat().st_size > _MAX_BYTES:
            return None
        return _parse(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def save(repository: str, revision: str | None, kept: Kept) -> None:
    """Keep what was read of a revision, at once or not at all. A disk that is full or read-only is no error."""
    path = _path(repository, revision)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".json")
        try:
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                json.dump(_document(kept), stream, separators=(",", ":"))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _path(repository: str, revision: str | None) -> Path:
    from huggingface_hub import constants  # noqa: PLC0415  the client costs 0.2 s: only on use

    return Path(constants.HF_HOME) / "kvplan" / "headers" / f"{quote(full_name(repository, revision), safe='@')}.json"


def _document(kept: Kept) -> dict[str, Any]:
    return {"format": _FORMAT, "commit": kept.commit, "checkpoint": kept.checkpoint and _listed(kept.checkpoint)}


def _listed(found: Checkpoint) -> dict[str, Any]:
    return {
        "container": found.container,
        "source": found.source,
        "tensors": [(tensor.name, tensor.dtype, tensor.shape, tensor.bytes) for tensor in found.tensors],
        "total_bytes": found.total_bytes,
        "left_out": [(left.what, left.why, left.bytes) for left in found.left_out],
        "notes": found.notes,
    }


def _parse(document: Any) -> Kept | None:
    """Return what a file holds; None where it is of another version or does not add up.

    Raises:
        TypeError: a value has another type (and ValueError, KeyError: it is not there).

    """
    commit, found = document["commit"], document["checkpoint"]
    if document["format"] != _FORMAT or not (commit is None or isinstance(commit, str)):
        return None
    if found is None:
        return Kept(commit=commit, checkpoint=None)
    if found["container"] not in {"safetensors", "torch"}:
        return None
    tensors = tuple(_tensor(*values) for values in found["tensors"])
    total = _whole(found["total_bytes"])
    if tensors and sum(tensor.bytes for tensor in tensors) != total:
        return None
    checkpoint = Checkpoint(
        container=found["container"],
        source=_text(found["source"]),
        tensors=tensors,
        total_bytes=total,
        left_out=tuple(
            LeftOut(what=_text(what), why=_text(why), bytes=None if size is None else _whole(size))
            for what, why, size in found["left_out"]
        ),
        notes=tuple(_text(note) for note in found["notes"]),
    )
    return Kept(commit=commit, checkpoint=checkpoint)


def _tensor(name: Any, dtype: Any, shape: Any, size: Any) -> Tensor:
    return Tensor(_text(name), _text(dtype), tuple(_whole(axis) for axis in shape), _whole(size))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value
