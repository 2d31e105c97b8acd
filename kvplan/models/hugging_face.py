"""A Hugging Face configuration (`config.json`, read already) to a ModelSpec."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvplan.errors import ConfigError
from kvplan.models.config import Config
from kvplan.models.family import family_of
from kvplan.models.spec import ModelSpec

# What ModelOpt writes beside the configuration of a model that it quantised.
QUANTISATION_FILE = "hf_quant_config.json"
_SECTIONS = ("quantization_config", "compression_config")


def lacks_quantisation(values: Any) -> bool:
    """Whether a configuration may have its quantisation in ModelOpt's file: it has no section, or one of ModelOpt's."""
    if not isinstance(values, Mapping):
        return False
    nested = (values, *(part for part in values.values() if isinstance(part, Mapping)))
    sections = [part[key] for part in nested for key in _SECTIONS if isinstance(part.get(key), Mapping)]
    return all("modelopt" in str(section.get("quant_method", "modelopt")) for section in sections)


def with_quantisation(values: Mapping[str, Any], beside: Any) -> dict[str, Any]:
    """Return a configuration with what ModelOpt's file says put under what its own section says.

    Source: vLLM 0.33 transformers_utils/config.py get_hf_quant_config: the file stands in where there is no section.
    """
    stated = beside.get("quantization") if isinstance(beside, Mapping) else None
    if not isinstance(stated, Mapping):
        return dict(values)
    own = values.get("quantization_config")
    section = {"quant_method": "modelopt", **stated, **(own if isinstance(own, Mapping) else {})}
    return {**values, "quantization_config": section}


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
