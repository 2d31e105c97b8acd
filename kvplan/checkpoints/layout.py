"""Which files of a folder or repository are the model's weights, by their names, and what the others are.

The order is that of the engines: safetensors before PyTorch files (transformers 5.18 `modeling_utils.py`
`_get_resolved_checkpoint_files`; vLLM 0.33 `default_loader.py` `_prepare_weights`), and only what stands at the root. Pure: names
and sizes in, names out.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from kvplan.checkpoints.index import listed
from kvplan.checkpoints.tensors import LeftOut
from kvplan.errors import CheckpointError

# The sets in the order in which they are preferred; each is an index, or one file.
SAFETENSORS_SETS = ("model.safetensors", "consolidated.safetensors")
TORCH_SETS = ("pytorch_model.bin",)

_SHARD = re.compile(r"(?P<set>.+)-(?P<number>\d{1,7})-of-(?P<count>\d{1,7})(?P<ending>\.safetensors|\.bin)")
# model.fp16.safetensors, pytorch_model.fp16-00001-of-00002.bin
_VARIANT = re.compile(r"(model|pytorch_model)\.[a-z0-9_]+(-\d+-of-\d+)?\.(safetensors|bin)", re.IGNORECASE)
_ADAPTER = re.compile(r"adapter_model.*\.(safetensors|bin)")
# What trainers leave beside the weights.
_STATE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state.*|random_states.*)\.(bin|pt|pth|safetensors)")
_WEIGHTS = (
    ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx", ".onnx_data", ".ot", ".npz", ".pdparams",
    ".mlmodel", ".tflite", ".nemo",
)  # fmt: skip
_FORMATS = {
    ".bin": "PyTorch files",
    ".pt": "PyTorch files",
    ".pth": "PyTorch files",
    ".gguf": "GGUF files",
    ".ggml": "GGML files",
    ".h5": "TensorFlow files",
    ".msgpack": "Flax files",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The files that hold a model's weights.

    Attributes:
        container: kind of the files.
        index: name of their index, which names the files; None where there is none.
        files: their names, sorted; empty where the index names them.

    """

    container: Literal["safetensors", "torch"]
    index: str | None = None
    files: tuple[str, ...] = ()


def choose(names: Collection[str]) -> Choice | None:
    """Return which of the files at the root are the weights; None where none are.

    Raises:
        CheckpointError: files are numbered as shards of one set, and some numbers are missing.

    """
    return _choose_safetensors(names) or _choose_torch(names)


def _choose_safetensors(names: Collection[str]) -> Choice | None:
    for name in SAFETENSORS_SETS:
        found = _choose_set(name, names)
        if found:
            return found
    others = [name for name in sorted(names) if name.endswith(".safetensors") and not _aside(name)]
    indices = [name for name in sorted(names) if name.endswith(".safetensors.index.json")]
    if others and len(indices) == 1:
        return Choice(container="safetensors", index=indices[0])
    # As vLLM does without an index: every one at the root.
    return Choice(container="safetensors", files=complete(others)) if others else None


def _choose_torch(names: Collection[str]) -> Choice | None:
    for name in TORCH_SETS:
        found = _choose_set(name, names)
        if found:
            return found
    return None


def _choose_set(whole: str, names: Collection[str]) -> Choice | None:
    container: Literal["safetensors", "torch"] = "safetensors" if whole.endswith(".safetensors") else "torch"
    if f"{whole}.index.json" in names:
        return Choice(container=container, index=f"{whole}.index.json")
    if whole in names:
        return Choice(container=container, files=(whole,))
    shards = shards_of(whole, names)
    return Choice(container=container, files=complete(shards)) if shards else None


def set_of(name: str) -> str | None:
    """Return the name of the whole that a shard belongs to (`model.safetensors`); None where the file is no shard."""
    match = _SHARD.fullmatch(name)
    return match["set"] + match["ending"] if match else None


def shards_of(whole: str, names: Collection[str]) -> list[str]:
    """Return the names that are shards of `whole`, sorted."""
    return sorted(name for name in names if set_of(name) == whole)


def complete(names: Collection[str]) -> tuple[str, ...]:
    """Return the names of files without an index, by name and number, once every set of shards among them is whole.

    Raises:
        CheckpointError: a set lacks shards, or is of two sizes.

    """
    numbers: dict[str, set[int]] = {}
    counts: dict[str, set[int]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            numbers.setdefault(match["set"], set()).add(int(match["number"]))
            counts.setdefault(match["set"], set()).add(int(match["count"]))
    for whole, several in counts.items():
        if len(several) > 1:
            sizes = " and ".join(f"{count:,}" for count in sorted(several))
            raise CheckpointError(f"The shards of {whole} are of two sets, of {sizes} files.")
        count = max(several)
        # Some sets count from 0 to the count; they have one file more.
        missing = count - sum(1 <= number <= count for number in numbers[whole])
        if missing:
            raise CheckpointError(
                f"{missing:,} of the {count:,} shards of {whole} are missing: {len(numbers[whole]):,} are there.",
                hint="Download the checkpoint again.",
            )
    return tuple(sorted(names, key=_order))


def _order(name: str) -> tuple[str, int]:
    # By number: some sets write 2 and 10, not 00002 and 00010.
    match = _SHARD.fullmatch(name)
    return (match["set"], int(match["number"])) if match else (name, 0)


def _aside(name: str) -> str | None:
    """Return why a file is no part of the weights whatever stands beside it."""
    if _ADAPTER.fullmatch(name):
        return "an adapter, which is an addition to a model"
    if _VARIANT.fullmatch(name):
        return "a variant of the weights that is loaded only on request"
    if _STATE.fullmatch(name):
        return "the state of a training"
    return None


def left_out(sizes: Mapping[str, int | None], counted: Collection[str]) -> tuple[LeftOut, ...]:
    """Return the files of weights that are not counted, folder by folder and kind by kind.

    Args:
        sizes: path of every file, from the root, to its bytes; None where they are not known.
        counted: the paths that are counted.

    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(sizes):
        path = PurePosixPath(name)
        if name in counted or path.suffix.lower() not in _WEIGHTS:
            continue
        if len(path.parts) > 1:
            group = f"{path.parts[0]}/", "a folder: engines load what stands at the root"
        else:
            group = "", _why(path, counted)
        groups.setdefault(group, []).append(name)
    return tuple(
        LeftOut(what=folder or listed(names), why=why, bytes=_sum([sizes[name] for name in names]))
        for (folder, why), names in groups.items()
    )


def _why(path: PurePosixPath, counted: Collection[str]) -> str:
    aside = _aside(path.name)
    if aside:
        return aside
    if path.name.startswith(("consolidated.", "consolidated-")):
        return "the same weights in the layout of their maker"
    if any(name.endswith(path.suffix) for name in counted):
        return "no file of the set that is counted"
    return f"the same weights as {_FORMATS.get(path.suffix.lower(), f'{path.suffix[1:]} files')}"


def _sum(sizes: Collection[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
