"""What `--model` takes, to a ModelSpec: a catalogue name, a hub id, a file or a folder."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from kvplan.catalogue import MODELS, normalise
from kvplan.errors import ConfigError, SettingError, UnknownModelError
from kvplan.models.hugging_face import (
    QUANTISATION_FILE,
    lacks_quantisation,
    read_catalogue_entry,
    read_config,
    with_quantisation,
)
from kvplan.models.spec import ModelSpec, Note
from kvplan.weights.formats import find_format

# The largest published configuration is under 2 MB (quantised layers listed one by one); a file beyond this is not one.
MAX_CONFIG_BYTES = 16 * 2**20
_LONGEST_NAME = 200
_names_only: ContextVar[bool] = ContextVar("names_only", default=False)
# A GGUF file in a repository: `org/name:file.gguf`, `org/name/file.gguf`.
_HUB_GGUF = re.compile(r"[\w.-]+/[\w.-]+(?:@[^:]+)?[:/][^:]+\.gguf")

# What stands beside a format in names of checkpoints.
_OF_NO_WIDTH = frozenset(("autoround", "awq", "gptq", "dynamic", "quantized", "marlin"))
# Files that stand for the folder they lie in: an index of weight files, and pickles, which are never opened.
_OF_FOLDERS = (".index.json", ".bin", ".pt", ".pth")


@contextmanager
def names_only(asked: bool = True) -> Iterator[None]:
    """Take models for names of the catalogue and the hub and open no path of theirs, as long as it lasts."""
    token = _names_only.set(asked)
    try:
        yield
    finally:
        _names_only.reset(token)


def load_model(source: str | PathLike[str]) -> ModelSpec:
    """Return the model that `source` names. Reading it once and passing it on is the fast way for many plans.

    Args:
        source: a catalogue name or alias (`llama-3-70b`), a hub id (`org/name`), a `.json` file that holds a
            configuration, a folder with a `config.json`, a file of weights or their index beside one, or a `.gguf`
            file (also `org/name:file.gguf` on the hub). Weight files count by their headers.

    Raises:
        UnknownModelError: nothing has this name; carries the nearest ones.
        ConfigError: the configuration is broken or contradicts itself.
        CheckpointError: the weight files are broken, incomplete or contradict each other.
        UnsupportedArchitectureError: no rule with a source establishes what it caches.
        HubError: the hub did not give the configuration.

    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else repr(source)
    if not isinstance(source, str | os.PathLike) or not isinstance(text, str) or not text.strip() or "\0" in text:
        raise UnknownModelError(f"{text!r} is not a model's name or path.", hint="See `kvplan models`.")
    if _names_only.get():
        return _from_name(text)
    is_file = text.endswith((".json", ".gguf", ".safetensors"))
    is_file = is_file or (text.endswith(_OF_FOLDERS) and os.path.exists(text))  # noqa: PTH110  as below
    if _HUB_GGUF.fullmatch(text) and not os.path.exists(text):  # noqa: PTH110  as below
        return _from_hub_gguf(text)
    if is_file or _is_folder(text) or text.startswith((".", "/", "~")):
        return _from_path(Path(os.path.expanduser(text)))  # noqa: PTH111  Path's own raises for a user there is not
    return _from_name(text)


def _is_folder(text: str) -> bool:
    return os.path.isdir(text)  # noqa: PTH112  Path.is_dir raises for a name that is too long


@lru_cache(maxsize=64)
def _from_name(name: str) -> ModelSpec:
    if len(name) > _LONGEST_NAME:
        raise UnknownModelError(f"No model is called {name[:40]!r}….", hint="See `kvplan models`.")
    entry = MODELS.find(name)
    if entry is not None:
        spec = read_catalogue_entry(MODELS.read(entry), where=f"model_specs/{entry.path.name}")
        return replace(spec, published_bytes=_own_size(spec))
    listed = MODELS.find_checkpoint(name)
    if listed is not None:
        entry, form = listed
        spec = read_catalogue_entry(MODELS.read(entry), where=f"model_specs/{entry.path.name}")
        return _as_published(spec, name, form)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name):
        from kvplan.models.hub import read_hub_model  # noqa: PLC0415  the hub client costs 0.2 s

        return read_hub_model(name)
    described = _with_format(name)
    if described is not None:
        return described
    raise UnknownModelError(
        f"No model is called {name!r}.",
        nearest=MODELS.nearest(name),
        hint=None
        if MODELS.nearest(name)
        else "See `kvplan models`, or name a hub id (org/name) or a path to a config.json.",
    )


def _with_format(name: str) -> ModelSpec | None:
    """Return the model of `minimax-m3-awq`: a catalogue name and the weight format that a checkpoint of it is called by."""
    words = re.split(r"[\s_-]+", name.strip().lower())
    for cut in range(len(words) - 1, 0, -1):
        form = _format_of(words[cut:])
        entry = MODELS.find("-".join(words[:cut])) if form is not None else None
        if entry is not None and form is not None:
            spec = read_catalogue_entry(MODELS.read(entry), where=f"model_specs/{entry.path.name}")
            note = Note(
                f"{name!r} is taken as {entry.id} in {form}: its files are not known, so bounds are those of published ones.",
                f"model_specs/{entry.path.name}",
            )
            return replace(spec, id=name, published_as=form, assumptions=(*spec.assumptions, note))
    return None


def _format_of(words: Sequence[str]) -> str | None:
    """Return the weight format that the last words of a name mean: one format, written out or among words of no width."""
    for form in ("-".join(words), "_".join(words), *words):
        if form not in words or all(word == form or word in _OF_NO_WIDTH for word in words):
            with suppress(SettingError):
                find_format(form)
                return form
    return None


def _as_published(spec: ModelSpec, name: str, form: str) -> ModelSpec:
    """Return an entry's model as the repository `name` publishes it: in its own quantisation, or in a format known by name."""
    own = next((c for c in spec.checkpoints if _is_named(str(c.get("hub") or ""), name)), {})
    section = own.get("quantization_config")
    spec = replace(spec, id=name, published_bytes=own.get("bytes"), published_kv_dtype=own.get("kv_cache"))
    if section is not None:
        return replace(spec, quantization=section)
    return replace(spec, published_as=None if form == "native" else form)


def _is_named(hub: str, name: str) -> bool:
    """Whether `name` is a repository's, with or without its organisation."""
    return normalise(name) in (normalise(hub), normalise(hub.rsplit("/", maxsplit=1)[-1]))


def _own_size(spec: ModelSpec) -> int | None:
    """Return the size of the checkpoint that an entry's own configuration describes, where the entry knows one."""
    for checkpoint in spec.checkpoints:
        plain = not spec.quantization and checkpoint.get("format") in ("bf16", "fp16", "fp32")
        if checkpoint.get("hub") and (checkpoint.get("format") == "native" or plain):
            return checkpoint.get("bytes")
    return None


def _from_path(path: Path) -> ModelSpec:
    if path.suffix == ".gguf":
        return _from_gguf(path)
    if _is_folder(os.fspath(path)):
        return _from_folder(path)
    if path.suffix == ".safetensors":
        from kvplan.checkpoints.folder import read_file  # noqa: PLC0415  only for files of weights

        # The configuration that the weights belong to stands beside them.
        return replace(_from_config(path.parent, path.parent / "config.json"), checkpoint=read_file(path))
    if path.name.endswith(_OF_FOLDERS) and path.is_file():
        return _from_folder(path.parent)
    return _from_config(path, path)


def _from_config(named: Path, file: Path) -> ModelSpec:
    """Return the model of a configuration; ModelOpt's quantisation file beside it is read with it."""
    values = parse_config(read_limited(file), where=_shown(file))
    beside = file.with_name(QUANTISATION_FILE)
    if file.name == "config.json" and lacks_quantisation(values) and beside.is_file():
        values = with_quantisation(values, parse_config(read_limited(beside), where=_shown(beside)))
    name = named.name if named != file else file.stem if file.stem != "config" else file.parent.name or file.stem
    return read_config(values, spec_id=_shown(name), source=f"file: {_shown(file)}", where=_shown(file))


def _from_folder(path: Path) -> ModelSpec:
    from kvplan.checkpoints.folder import read_folder  # noqa: PLC0415  only for files of weights

    file = path / "config.json"
    if not file.exists():
        if (path / "adapter_config.json").exists():
            raise ConfigError(
                f"{_shown(path)} holds an adapter, not a model.",
                hint=f"Name its base model with --model, and it with --adapter {_shown(path)}.",
            )
        ggufs = sorted(path.glob("*.gguf"))
        first = [gguf for gguf in ggufs if not re.search(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", gguf.name)]
        if len(first) == 1:
            return _from_gguf(first[0])
        if first:
            names = ", ".join(_shown(gguf.name) for gguf in first[:4])
            raise UnknownModelError(
                f"{_shown(path)} holds {len(first)} GGUF models and no config.json.", hint=f"Name one of them: {names}."
            )
    return replace(_from_config(path, file), checkpoint=read_folder(path))


def _from_gguf(path: Path) -> ModelSpec:
    from kvplan.checkpoints.gguf import read_gguf  # noqa: PLC0415  only for files of weights
    from kvplan.models.gguf import read_gguf_model  # noqa: PLC0415

    gguf = read_gguf(path)
    spec = read_gguf_model(gguf, spec_id=_shown(path.stem), source=f"file: {_shown(path)}", where=_shown(path))
    return replace(spec, checkpoint=gguf.checkpoint)


@lru_cache(maxsize=64)
def _from_hub_gguf(name: str) -> ModelSpec:
    from kvplan.checkpoints.gguf import read_gguf_hub  # noqa: PLC0415  only for files of weights
    from kvplan.models.gguf import read_gguf_model  # noqa: PLC0415

    gguf = read_gguf_hub(name)
    spec = read_gguf_model(gguf, spec_id=name, source=f"hub: {name}", where=name)
    return replace(spec, checkpoint=gguf.checkpoint)


def _shown(name: str | Path) -> str:
    """Return a file's name as it may be printed: what is no character of a text, or would steer a terminal, is spelt out."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(name))


def read_limited(file: Path) -> bytes:
    """Return the bytes of a configuration file.

    Raises:
        UnknownModelError: there is no such file.
        ConfigError: it cannot be read, or is too large to be a configuration.

    """
    try:
        if file.exists() and not file.is_file():
            raise ConfigError(f"{_shown(file)} is not a file.", hint="Give a config.json, or a folder that holds one.")
        with file.open("rb") as stream:
            content = stream.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        raise UnknownModelError(
            f"There is no file {_shown(file)}.", hint="Give a config.json, or a folder that holds one."
        ) from error
    except (OSError, ValueError) as error:
        # A name that the file system has no spelling for is a ValueError.
        raise ConfigError(f"{_shown(file)} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{_shown(file)} is larger than {MAX_CONFIG_BYTES // 2**20} MiB: not a model configuration.")
    return content


def parse_config(content: bytes, *, where: str) -> Any:
    """Return the JSON value of a configuration's bytes.

    Raises:
        ConfigError: it is not JSON; names the line.

    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where} is not JSON: {type(error).__name__}.") from error
