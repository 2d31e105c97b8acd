"""A Hugging Face configuration (`config.json`, read already) to a ModelSpec."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvplan.errors import ConfigError
from kvplan.models.config import Config
from kvplan.models.family import family_of
from kvplan.models.spec import ModelSpec


def read_config(values: Any, *, spec_id: str, source: str, where: str = "config.json") -> ModelSpec:
    """Return the model that a configuration describes. Nothing in it is executed: `auto_map` is ignored.

    Args:
        values: the parsed JSON.
        spec_id: what to call the model.
        source: where the configuration came from.
        where: what error messages call it.

    Raises:
        ConfigError: the configuration is broken or contradicts itself; names the key.
        UnsupportedArchitectureError: no rule with a source establishes what it caches; names the key.

    """
    return family_of(Config(values, where=where)).spec(spec_id=spec_id, source=source)


def read_catalogue_entry(entry: Mapping[str, Any], *, where: str) -> ModelSpec:
    """Return the model of a catalogue entry: its configuration, with the parameters and checkpoints it knows.

    Raises:
        ConfigError: as `read_config`.

    """
    spec = read_config(
        entry.get("config"), spec_id=str(entry.get("id")), source=f"catalogue: {entry.get('source')}", where=where
    )
    parameters = entry.get("parameters")
    if parameters is not None and not isinstance(parameters, int):
        raise ConfigError(f"{where}: parameters is {parameters!r}; a whole number was expected.")
    return replace(spec, published_parameters=parameters, checkpoints=tuple(entry.get("checkpoints") or ()))
