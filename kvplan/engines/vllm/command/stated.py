"""What a launch of vLLM states, flag by flag: by the shared names, with every flag that its release would not take."""

from collections.abc import Callable, Mapping
from typing import Any

from kvplan.engines import find_engine
from kvplan.engines.vllm.command.arguments import human_int, json_value, read_arguments
from kvplan.engines.vllm.command.table import FlagTable, flags_of
from kvplan.engines.vllm.defaults import memory_fraction
from kvplan.errors import SettingError
from kvplan.launch.peel import Launch
from kvplan.launch.stated import Problem, Stated, number_of, parted, unsettled
from kvplan.launch.text import Text
from kvplan.launch.words import Given

_NAMES = {
    "tensor_parallel": "--tensor-parallel-size",
    "pipeline_parallel": "--pipeline-parallel-size",
    "data_parallel": "--data-parallel-size",
    "nodes": "--nnodes",
    "max_model_len": "--max-model-len",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "kv_cache_dtype": "--kv-cache-dtype",
    "quantization": "--quantization",
    "max_num_seqs": "--max-num-seqs",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "dtype": "--dtype",
    "enforce_eager": "--enforce-eager",
    "cpu_offload_gb": "--cpu-offload-gb",
    "swap_space": "--swap-space",
    "data_parallel_local": "--data-parallel-size-local",
    "speculative_config": "--speculative-config",
    "revision": "--revision",
}


def read_vllm_stated(launch: Launch, release: str | None, read_file: Callable[[str], str | Text]) -> Stated:
    """Return what the words of `vllm serve` state under a release."""
    version = str(launch.version.value) if launch.version is not None else release or find_engine("vllm")[1]
    table = flags_of(version)
    found = Stated()
    words, found.problems = parted(launch.words)
    read = read_arguments(words, table, read_file, to_the_end=True)
    found.flags = read.values
    model = read.values.get("--model")
    if read.model is not None and model is not None and unsettled(read.model.value):
        found.open_words += read.model.words  # it holds flags, most likely
    elif read.model is not None and model is not None and str(read.model.value).lower() in ("true", "false"):
        message = f"{read.model.value} stands alone, behind a flag that takes no value: vLLM takes it for the model."
        found.problems.append(Problem("value", message, "Leave it out.", read.model.words))
    else:
        model = read.model or model
    if model is not None:
        found.values["model"] = model
    for name, flag in _NAMES.items():
        if (given := read.values.get(flag)) is not None:
            found.values[name] = Given(_number(name, given.value), given.words)
    for given in read.left_out:
        if given.words:
            message = next((each for each in read.warnings if f" {_flag_of(given)}:" in each), "")
            _keep_removed(found, given, table, message)
    for error, refused in read.refused or []:
        _keep_refused(found, error, refused, launch)
    _draft(found)
    return found


def _number(name: str, value: Any) -> Any:
    if name == "max_model_len" and isinstance(value, str) and value.strip().lower() in ("auto", "-1"):
        return "auto"
    if name in ("cpu_offload_gb", "swap_space") and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return number_of(name, value, human_int)


def _flag_of(given: Given) -> str:
    """Return the flag that a value was given by, in its own spelling: a key of a settings file is one too."""
    word = given.words[0]
    if word.origin and not word.text.startswith("-"):
        return f"--{word.text.partition(':')[0]}".replace("_", "-")
    return word.text.partition("=")[0].replace("_", "-")


def _keep_removed(found: Stated, given: Given, table: FlagTable, message: str) -> None:
    flag = _flag_of(given)
    when = message.rpartition(": ")[2].partition(". It is")[0] or "it belongs to another release"
    found.problems.append(
        Problem(
            "removed",
            f"vLLM {table.version} does not start with {flag}: {when.rstrip('.')}.",
            "Take it out.",
            given.words,
        )
    )
    # What it states is stated, whether this release takes it or not.
    name = next((name for name, known in _NAMES.items() if known == flag), None)
    if name is not None and name not in found.values:
        text = given.words[-1].text.rpartition("=")[2]
        found.values[name] = Given(_number(name, text), given.words)


def _keep_refused(found: Stated, error: SettingError, refused: tuple[Any, ...], launch: Launch) -> None:
    text = refused[0].text if refused else ""
    if any(unsettled(word.text) for word in refused[:1]) and not text.startswith("--"):
        found.open_words += refused[:1]
        return
    kind = "value"
    if "has no flag" in error.message:
        kind = "unknown"
        if launch.wrapped:
            return  # a flag of the program around vLLM
    elif "may stand for" in error.message:
        kind = "ambiguous"
    elif any(unsettled(word.text) for word in refused):
        return  # said with the value itself
    found.problems.append(Problem(kind, error.message, error.hint or "", refused))


def _draft(found: Stated) -> None:
    """Name a draft model that --speculative-config states."""
    given = found.values.get("speculative_config")
    value = given.value if given is not None else None
    if given is not None and isinstance(value, str):
        try:
            value = json_value(value, given)
        except SettingError:
            return
    if given is not None and isinstance(value, Mapping) and isinstance(value.get("model"), str):
        found.values["draft_model"] = Given(value["model"], given.words)


def defaults_of(release: str) -> dict[str, Any]:
    """Return the defaults of a release that depend on nothing else."""
    return {
        "tensor_parallel": 1,
        "pipeline_parallel": 1,
        "data_parallel": 1,
        "gpu_memory_utilization": memory_fraction(release),
        "kv_cache_dtype": "auto",
    }
