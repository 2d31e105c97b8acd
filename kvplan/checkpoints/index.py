"""The index of a sharded checkpoint, and the shards put together and held against it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from kvplan.checkpoints.large_json import JsonObject, shown
from kvplan.checkpoints.tensors import Tensor
from kvplan.errors import CheckpointError

# The largest published index has 13 MB (one line for each of 100,000 tensors).
MAX_INDEX_BYTES = 64 * 2**20
_METADATA_CHARACTERS = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What `*.safetensors.index.json` or `*.bin.index.json` states.

    Attributes:
        where: the file, for messages.
        weight_map: tensor's name to the name of the file that holds it.
        total_bytes: `metadata.total_size`: bytes of all tensors; None where it is not stated.

    """

    where: str
    weight_map: Mapping[str, str]
    total_bytes: int | None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the shards, sorted."""
        return tuple(sorted(set(self.weight_map.values())))


def parse_index(content: bytes, *, where: str) -> Index:
    """Return the index that `content` holds, of at most `MAX_INDEX_BYTES`.

    Raises:
        CheckpointError: it is too large or not an index, or it names a file outside of the checkpoint.

    """
    if len(content) > MAX_INDEX_BYTES:
        raise CheckpointError(f"{where} is larger than {MAX_INDEX_BYTES // 2**20} MiB: not an index of weights.")
    text = JsonObject(content, where=where)
    weight_map: dict[str, str] = {}
    files: dict[str, str] = {}
    total = None
    for name in text.members():
        if name == "weight_map":
            for tensor in text.members():
                file = text.string(f"the file of {tensor}")
                # One string for each file, not one for each tensor.
                weight_map[tensor] = files.setdefault(file, file)
        elif name == "metadata":
            metadata = text.value(name, limit=_METADATA_CHARACTERS)
            total = _total(metadata.get("total_size")) if isinstance(metadata, dict) else None
        else:
            text.value(name, limit=_METADATA_CHARACTERS)
    text.end()
    if not weight_map:
        text.fail("it is no index of weights: its weight_map is missing or empty")
    for file in files:
        if not _stays_inside(file):
            text.fail(f"it names {shown(repr(file))}, which is not a file of this checkpoint")
    return Index(where=where, weight_map=weight_map, total_bytes=total)


def _total(stated: object) -> int | None:
    # Some tools write it as 1.4e10.
    if isinstance(stated, float) and stated.is_integer():
        stated = int(stated)
    return stated if type(stated) is int and stated > 0 else None


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    plain = file.isprintable() and "\\" not in file and ":" not in file
    return plain and bool(path.name) and not path.is_absolute() and ".." not in path.parts and len(file) <= 255


def check_files(index: Index, there: Collection[str]) -> None:
    """Check that every shard of an index is there.

    Raises:
        CheckpointError: some are missing; names them.

    """
    missing = [file for file in index.files if file not in there]
    if missing:
        few = f"only {len(index.files) - len(missing)} of" if len(missing) < len(index.files) else "none of"
        raise CheckpointError(
            f"{index.where} names {len(index.files)} files, and {few} them are there; missing: {listed(missing)}.",
            hint="Download the checkpoint again, or remove what is left of another one.",
        )


def join_shards(
    shards: Mapping[str, tuple[Tensor, ...]], index: Index | None, *, where: str
) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """Return the tensors of all shards, in their order, and what to know about them.

    Args:
        shards: file's name to what its header lists.
        index: the checkpoint's, where it has one.
        where: the checkpoint, for messages.

    Raises:
        CheckpointError: a tensor stands in two files, or not where the index says.

    """
    holder: dict[str, str] = {}
    for file, tensors in shards.items():
        for tensor in tensors:
            if (other := holder.setdefault(tensor.name, file)) is not file:
                raise CheckpointError(
                    f"{where}: {shown(tensor.name)} stands in two files, {shown(other)} and {shown(file)}."
                )
    joined = tuple(tensor for tensors in shards.values() for tensor in tensors)
    return joined, () if index is None else _against(index, holder, sum(tensor.bytes for tensor in joined))


def _against(index: Index, holder: Mapping[str, str], total: int) -> tuple[str, ...]:
    """Return in what the headers differ from the index without contradicting it."""
    for name, file in index.weight_map.items():
        found = holder.get(name)
        if found != file:
            rather = f"which is in {shown(found)}" if found else "which no file holds"
            raise CheckpointError(f"{index.where} says that {shown(file)} holds {shown(name)}, {rather}.")
    notes = []
    unlisted = [name for name in holder if name not in index.weight_map]
    if unlisted:
        notes.append(f"counted though {shown(index.where)} does not list them: {listed(unlisted)}")
    if index.total_bytes not in {None, total}:
        notes.append(
            f"{shown(index.where)} states {index.total_bytes:,} bytes; the headers list {total:,}, which count"
        )
    return tuple(notes)


def listed(names: Collection[str]) -> str:
    """Return the first names of several, and how many more there are."""
    first = ", ".join(shown(name) for name in list(names)[:2])
    return first if len(names) <= 2 else f"{first} and {len(names) - 2:,} more"
