"""Adapters (LoRA and its kin as PEFT saves them): additions to a model, with weights of their own."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from kvplan.checkpoints.folder import open_file, shown_path
from kvplan.checkpoints.large_json import shown
from kvplan.checkpoints.safetensors import Bytes, read_header
from kvplan.checkpoints.tensors import Tensor
from kvplan.checkpoints.torch_files import torch_bytes
from kvplan.errors import CheckpointError, UnknownModelError

CONFIG = "adapter_config.json"
SAFETENSORS = "adapter_model.safetensors"
TORCH = "adapter_model.bin"
# The largest seen has 100 kB (a rank for each module).
_MAX_CONFIG_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    """One adapter, as its configuration and the header of its file describe it. Compared by identity, as models are.

    Attributes:
        source: for people: which file, and where.
        kind: `peft_type` in lower case (`lora`, `adalora`, `ia3`).
        rank: the largest of its modules (`r`, `rank_pattern`); None where the kind has none.
        target_modules: names or endings of the modules it changes, or one pattern or keyword (`all-linear`).
        modules_to_save: modules it replaces as a whole.
        base_model: `base_model_name_or_path`; None where it is not stated.
        dora: whether it scales each output by a learnt magnitude, too (`use_dora`).
        tensors: every tensor of the file; empty for PyTorch files, whose pickles are never opened.
        total_bytes: of all tensors; of the file, where there is no header to read.
        notes: what to know about the figure.

    """

    source: str
    kind: str
    rank: int | None
    target_modules: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    base_model: str | None
    dora: bool
    tensors: tuple[Tensor, ...]
    total_bytes: int
    notes: tuple[str, ...] = ()


def read_adapter(source: str | PathLike[str]) -> Adapter:
    """Return the adapter that a folder or a repository on the hub holds.

    Args:
        source: a folder with `adapter_config.json`, or `org/name`, `org/name@revision`.

    Raises:
        UnknownModelError: there is no such folder, and it is no hub id.
        CheckpointError: it holds no adapter, or a broken one.
        HubError: the hub did not give it.

    """
    text = os.fspath(source)
    if os.path.isdir(text):  # noqa: PTH112  Path.is_dir raises for a name that is too long
        return _from_folder(Path(text))
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", text):
        return _from_hub(text)
    raise UnknownModelError(
        f"There is no folder {shown(text)}.", hint=f"Give a folder with an {CONFIG}, or a hub id (org/name)."
    )


def _from_folder(folder: Path) -> Adapter:
    where = shown_path(folder)
    if not (folder / CONFIG).exists():
        raise CheckpointError(f"{where} has no {CONFIG}: it holds no adapter.")
    with open_file(folder / CONFIG) as opened:
        config = opened.read(0, _MAX_CONFIG_BYTES + 1)
    if (folder / SAFETENSORS).exists():
        with open_file(folder / SAFETENSORS) as opened:
            return _adapter(config, opened, where=where)
    if (folder / TORCH).exists():
        with open_file(folder / TORCH) as opened:
            return _adapter(config, opened.size, where=where)
    raise _no_weights(where)


def _from_hub(name: str) -> Adapter:
    from kvplan.checkpoints.hub import Repository  # noqa: PLC0415  only on use, as all of the hub
    from kvplan.hub import split_name  # noqa: PLC0415

    source = Repository(*split_name(name))
    config = source.whole(CONFIG, limit=_MAX_CONFIG_BYTES)
    if config is None:
        raise CheckpointError(f"{name} has no {CONFIG} on the hub: it holds no adapter.")
    if source.size(SAFETENSORS) is not None:
        return _adapter(config, source.open(SAFETENSORS), where=name)
    size = source.size(TORCH)
    if size is None:
        raise _no_weights(name)
    return _adapter(config, size, where=name)


def _no_weights(where: str) -> CheckpointError:
    return CheckpointError(f"{where} has neither {SAFETENSORS} nor {TORCH}.", hint="Download the adapter again.")


def _adapter(content: bytes, file: Bytes | int, *, where: str) -> Adapter:
    """Return an adapter from its configuration and its safetensors file, or the size of its PyTorch file."""
    config = _parse(content, where=f"{where}/{CONFIG}")
    notes: tuple[str, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    if isinstance(file, int):
        total, notes = torch_bytes({TORCH: file}, None)
    else:
        tensors = read_header(file, where=f"{where}/{SAFETENSORS}")
        total = sum(tensor.bytes for tensor in tensors)
    value = _Values(config, f"{where}/{CONFIG}")
    return Adapter(
        source=f"{TORCH if isinstance(file, int) else SAFETENSORS} of {where}",
        kind=(value.text("peft_type") or "unknown").lower(),
        rank=value.rank(),
        target_modules=value.names("target_modules"),
        modules_to_save=value.names("modules_to_save"),
        base_model=value.text("base_model_name_or_path") or None,
        dora=value.flag("use_dora"),
        tensors=tensors,
        total_bytes=total,
        notes=notes,
    )


def _parse(content: bytes, *, where: str) -> Mapping[str, Any]:
    if len(content) > _MAX_CONFIG_BYTES:
        raise CheckpointError(f"{where} is larger than {_MAX_CONFIG_BYTES:,} bytes: not an adapter's configuration.")
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not JSON.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{where} is not a JSON object.")
    return config


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of a configuration, each of the kind it must be."""

    config: Mapping[str, Any]
    where: str

    def text(self, key: str) -> str | None:
        text: str | None = self._as(key, lambda value: isinstance(value, str), "a text")
        return text

    def flag(self, key: str) -> bool:
        return bool(self._as(key, lambda value: isinstance(value, bool), "true or false"))

    def names(self, key: str) -> tuple[str, ...]:
        value = self._as(key, _is_names, "a list of names")
        return () if value is None else (value,) if isinstance(value, str) else tuple(value)

    def rank(self) -> int | None:
        rank = self._as("r", _is_rank, "a whole number from 1")
        ranks = self._as("rank_pattern", _is_ranks, "a table of whole numbers from 1") or {}
        return max((rank, *ranks.values())) if rank is not None else max(ranks.values(), default=None)

    def _as(self, key: str, fits: Callable[[Any], bool], kind: str) -> Any:
        value = self.config.get(key)
        if value is not None and not fits(value):
            raise CheckpointError(f"{self.where}: {key} is {shown(repr(value))}, which is not {kind}.")
        return value


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _is_rank(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 2**20


def _is_ranks(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_rank(rank) for rank in value.values())
