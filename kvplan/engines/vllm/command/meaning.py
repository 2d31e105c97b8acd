"""What the words after `vllm serve` mean for memory: kvplan's arguments, and what it does not model said by name."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kvplan.engines import find_engine
from kvplan.engines.base import ArgSpec
from kvplan.engines.vllm.command.arguments import Arguments, human_int, json_value, read_arguments
from kvplan.engines.vllm.command.changes import changed
from kvplan.engines.vllm.command.compilation import read_compilation
from kvplan.engines.vllm.command.environment import read_environment
from kvplan.engines.vllm.command.quantization import asked_format
from kvplan.engines.vllm.command.speculation import read_speculation
from kvplan.engines.vllm.command.table import FlagTable, flags_of, padded
from kvplan.errors import SettingError
from kvplan.launch.command import Command, shown
from kvplan.launch.peel import Launch
from kvplan.launch.text import Text
from kvplan.launch.words import Given

# Flags that are arguments of `kvplan.estimate`.
_SETTINGS = {
    "--tensor-parallel-size": "tensor_parallel",
    "--pipeline-parallel-size": "pipeline_parallel",
    "--data-parallel-size": "data_parallel",
    "--kv-cache-dtype": "kv_dtype",
    "--kv-cache-memory-bytes": "kv_cache_memory",
    "--quantization": "quantization",
}
# Flags that change memory and that no argument here stands for, with the values that change nothing.
_NOT_MODELLED: dict[str, tuple[Any, ...]] = {
    "--async-scheduling": (True,), "--cpu-offload-params": (),
    "--dcp-comm-backend": (), "--diffusion-config": ({}, None), "--disable-chunked-mm-input": (False,),
    "--disable-sliding-window": (False,), "--enable-chunked-prefill": (True,), "--enable-dbo": (False,),
    "--enable-elastic-ep": (False,), "--enable-mamba-shared-prefix-checkpoint": (False,),
    "--enable-prompt-embeds": (False,), "--enable-sleep-mode": (False,), "--enable-tower-connector-lora": (False,),
    "--engram-config": ({}, None), "--fully-sharded-loras": (False,),
    "--hf-config-path": ("", "None"), "--kda-prefill-backend": ("auto",), "--kv-cache-dtype-skip-layers": ([],),
    "--lora-dtype": ("auto",), "--lora-extra-vocab-size": ("256",),
    "--lora-target-modules": (), "--mamba-block-size": ("", "None"),
    "--max-num-scheduled-tokens": ("", "None"), "--mm-encoder-only": (False,), "--mm-ipc-gpu-memory-gb": ("0", "0.0"),
    "--mm-processor-device": ("auto", "cpu"), "--mm-processor-kwargs": ({}, None), "--model-impl": ("auto", "vllm"),
    "--moe-backend": ("auto",), "--offload-backend": ("auto",), "--offload-group-size": ("0",), "--offload-params": ([],),
    "--prefill-context-parallel-size": ("1",), "--quantization-config": ({}, None), "--replayssm-buffer-len": (),
    "--ubatch-size": ("0",), "--use-replayssm": (False,), "--worker-cls": ("auto",),
    "--mla-prefill-backend": (), "--swa-bounded-replay": (False,), "--enable-return-routed-experts": (False,),
    "--enable-mixed-moe-lora-format": (False,), "--kv-sharing-fast-prefill": (False,),
    "--enable-multimodal-encoder-data-parallel": (False,),
    "--num-scheduler-steps": ("1",), "--enable-cumem-allocator": (False,), "--override-attention-dtype": (),
    "--mm-encoder-attn-dtype": (), "--performance-mode": ("balanced",), "--all2all-backend": ("naive", "allgather_reducescatter"),
    "--runner": ("auto", "generate"), "--convert": ("auto", "none"), "--task": ("auto", "generate"),
}  # fmt: skip
# Flags of what plans cannot hold for.
_DEVICES = ("auto", "cuda", "gpu", "rocm")
_DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
_OTHER_MODELS = ("architectures", "model_type", "auto_map")
_PAIRS_GONE = padded("0.10.0")
# From here on YaRN's factor is taken to be in max_position_embeddings already (config/model.py _get_and_verify_max_len).
_YARN_IN_POSITIONS = padded("0.30.0")
# `vllm serve --model M` is refused before this release (utils/argparse_utils.py parse_args).
_MODEL_FLAG = padded("0.11.1")


def read_vllm(launch: Launch, text: str, *, version: str | None, read_file: Callable[[str], str | Text]) -> Command:
    """Return what a launch of vLLM asks for.

    Args:
        launch: the words and what stands around them.
        text: of the whole command.
        version: where the launch names none; None: the newest that kvplan plans.
        read_file: returns the text of the file after --config.

    Raises:
        SettingError: words that vLLM refuses, or that plans cannot hold for.

    """
    engine, latest = find_engine("vllm")
    release = launch.version.value if launch.version else version or latest
    table = flags_of(release)
    found = read_arguments(launch.words, table, read_file)
    command = Command(
        text=text, words=launch.words, engine="vllm", version=launch.version, release=release, gpus=launch.gpus
    )
    for passed in launch.notes:
        command.note(passed)
    if launch.image is not None and launch.version is None and version is None:
        command.note(f"{launch.image.value} names no release; planned as vLLM {latest}")
    command.warnings += found.warnings
    command.left_out += found.left_out
    command.several_nodes = _spans_nodes(launch)
    _read_model(found, launch, table, command)
    _Reader(found, table, command, engine.args).read()
    read_environment(launch.environment, table, command, engine.args)
    _drop_unknown(command, engine.args)
    command.changed = partial(changed, command)
    if (quantization := command.settings.get("quantization")) is not None:
        command.format_of = partial(asked_format, quantization)
    return command


def _spans_nodes(launch: Launch) -> bool:
    texts = [word.text.replace("_", "-") for word in launch.words]
    return any(
        text.startswith(("--nnodes", "--data-parallel-size-local", "--headless")) or text == "ray" for text in texts
    )


def _read_model(found: Arguments, launch: Launch, table: FlagTable, command: Command) -> None:
    by_flag = found.values.get("--model")
    given = found.model or by_flag
    if found.model is not None and by_flag is not None:
        raise SettingError(f"The command names two models: {shown(found.model)} and {by_flag}.", hint="Keep one.")
    if by_flag is not None and launch.subcommand and launch.image is None and table.number < _MODEL_FLAG:
        command.warnings.append(
            f"`vllm serve` of {table.version} takes the model as a word of its own, not by --model."
        )
    if found.model is not None and not launch.subcommand:
        command.warnings.append(
            f"The module leaves {shown(found.model.value)!r} out of account: it takes the model by --model."
        )
    if given is None:
        return
    revision = found.values.get("--revision")
    name = str(given.value)
    if revision is not None and revision.value not in ("", "None", "main") and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        given = Given(f"{name}@{revision.value}", (*given.words, *revision.words))
    command.settings["model"] = given


class _Reader:
    """One pass over the values."""

    def __init__(self, found: Arguments, table: FlagTable, command: Command, args: Mapping[str, ArgSpec]) -> None:
        self.found, self.table, self.command, self.args = found, table, command, args

    def read(self) -> None:
        for name, given in self.found.values.items():
            handler = getattr(self, f"_{name[2:].replace('-', '_')}", None) if name.startswith("--") else None
            argument = name[2:].replace("-", "_")
            if handler is not None:
                handler(given)
            elif name in _SETTINGS:
                if (value := self._value(name, given)) is not None:
                    self.command.settings[_SETTINGS[name]] = Given(value, given.words)
            elif argument in self.args and name not in ("--cudagraph-mode", "--max-cudagraph-capture-size"):
                self._take(argument, name, given)
            elif name in _NOT_MODELLED and given.value not in _NOT_MODELLED[name]:
                self.command.note(f"{shown(given)} counts for memory and is not modelled")
        self._stretch()
        read_compilation(self.found, self.table, self.command)
        read_speculation(self.found, self.command)

    def _take(self, argument: str, name: str, given: Given) -> None:
        """Put an argument of the engine's plan; a value that it has no reading for is said not to be modelled."""
        value, kind = self._value(name, given), self.args[argument].kind
        if value is None:
            return
        if kind is int and isinstance(value, str) and value.isdecimal() and len(value) < 19:
            value = int(value)  # a choice among numbers
        if isinstance(kind, tuple) and value not in kind:
            self.command.note(f"{shown(given)} counts for memory and is not modelled")
            return
        self.command.engine_args[argument] = Given(value, given.words)

    def _value(self, name: str, given: Given) -> Any:
        """Return a value as the flag's kind reads it; None where it is as good as not given."""
        kind, value = self.table.kind(name), given.value
        if not isinstance(value, str) or value in ("", "None"):
            return value if isinstance(value, bool) else None
        try:
            if kind in ("human", "human or auto"):
                return human_int(value)
            if kind == "int" or (kind == "text" and name == "--block-size"):
                return int(value) if len(value) <= 20 else int(value[:0])
            if kind == "float":
                return float(value)
        except ValueError:
            raise _no_number(given, kind or "int", value, self.table.version) from None
        return value

    # -- flags with a reading of their own -------------------------------------------------------------------------------

    def _max_model_len(self, given: Given) -> None:
        value = str(given.value).strip()
        if value in ("", "None"):
            return
        if value == "-1" or value.lower() == "auto":
            if self.table.kind("--max-model-len") != "human or auto":
                raise SettingError(
                    f"vLLM {self.table.version} refuses {given}: it came in 0.14.0.", hint="Give a number of tokens."
                )
            self.command.settings["context"] = Given("auto", given.words)
            return
        number = self._value("--max-model-len", given)
        if number is not None and number < 1:
            raise SettingError(f"{given}: a length of at least 1 was expected.")
        self.command.settings["context"] = Given(number, given.words)

    def _dtype(self, given: Given) -> None:
        value = str(given.value).lower()
        if value not in _DTYPES:
            raise SettingError(f"vLLM refuses {given}.", hint=f"--dtype takes {', '.join(_DTYPES)}.")
        if value != "auto":
            self.command.engine_args["dtype"] = Given(value, given.words)

    def _device(self, given: Given) -> None:
        if str(given.value).partition(":")[0] not in _DEVICES:
            raise SettingError(f"{given}: kvplan plans vLLM on GPUs.", hint="Its memory follows other rules elsewhere.")

    def _load_format(self, given: Given) -> None:
        if given.value == "bitsandbytes" and "--quantization" not in self.found.values:
            self.command.settings["quantization"] = Given("bitsandbytes", given.words)

    def _attention_config(self, given: Given) -> None:
        config = given.value if isinstance(given.value, Mapping) else {}
        backend = config.get("backend")
        if backend and "--attention-backend" not in self.found.values:
            self._attention_backend(Given(str(backend), given.words))
        rest = sorted(str(key) for key in config if key != "backend")
        if rest:
            self.command.note(f"{', '.join(rest)[:60]} of --attention-config may count for memory and is not modelled")

    def _attention_backend(self, given: Given) -> None:
        self.command.engine_args["attention_backend"] = Given(str(given.value), given.words)

    def _kv_transfer_config(self, given: Given) -> None:
        config = json_value(given.value, given) if isinstance(given.value, str) else given.value
        name = config.get("kv_connector") if isinstance(config, Mapping) else None
        if name:
            self.command.engine_args["kv_transfer_config"] = Given(str(name), given.words)

    def _eplb_config(self, given: Given) -> None:
        config = given.value if isinstance(given.value, Mapping) else {}
        count = config.get("num_redundant_experts")
        if isinstance(count, int) and not isinstance(count, bool) and count:
            self.command.engine_args["num_redundant_experts"] = Given(count, given.words)

    def _limit_mm_per_prompt(self, given: Given) -> None:
        stated = _limits(given, self.table)
        limits = {name: _count(each) for name, each in stated.items()}
        if any(isinstance(each, Mapping) and set(each) - {"count"} for each in stated.values()):
            self.command.note(
                f"The sizes of items in {given.words[0].text} are not modelled: the largest ones are planned"
            )
        if "image" in limits:
            self.command.engine_args["limit_images"] = Given(limits["image"], given.words)
        others = sorted(name for name, count in limits.items() if name != "image" and count)
        if others:
            self.command.note(f"The limit of {', '.join(others)[:40]} in {given.words[0].text} is not modelled")
        if limits and not any(limits.values()):
            self.command.engine_args.setdefault("no_items", Given(tuple(sorted(limits)), given.words))

    def _lora_modules(self, given: Given) -> None:
        import os  # noqa: PLC0415  only with adapters

        paths: list[str] = []
        for item in given.value:
            path: Any
            _, equals, path = str(item).partition("=")
            if not equals or "," in item or item.startswith("{"):
                entry = json_value(item, given)
                path = entry.get("path") if isinstance(entry, Mapping) else None
            if not isinstance(path, str) or not path:
                raise SettingError(f"{given.words[0].text} {shown(item)!r} is neither NAME=PATH nor JSON with a path.")
            paths.append(path)
        here = [path for path in paths if os.path.isdir(path)]  # noqa: PTH112  Path.is_dir raises for odd names
        if here:
            self.command.settings["adapters"] = Given(tuple(here), given.words)
        if len(here) < len(paths):
            self.command.note(
                "Adapters that are not on this machine are planned by max_lora_rank, not by their own rank"
            )

    def _hf_overrides(self, given: Given) -> None:
        value = given.value
        if isinstance(value, str):
            value = json_value(value, given)
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise SettingError(f"{shown(given)}: a JSON object was expected.")
        for key, each in value.items():
            if key in _OTHER_MODELS:
                raise SettingError(
                    f"{shown(given)}: another {key} is another model than the configuration's.",
                    hint="Plan that model: give its configuration with --model.",
                )
            self.command.config[key] = Given(each, given.words)

    def _rope_scaling(self, given: Given) -> None:
        if isinstance(given.value, Mapping) and given.value:
            self.command.config["rope_scaling"] = Given(dict(given.value), given.words)

    def _rope_theta(self, given: Given) -> None:
        if (theta := self._value("--rope-theta", given)) is not None:
            self.command.config["rope_theta"] = Given(theta, given.words)

    def _stretch(self) -> None:
        """Note the length that YaRN means before 0.30: its original one times its factor (config/model.py)."""
        if self.table.number >= _YARN_IN_POSITIONS:
            return
        for key in ("rope_scaling", "rope_parameters"):
            given = self.command.config.get(key)
            rope = given.value if given is not None and isinstance(given.value, Mapping) else {}
            original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
            if rope.get("rope_type", rope.get("type")) != "yarn":
                continue
            if isinstance(original, int | float) and isinstance(factor, int | float) and 0 < original * factor < 10**10:
                self.command.longest = int(original * factor)

    def _enable_eplb(self, given: Given) -> None:
        """Balancing alone moves experts and takes no memory here; redundant ones are counted."""


def _limits(given: Given, table: FlagTable) -> Mapping[str, Any]:
    value = given.value
    if isinstance(value, str):
        if "{" not in value and table.number < _PAIRS_GONE:
            return dict(part.partition("=")[::2] for part in value.split(",") if part)
        value = json_value(value, given)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingError(f"{given}: a JSON object was expected.", hint='For example {"image": 2, "video": 0}.')
    return value


def _count(limit: Any) -> int:
    """Return a limit, given as a number or as `{"count": 1, ...}`."""
    if isinstance(limit, Mapping):
        limit = limit.get("count", 1)
    text = str(limit).strip()
    if isinstance(limit, bool) or not text.isdecimal() or len(text) > 9:
        raise SettingError(f"limit_mm_per_prompt holds {shown(limit)!r}; a whole number was expected.")
    return int(text)


def _no_number(given: Given, kind: str, value: str, version: str) -> SettingError:
    if "$" in value:
        return SettingError(
            f"{given}: what {shown(value)} stands for is not known here.", hint="Write the value itself."
        )
    if kind == "int" and re.fullmatch(r"[\d.]+[kKmMgGtT]", value):
        return SettingError(
            f"vLLM {version} refuses {given}: it takes plain numbers here.", hint="Write the number in full."
        )
    if re.fullmatch(r"\d+\.\d+[KMGT]", value):
        return SettingError(
            f"vLLM refuses {given}: binary units take no fraction.",
            hint=f"Did you mean {value[:-1]}{value[-1].lower()}?",
        )
    wanted = {"float": "a number", "int": "a whole number"}.get(
        kind, "a number such as 32768, 32k (32,000) or 32K (32,768)"
    )
    return SettingError(f"{given}: {shown(value)!r} is not {wanted}.")


def _drop_unknown(command: Command, args: Mapping[str, ArgSpec]) -> None:
    """Say of settings that count and that the engine's plan has no argument for that they are not modelled."""
    for name in [name for name in command.engine_args if name not in args and name != "no_items"]:
        given = command.engine_args.pop(name)
        command.note(f"{shown(given)} counts for memory and is not modelled")
