"""Engines by name. The folder is the registry: `engines/<name>/engine.py` holds the class."""

import importlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kvplan.engines.base import Engine
from kvplan.errors import UnknownEngineError

# The contract's names; those without a folder are refused by name until they are built.
NAMES = ("vllm", "sglang", "tensorrt-llm", "tgi", "lmdeploy", "llama.cpp", "ollama", "transformers", "textbook")


@cache
def built() -> tuple[str, ...]:
    """Return the names of the engines that are built, in the contract's order."""
    return tuple(name for name in NAMES if (Path(__file__).parent / _folder(name) / "engine.py").is_file())


@cache
def find_engine(text: str) -> tuple[Engine, str]:
    """Return the engine that `name` or `name@version` means, and the version.

    Raises:
        UnknownEngineError: no such engine, or one that is not built yet.

    """
    name, _, version = text.strip().lower().partition("@")
    if name not in NAMES:
        import difflib  # noqa: PLC0415  on the way to an error

        near = difflib.get_close_matches(name, NAMES, n=2)
        raise UnknownEngineError(
            f"{name[:40]!r} is not an engine.", nearest=near, hint=None if near else f"There are: {', '.join(built())}."
        )
    engine = _load(name)
    if engine is None:
        raise UnknownEngineError(f"The engine {name!r} is not built yet.", hint=f"Use one of: {', '.join(built())}.")
    if version and not engine.latest:
        raise UnknownEngineError(f"{name} has no versions.", hint=f"Write --engine {name}.")
    return engine, version or engine.latest


@cache
def flag_table(name: str) -> Mapping[str, Any] | None:
    """Return the flags and variables of an engine (`engines/<name>/flags.json`); None where it has no table."""
    path = Path(__file__).parent / _folder(name) / "flags.json"
    if not path.is_file():
        return None
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table | {"engine": name}


def _folder(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


@cache
def _load(name: str) -> Engine | None:
    if name not in built():
        return None
    module = importlib.import_module(f"kvplan.engines.{_folder(name)}.engine")
    classes = [
        value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return next(cls for cls in classes if issubclass(cls, Engine))()
