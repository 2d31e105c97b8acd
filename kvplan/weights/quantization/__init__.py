"""From a checkpoint's quantisation section to what stores which module: one file per method, found by this folder.

A method's module states

    METHODS   the `quant_method` values that it reads
    KEYS      sets of keys by which a section without a `quant_method` is known (may be empty)
    read      Section -> Scheme, or None where the section states no layout that a rule here establishes

A method in a new file is read without another line.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Scheme


class _Method(NamedTuple):
    keys: frozenset[str]
    read: Callable[[Section], Scheme | None]


def read_scheme(
    section: Mapping[str, Any], *, config: Mapping[str, Any], plain_bytes: int, where: str
) -> Scheme | None:
    """Return what a quantisation section says of a model's modules; None where no rule here understands it.

    Args:
        section: `quantization_config`, `compression_config`, MLX's `quantization` or a whole `hf_quant_config.json`.
        config: the configuration that the section came with (or its text part).
        plain_bytes: of a number that is left alone.
        where: the file, for messages.

    Raises:
        ConfigError: a value that cannot be meant; names `where` and the key.

    """
    by_name, by_keys = _methods()
    values = Section(values=section, config=config, plain_bytes=plain_bytes, where=where)
    name = section.get("quant_method")
    if isinstance(name, str):
        method = by_name.get(name.strip().lower())
        return method.read(values) if method else None
    method = next((method for method in by_keys if method.keys <= section.keys()), None)
    return method.read(values) if method else None


def declared_kv_dtype(section: Mapping[str, Any]) -> str | None:
    """Return the cache format that a checkpoint declares, as `--kv-dtype` takes it, or None.

    `kv_cache_scheme` of compressed-tensors is an object {type: float, num_bits: 8}; ModelOpt writes a word there, or
    `kv_cache_quant_algo`. Sources: vllm 0.33 model_executor/layers/quantization (compressed_tensors.py, modelopt.py),
    nvidia-modelopt 0.47.0 export/convert_hf_config.py.
    """
    nested = section.get("quantization")
    inner = nested if isinstance(nested, Mapping) else {}
    for values in (section, inner):
        for key in ("kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_dtype"):
            if (found := _kv_dtype(values.get(key))) is not None:
                return found
    return None


_KV_WORDS = {
    "fp8": "fp8_e4m3",
    "fp8_e4m3": "fp8_e4m3",
    "fp8_e4m3fn": "fp8_e4m3",
    "fp8_e5m2": "fp8_e5m2",
    "int8": "int8",
    "nvfp4": "nvfp4",
}


def _kv_dtype(value: Any) -> str | None:
    if isinstance(value, str):
        return _KV_WORDS.get(value.strip().lower())
    if not isinstance(value, Mapping):
        return None
    kind, bits = value.get("type"), value.get("num_bits")
    if isinstance(bits, bool) or not isinstance(kind, str) or not isinstance(bits, int):
        return None
    return {("float", 8): "fp8_e4m3", ("int", 8): "int8", ("float", 4): "nvfp4"}.get((kind.lower(), bits))


@cache
def _methods() -> tuple[dict[str, _Method], tuple[_Method, ...]]:
    """Return the methods by name and, those with the most keys first, by their keys."""
    by_name: dict[str, _Method] = {}
    by_keys: list[_Method] = []
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        found = importlib.import_module(f"{__name__}.{module.name}")
        by_name.update(dict.fromkeys(found.METHODS, _Method(frozenset(), found.read)))
        by_keys.extend(_Method(frozenset(keys), found.read) for keys in found.KEYS)
    return by_name, tuple(sorted(by_keys, key=lambda method: -len(method.keys)))
