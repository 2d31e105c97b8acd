"""What `--model` takes, to a ModelSpec: a catalogue name, a hub id, a file or a folder."""

import json
import os
import re
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from kvplan.catalogue import MODELS, normalise
from kvplan.errors import ConfigError, UnknownModelError
from kvplan.models.hugging_face import read_catalogue_entry, read_config
from kvplan.models.spec import ModelSpec

# The largest published configuration is under 2 MB (quantised layers listed one by one); a file beyond this is not one.
MAX_CONFIG_BYTES = 16 * 2**20
_LONGEST_NAME = 200


def load_model(source: str | PathLike[str]) -> ModelSpec:
    """Return the model that `source` names. Reading it once and passing it on is the fast way for many plans.

    Args:
        source: a catalogue name or alias (`llama-3-70b`), a hub id (`org/name`), a `.json` file that holds a
            configuration, or a folder with a `config.json`.

    Raises:
        UnknownModelError: nothing has this name; carries the nearest ones.
        ConfigError: the configuration is broken or contradicts itself.
        UnsupportedArchitectureError: no rule with a source establishes what it caches.
        HubError: the hub did not give the configuration.

    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else repr(source)
    if text.endswith((".gguf", ".safetensors")):
        raise UnknownModelError(
            f"{text} is a file of weights, which kvplan does not read yet.",
            hint="Give the config.json of the model, its folder, or its name in the catalogue (`kvplan models`).",
        )
    if not isinstance(source, str | os.PathLike) or not isinstance(text, str) or not text.strip() or "\0" in text:
        raise UnknownModelError(f"{text!r} is not a model's name or path.", hint="See `kvplan models`.")
    if text.endswith(".json") or _is_folder(text) or text.startswith((".", "/", "~")):
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
        return read_catalogue_entry(MODELS.read(entry), where=f"model_specs/{entry.path.name}")
    listed = MODELS.find_checkpoint(name)
    if listed is not None:
        entry, form = listed
        spec = read_catalogue_entry(MODELS.read(entry), where=f"model_specs/{entry.path.name}")
        own = next((c for c in spec.checkpoints if normalise(str(c.get("hub"))) == normalise(name)), {})
        return replace(
            spec, id=name, published_as=None if form == "native" else form, published_kv_dtype=own.get("kv_cache")
        )
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name):
        from kvplan.models.hub import read_hub_config  # noqa: PLC0415  the hub client costs 0.2 s

        return read_config(read_hub_config(name), spec_id=name, source=f"hub: {name}", where=f"{name}/config.json")
    raise UnknownModelError(
        f"No model is called {name!r}.",
        nearest=MODELS.nearest(name),
        hint=None
        if MODELS.nearest(name)
        else "See `kvplan models`, or name a hub id (org/name) or a path to a config.json.",
    )


def _from_path(path: Path) -> ModelSpec:
    folder = _is_folder(os.fspath(path))
    file = path / "config.json" if folder else path
    values = parse_config(read_limited(file), where=_shown(file))
    name = path.name if folder else file.stem if file.stem != "config" else file.parent.name or file.stem
    return read_config(values, spec_id=_shown(name), source=f"file: {_shown(file)}", where=_shown(file))


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
