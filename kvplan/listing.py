"""The catalogues as lists: `kvplan.models()`, `kvplan.gpus()`, `kvplan.engines()`."""

from kvplan.catalogue import GPUS, MODELS
from kvplan.engines import built


def models() -> list[str]:
    """Return the ids of the models in the catalogue, sorted."""
    return list(MODELS.entries)


def gpus() -> list[str]:
    """Return the ids of the GPUs in the catalogue, sorted."""
    return list(GPUS.entries)


def engines() -> list[str]:
    """Return the names of the engines that are built."""
    return list(built())
