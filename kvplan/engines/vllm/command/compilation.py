"""CUDA graphs as the command line sets them: compilation config, optimisation level, capture sizes."""

from collections.abc import Mapping
from typing import Any

from kvplan.engines.vllm.command.arguments import Arguments
from kvplan.engines.vllm.command.table import FlagTable, padded
from kvplan.errors import SettingError
from kvplan.launch.command import Command
from kvplan.launch.words import Given

MODES = ("FULL_AND_PIECEWISE", "FULL_DECODE_ONLY", "FULL", "PIECEWISE", "NONE")
# CUDAGraphMode's values (config/compilation.py), and what an optimisation level sets (config/vllm.py).
_BY_NUMBER = {0: "NONE", 1: "PIECEWISE", 2: "FULL"}
_BY_LEVEL = {0: "NONE", 1: "PIECEWISE"}
# Levels were of compilation before, of everything from here on; from the second on only piecewise graphs need compilation.
_LEVELS, _FULL_WITHOUT = padded("0.12.0"), padded("0.30.0")
_COMPILED = 3
_WORDS = {"NONE": 0, "STOCK_TORCH_COMPILE": 1, "DYNAMO_TRACE_ONCE": 2, "VLLM_COMPILE": 3}


def read_compilation(found: Arguments, table: FlagTable, command: Command) -> None:
    """Put cudagraph_mode and max_cudagraph_capture_size among the engine's arguments, where the command sets them.

    Raises:
        SettingError: a mode, a level or sizes that cannot be meant.

    """
    given = found.values.get("--compilation-config")
    config = _config(given) if given is not None else {}
    level = found.values.get("--optimization-level")
    mode = _graph_mode(config, given)
    compiled = _compiled(config, given)
    if mode is None and level is not None:
        mode = _BY_LEVEL.get(_level(level))
        given = level if mode is not None else given
    if compiled is not None and compiled != _COMPILED:
        mode = _without_compilation(mode, table)
    if mode is not None and given is not None:
        command.engine_args["cudagraph_mode"] = Given(mode, given.words)
    _read_sizes(found, config, command)


def _config(given: Given) -> Mapping[str, Any]:
    value = given.value
    if isinstance(value, str):
        from kvplan.engines.vllm.command.arguments import json_value  # noqa: PLC0415  releases before 0.9 take it as a text

        value = json_value(value, given)
    if value is None:
        return {}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"level": value}  # `-O3`
    if not isinstance(value, Mapping):
        raise SettingError(f"{given}: a level or a JSON object was expected.")
    return value


def _graph_mode(config: Mapping[str, Any], given: Given | None) -> str | None:
    mode = config.get("cudagraph_mode")
    if isinstance(mode, int) and not isinstance(mode, bool):
        mode = _BY_NUMBER.get(mode, mode)
    if mode is not None:
        text = str(mode).upper()
        if text not in MODES:
            raise SettingError(f"{given}: cudagraph_mode is {str(mode)[:40]!r}.", hint=f"It takes {', '.join(MODES)}.")
        return text
    if config.get("use_cudagraph") is False:
        return "NONE"
    return "FULL" if config.get("full_cuda_graph") is True else None


def _compiled(config: Mapping[str, Any], given: Given | None) -> int | None:
    value = config.get("mode", config.get("level"))
    if value is None:
        return None
    number = _WORDS.get(str(value).upper(), value)
    if isinstance(number, str) and number.isdecimal():
        number = int(number[:4])
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _COMPILED:
        raise SettingError(f"{given}: the compilation mode is {str(value)[:40]!r}; 0 to 3 was expected.")
    return number


def _level(given: Given) -> int:
    text = str(given.value).strip().upper().removeprefix("O")
    if text not in ("0", "1", "2", "3"):
        raise SettingError(f"{given}: the optimisation level is 0, 1, 2 or 3.")
    return int(text)


def _without_compilation(mode: str | None, table: FlagTable) -> str:
    """Return the mode that is left where nothing is compiled (config/vllm.py)."""
    if table.number < _FULL_WITHOUT:
        return (mode or "NONE") if table.number < _LEVELS else "NONE"
    mode = mode or "FULL_AND_PIECEWISE"
    return {"PIECEWISE": "NONE", "FULL_AND_PIECEWISE": "FULL_DECODE_ONLY"}.get(mode, mode)


def _read_sizes(found: Arguments, config: Mapping[str, Any], command: Command) -> None:
    whole = found.values.get("--compilation-config")
    for key in ("max_cudagraph_capture_size", "max_capture_size"):
        if config.get(key) is not None and whole is not None:
            command.engine_args["max_cudagraph_capture_size"] = Given(_sizes([config[key]], whole)[0], whole.words)
    listed = config.get("cudagraph_capture_sizes")
    if isinstance(listed, list) and listed and whole is not None:
        _largest(_sizes(listed, whole), whole, command)
    for name in ("--cudagraph-capture-sizes", "--cuda-graph-sizes"):
        given = found.values.get(name)
        if given is not None:
            sizes = _sizes(given.value, given)
            if name == "--cuda-graph-sizes" and len(sizes) == 1:
                command.engine_args["max_cudagraph_capture_size"] = Given(sizes[0], given.words)
            else:
                _largest(sizes, given, command)
    given = found.values.get("--max-cudagraph-capture-size")
    if given is not None and given.value not in ("", "None"):
        command.engine_args["max_cudagraph_capture_size"] = Given(_sizes([given.value], given)[0], given.words)


def _sizes(values: list[Any], given: Given) -> list[int]:
    sizes: list[int] = []
    for value in values:
        text = str(value).strip()
        if isinstance(value, bool) or not text.isdecimal() or len(text) > 9:
            raise SettingError(f"{given}: {text[:40]!r} is no number of tokens.")
        sizes.append(int(text))
    return sizes


def _largest(sizes: list[int], given: Given, command: Command) -> None:
    command.engine_args["max_cudagraph_capture_size"] = Given(max(sizes), given.words)
    command.note(f"CUDA graphs are planned for every usual size up to {max(sizes)}, not for the {len(sizes)} listed")
