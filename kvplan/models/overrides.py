"""A model whose configuration is changed in places, as engines let their command lines do (vLLM's `--hf-overrides`)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvplan.errors import ConfigError
from kvplan.models.hugging_face import read_config
from kvplan.models.spec import ModelSpec

_DEEPEST = 8


def with_overrides(spec: ModelSpec, changes: Mapping[str, Any]) -> ModelSpec:
    """Return the model that its configuration describes with the changes in it; nested objects are merged key by key.

    What is known of its published files stays: they are loaded as they are.

    Raises:
        ConfigError: its configuration is not known (GGUF), or says something that cannot be meant with the changes.
        UnsupportedArchitectureError: no rule establishes what it then caches.

    """
    if not changes:
        return spec
    if not spec.config or spec.source.endswith(".gguf"):
        raise ConfigError(f"{spec.id} has no configuration whose values can be overridden.")
    read = read_config(
        _merged(spec.config, changes), spec_id=spec.id, source=spec.source, where=f"{spec.id} with its overrides"
    )
    return replace(
        read,
        published_as=spec.published_as,
        published_bytes=spec.published_bytes,
        published_kv_dtype=spec.published_kv_dtype,
        published_parameters=spec.published_parameters,
        quantization=read.quantization if "quantization_config" in changes else spec.quantization,
        checkpoint=spec.checkpoint,
        checkpoints=spec.checkpoints,
    )


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(change, Mapping) and depth < _DEEPEST and key != "rope_scaling":
            merged[key] = _merged(inner, change, depth + 1)
        else:
            merged[key] = change
    return merged
