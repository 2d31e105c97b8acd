"""A GGUF file's metadata to the configuration its model had on the hub, so that the same families read both.

Each module holds the rules of related architectures (`general.architecture`); importing them fills the registry. Sources:
llama.cpp's converters and loaders (conversion/*.py, src/models/*.cpp) as in llama-cpp-python 0.3.36, and transformers
5.18.0 integrations/ggml.py. What llama.cpp's files do not say is left to the model type's defaults, which the report names;
an architecture without a rule is refused.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kvplan.checkpoints.gguf import Gguf
from kvplan.checkpoints.tensors import Tensor
from kvplan.errors import UnsupportedArchitectureError
from kvplan.models.gguf import classic, dense, experts, latent, recurrent, sparse, windows  # noqa: F401  they register rules
from kvplan.models.gguf.keys import RULES, Keys
from kvplan.models.hugging_face import read_config
from kvplan.models.spec import ModelSpec

# What stands beside models in GGUF and is none.
_BESIDE = {
    "clip": "holds a vision or audio tower (mmproj), which has no cache",
    "adapter": "is a LoRA adapter",
    "imatrix": "holds the importance matrix of a quantisation",
    "vocab": "holds a vocabulary alone",
}


def config_from_metadata(
    metadata: Mapping[str, Any], tensors: Iterable[Tensor] = (), *, where: str = "GGUF metadata"
) -> dict[str, Any]:
    """Return the configuration (`config.json`) of the model in a GGUF file.

    Args:
        metadata: the file's.
        tensors: the file's table, which tells what the metadata does not: tied embeddings, biases, norms. Without one these
            are left to the model type's defaults.
        where: what error messages call the file.

    Raises:
        ConfigError: a key is missing, broken or contradicts another.
        UnsupportedArchitectureError: no rule covers the architecture or a key of it; names it.

    """
    kind = metadata.get("general.type")
    if isinstance(kind, str) and kind in _BESIDE:
        raise UnsupportedArchitectureError(f"{where} {_BESIDE[kind]}.", hint="Give the model's own file.")
    keys = Keys(metadata, tensors, where)
    name = keys.architecture
    if name in _BESIDE:
        raise UnsupportedArchitectureError(f"{where} {_BESIDE[name]}.", hint="Give the model's own file.")
    if name not in RULES:
        raise UnsupportedArchitectureError(
            f"{where}: general.architecture {name[:60]!r} is not one that kvplan has a rule for.",
            hint="Give the config.json of the model that the file was made from, or its name in the catalogue (`kvplan models`).",
        )
    values = RULES[name](keys)
    keys.check_signals()
    return values


def read_gguf_model(gguf: Gguf, *, spec_id: str, source: str, where: str) -> ModelSpec:
    """Return the model in a GGUF file, read by the family of its model type.

    Args:
        gguf: the file, as `read_gguf` returns it.
        spec_id: what to call the model.
        source: where the file came from.
        where: what error messages call it.

    Raises:
        ConfigError: as `config_from_metadata`.
        UnsupportedArchitectureError: as `config_from_metadata`.

    """
    values = config_from_metadata(gguf.metadata, gguf.checkpoint.tensors, where=where)
    return read_config(values, spec_id=spec_id, source=source, where=where)
