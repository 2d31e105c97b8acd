"""The weights of a repository on the hub, by the headers of their files: no weight is ever transferred."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from kvplan.checkpoints import header_cache
from kvplan.checkpoints.folder import read_folder
from kvplan.checkpoints.index import MAX_INDEX_BYTES, Index, join_shards, listed, parse_index
from kvplan.checkpoints.layout import SAFETENSORS_SETS, TORCH_SETS, Choice, choose, left_out
from kvplan.checkpoints.ranges import RangeReader
from kvplan.checkpoints.safetensors import LENGTH_BYTES, header_length, parse_header
from kvplan.checkpoints.tensors import Checkpoint, Tensor
from kvplan.checkpoints.torch_files import torch_bytes
from kvplan.errors import CheckpointError, HubError, HubOfflineError, KvplanError
from kvplan.hub import HubNoFileError, full_name, split_name, told, why_offline

# Of one checkpoint. The largest published has 30 MB of headers.
MAX_ALL_HEADERS_BYTES = 512_000_000
_MAX_ALL_TENSORS = 2_000_000
_MAX_FILES = 4_096
_MAX_LISTING_BYTES = 4 * 2**20
# Enough for two answers from each of 200 files within two seconds, at a tenth of a second each.
_THREADS = 32
# Headers beyond this size are read one after the other, so that memory holds one of them.
_LARGE_BYTES = 4 * 2**20

_T = TypeVar("_T")
Progress = Callable[[int, int], None]


def read_hub(name: str, *, progress: Progress | None = None) -> Checkpoint | None:
    """Return what the weight files of `org/name` or `org/name@revision` list; None where it has none.

    The client's own settings hold: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`. What was
    read is kept under `HF_HOME/kvplan`, used as long as the revision is the same commit, and offline.

    Args:
        name: the repository, and its revision behind an @.
        progress: called with the number of files that are read and of all, after each of them.

    Raises:
        HubNotFoundError: no such repository or revision.
        HubGatedError: the repository asks for access.
        HubOfflineError: the hub cannot be reached, and nothing was read or downloaded earlier.
        HubError: the hub's server does not send parts of files.
        CheckpointError: the files are broken, incomplete or contradict each other.

    """
    repository, revision = split_name(name)
    kept = header_cache.load(repository, revision)
    if kept is not None and kept.commit is not None and kept.commit == revision:
        return kept.checkpoint  # a commit never changes
    why = why_offline()
    if why is None:
        try:
            return _read_online(Repository(repository, revision), kept, progress)
        except HubOfflineError as error:
            why = error.message.rstrip(".")
    return _read_offline(name, kept, why)


def _read_offline(name: str, kept: header_cache.Kept | None, why: str) -> Checkpoint | None:
    """Return what was read earlier, or what the hub's client has downloaded as a whole."""
    if kept is None:
        kept = _downloaded(*split_name(name))
    if kept is None:
        raise HubOfflineError(
            f"The hub cannot be read ({why}), and no headers of {name} are kept.",
            hint="Try again online, or give a folder that holds the files.",
        )
    if kept.checkpoint is None:
        return None
    return replace(kept.checkpoint, notes=(*kept.checkpoint.notes, f"read from what is on this machine: {why}"))


def _downloaded(repository: str, revision: str | None) -> header_cache.Kept | None:
    """Return what a snapshot in the client's own cache lists; None where it has none, or not all of its files."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  the client costs 0.2 s: only on use

    with suppress(ValueError, CheckpointError):  # no hub id; a part of the files
        config = try_to_load_from_cache(repository, "config.json", revision=revision)
        checkpoint = read_folder(Path(config).parent) if isinstance(config, str) else None
        if checkpoint is not None:
            return header_cache.Kept(commit=None, checkpoint=checkpoint)
    return None


@dataclass(kw_only=True)
class _Budget:
    """What one checkpoint may still take, whatever its files say."""

    header_bytes: int = MAX_ALL_HEADERS_BYTES
    tensors: int = _MAX_ALL_TENSORS
    lock: threading.Lock = field(default_factory=threading.Lock)
    one_large: threading.Lock = field(default_factory=threading.Lock)

    def take(self, *, where: str, header_bytes: int = 0, tensors: int = 0) -> None:
        with self.lock:
            self.header_bytes -= header_bytes
            self.tensors -= tensors
            if self.header_bytes < 0 or self.tensors < 0:
                limits = f"{MAX_ALL_HEADERS_BYTES:,} bytes or {_MAX_ALL_TENSORS:,} tensors"
                raise CheckpointError(f"{where}: the headers of this checkpoint take more than {limits}.")


@dataclass
class Repository:
    """One repository, at one commit as soon as the hub has told which.

    Attributes:
        name: `org/name`.
        revision: as the user gave it; None: the default branch.
        commit: what the revision is; None until something was asked, or where the hub does not tell it.

    """

    name: str
    revision: str | None
    commit: str | None = None

    @property
    def pinned(self) -> str | None:
        """The revision to ask for, so that all files are of one commit."""
        return self.commit or self.revision

    def where(self, file: str) -> str:
        """Return how a file is named to the user."""
        return f"{full_name(self.name, self.revision)}/{file}"

    def open(self, file: str) -> RangeReader:
        """Return a reader of parts of a file."""
        return RangeReader(self.name, file, self.pinned)

    def size(self, file: str) -> int | None:
        """Return a file's size; None where there is no such file."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415  the client costs 0.2 s: only on use

        try:
            with told(self.name, self.pinned, file):
                found = get_hf_file_metadata(hf_hub_url(self.name, file, revision=self.pinned))
        except HubNoFileError:
            return None
        self.commit = self.commit or found.commit_hash
        if found.size is None:
            raise HubError(f"{self.where(file)}: the hub does not say how large it is.")
        return found.size

    def whole(self, file: str, *, limit: int) -> bytes | None:
        """Return a small file; None where there is no such file."""
        reader = self.open(file)
        try:
            return reader.read_whole(limit)
        except HubNoFileError:
            return None
        finally:
            self.commit = self.commit or reader.commit

    def index(self, file: str) -> Index | None:
        """Return an index; None where there is no such file."""
        content = self.whole(file, limit=MAX_INDEX_BYTES)
        if content is None:
            return None
        if b'"weight_map"' not in content:
            # No broken checkpoint, but a server that answers every name with something.
            raise HubError(f"{self.where(file)}: what the hub sent is no index of weights.")
        return parse_index(content, where=self.where(file))

    def listing(self) -> Mapping[str, int | None]:
        """Return every file with its size; nothing where the hub's server has no such list: only what is left out needs it."""
        from huggingface_hub import constants  # noqa: PLC0415  the client costs 0.2 s: only on use

        revision = quote(self.pinned or "main", safe="")
        url = f"{constants.ENDPOINT}/api/models/{self.name}/revision/{revision}?blobs=true"
        try:
            content = RangeReader(self.name, "list of files", self.pinned, url=url).read_whole(_MAX_LISTING_BYTES)
            return {
                str(entry["rfilename"]): entry.get("size") if type(entry.get("size")) is int else None
                for entry in json.loads(content)["siblings"]
            }
        except (KvplanError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}


def _read_online(source: Repository, kept: header_cache.Kept | None, progress: Progress | None) -> Checkpoint | None:
    if kept is not None and kept.commit is not None:
        source.size("config.json")  # one question tells which commit the revision is now
        if source.commit == kept.commit:
            return kept.checkpoint
    found = _find(source)
    checkpoint = None if found is None else _read(source, *found, progress)
    header_cache.save(source.name, source.revision, header_cache.Kept(commit=source.commit, checkpoint=checkpoint))
    return checkpoint


def _find(source: Repository) -> tuple[Choice, Index | None] | None:
    """Return which files are the weights, and their index; None where there are none."""
    return (
        _find_named(source, "safetensors", SAFETENSORS_SETS)
        or _find_listed(source)
        or _find_named(source, "torch", TORCH_SETS)
    )


def _find_named(
    source: Repository, container: Literal["safetensors", "torch"], sets: Sequence[str]
) -> tuple[Choice, Index | None] | None:
    """Return the first set that has one of the names that every engine knows."""
    for whole in sets:
        name = f"{whole}.index.json"
        index = source.index(name)
        if index is not None:
            return Choice(container=container, index=name, files=index.files), index
        if source.size(whole) is not None:
            return Choice(container=container, files=(whole,)), None
    return None


def _find_listed(source: Repository) -> tuple[Choice, Index | None] | None:
    """Return files of other names, where the hub lists them."""
    choice = choose([name for name in source.listing() if "/" not in name])
    if choice is None or choice.index is None:
        return None if choice is None else (choice, None)
    index = source.index(choice.index)
    return None if index is None else (replace(choice, files=index.files), index)


def _read(source: Repository, choice: Choice, index: Index | None, progress: Progress | None) -> Checkpoint:
    where = full_name(source.name, source.revision)
    files = choice.files
    if len(files) > _MAX_FILES:
        raise CheckpointError(f"{where} would have {len(files):,} files of weights, more than {_MAX_FILES:,}.")
    budget = _Budget()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kvplan-headers") as pool:
        others = pool.submit(source.listing)
        if choice.container == "torch":
            sizes = _side_by_side(pool, lambda file: _size(source, file), files, progress)
            total, notes = torch_bytes(sizes, index)
            tensors: tuple[Tensor, ...] = ()
        else:
            shards = _side_by_side(pool, lambda file: _tensors(source, file, budget), files, progress)
            tensors, notes = join_shards(shards, index, where=where)
            total = sum(tensor.bytes for tensor in tensors)
        beside = left_out(others.result(), files)
    which = f"{choice.index}, {len(files)} files" if choice.index else listed(files)
    return Checkpoint(
        container=choice.container,
        source=f"{which} of {where} on the hub" + (f", commit {source.commit[:12]}" if source.commit else ""),
        tensors=tensors,
        total_bytes=total,
        left_out=beside,
        notes=notes,
    )


def _side_by_side(
    pool: ThreadPoolExecutor, read: Callable[[str], _T], files: Sequence[str], progress: Progress | None
) -> dict[str, _T]:
    """Return what `read` makes of each file, in their order; the first that fails ends it."""
    waiting = {pool.submit(read, file): file for file in files}
    done = {}
    try:
        for future in as_completed(waiting):
            done[waiting[future]] = future.result()
            if progress is not None:
                progress(len(done), len(files))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return {file: done[file] for file in files}


def _tensors(source: Repository, file: str, budget: _Budget) -> tuple[Tensor, ...]:
    """Return the tensors of one file: 8 bytes are read, and then the header they announce."""
    where, reader = source.where(file), source.open(file)
    try:
        start = reader.read(0, LENGTH_BYTES)
    except HubNoFileError as error:
        raise _missing(source, file) from error
    length = header_length(start, file_bytes=reader.size, where=where)
    budget.take(where=where, header_bytes=length)
    with budget.one_large if length > _LARGE_BYTES else nullcontext():
        tensors = parse_header(reader.read(LENGTH_BYTES, length), file_bytes=reader.size, where=where)
        budget.take(where=where, tensors=len(tensors))
    return tensors


def _size(source: Repository, file: str) -> int:
    size = source.size(file)
    if size is None:
        raise _missing(source, file)
    return size


def _missing(source: Repository, file: str) -> CheckpointError:
    return CheckpointError(f"{full_name(source.name, source.revision)} lacks {file}, which its index names.")
