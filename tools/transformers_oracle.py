"""Ask transformers itself: the parameters and the cache of a configuration, measured on the meta device.

An opt-in cross-check (``pip install kvplan[oracle]``): nothing is downloaded and no weights are allocated.
For each configuration the language-model class is built in bf16 on the meta device and a real prefill is run
with the model's own default cache at several lengths.  Every tensor that can be reached in the cache object is
counted, an aliased one once.  One JSON line per configuration::

    {"model": name, "source": ..., "transformers": version, "model_type": ..., "class_": ..., "config": {...},
     "params_total": tied parameters counted once, "tied": output embedding is the input embedding,
     "tied_names": {duplicate name: count}, "params": [{"name", "shape", "count", "at"?, "dtype"?}],
     "buffers": the same for persistent buffers, "persistent_buffer_elems": n,
     "window": W or null, "cache_class": ..., "cache_layers": {layer class: layer indices},
     "cache_points": [{"seq", "bytes", "dtype", "storage_bytes_after_prefill", "by_kind", "shapes"}],
     "measured_on": what ran (the model, its decoder, the text configuration's class), "seconds": s}

In ``params`` numeric name parts are ``{}``; ``at`` lists the values of the first one (layers) where the entry does
not hold for all of them.  Failures are recorded in the row (``error``, or ``error`` in one cache point).
Encoder-decoder models get encoder states of ``--encoder-length`` positions (Whisper: its own 1,500).

    python tools/transformers_oracle.py --types llama gemma3_text --output rows.jsonl
    python tools/transformers_oracle.py --maps causal_lm seq2seq_lm --output rows.jsonl --listings params/
    python tools/transformers_oracle.py path/to/config.json ... --lengths 64 2048
    python tools/transformers_oracle.py --jsonl variants.jsonl      (lines {"model": name, "config": {...}})
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import inspect
import itertools
import json
import logging
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator  # noqa: TC003
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import torch.fx.experimental._config as fx_config
import transformers
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

logging.disable(logging.WARNING)

MAPS = {
    "causal_lm": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "seq2seq_lm": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "image_text_to_text": modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    "speech_seq2seq": modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    "multimodal_lm": modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    "masked_lm": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "pretraining": modeling_auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
    "base": modeling_auto.MODEL_MAPPING_NAMES,
}
AUTO_CLASSES = {
    "causal_lm": transformers.AutoModelForCausalLM,
    "seq2seq_lm": transformers.AutoModelForSeq2SeqLM,
    "image_text_to_text": transformers.AutoModelForImageTextToText,
    "speech_seq2seq": transformers.AutoModelForSpeechSeq2Seq,
    "multimodal_lm": transformers.AutoModelForMultimodalLM,
    "masked_lm": transformers.AutoModelForMaskedLM,
    "pretraining": transformers.AutoModelForPreTraining,
    "base": transformers.AutoModel,
}
ENCODER_DECODER_ORDER = ["seq2seq_lm", "speech_seq2seq", "image_text_to_text", "multimodal_lm", "causal_lm", "base"]
COMPOSITE_ORDER = ["image_text_to_text", "multimodal_lm", "speech_seq2seq", "causal_lm", "seq2seq_lm", "base"]
PLAIN_ORDER = ["causal_lm", "image_text_to_text", "multimodal_lm", "seq2seq_lm", "speech_seq2seq", "masked_lm", "base"]

CACHE_FIELDS = ("past_key_values", "cache_params", "state", "past_buckets_states", "mems", "decoder_past_key_values")
ALIASES = {"kimi_k2": "deepseek_v3"}  # remote-code names of an architecture that the library has
CPU_FALLBACK_MAX_PARAMS = 700_000_000
LAST_LENGTH = 2048
PASSED_IN = "cache passed in"


class ModelTimeoutError(Exception):
    """The model's time is over."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ModelTimeoutError in the block after so many seconds."""

    def stop(*_: Any) -> None:
        raise ModelTimeoutError(f"stopped after {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def strict_json(value: Any) -> Any:
    """Make JSON data: non-finite floats and unknown objects become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [strict_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def error_text(error: BaseException) -> str:
    """Give type and message, shortened."""
    return f"{type(error).__name__}: {str(error).strip()[:300]}"


def dtype_name(dtype: torch.dtype) -> str:
    """Give the name without the library."""
    return str(dtype).removeprefix("torch.")


# ---------------------------------------------------------------- configurations and classes


def spelled_out(value: Any) -> Any:
    """Read "true" and "false" in quotes as what they mean: some published files have them."""
    if isinstance(value, dict):
        return {key: spelled_out(item) for key, item in value.items()}
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def config_from_dict(data: dict[str, Any]) -> PreTrainedConfig:
    """Make the configuration object; without remote code and without quantisation."""
    model_type = ALIASES.get(data.get("model_type", ""), data.get("model_type"))
    if model_type == "ministral3" and "text_config" in data:
        model_type = "mistral3"  # published under the text part's name
    if not model_type:
        raise KeyError("the configuration names no model_type")
    if model_type not in CONFIG_MAPPING_NAMES:
        raise KeyError(f"model_type {model_type} not supported by transformers {transformers.__version__}")
    data = {key: value for key, value in data.items() if key not in ("auto_map", "quantization_config")}
    data["model_type"] = model_type
    return CONFIG_MAPPING[model_type].from_dict(copy.deepcopy(spelled_out(data)))


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Give the decoder's own configuration, or the configuration itself."""
    try:
        return config.get_text_config(decoder=True)
    except Exception:  # noqa: BLE001 - a composite without a text part
        return config


def model_map(config: PreTrainedConfig, model_type: str) -> str:
    """Choose the auto-model mapping to build the configuration with."""
    architectures = config.architectures or []
    if config.is_encoder_decoder:
        order = ENCODER_DECODER_ORDER
    elif text_config(config) is not config:
        order = COMPOSITE_ORDER
    else:
        order = PLAIN_ORDER
    holding = [name for name in order if model_type in MAPS[name]]
    for name in [*holding, *(name for name in MAPS if model_type in MAPS[name])]:
        names = MAPS[name][model_type]
        if any(item in architectures for item in ([names] if isinstance(names, str) else names)):
            return name
    if not holding:
        raise KeyError(f"no auto-model mapping holds {model_type}")
    return holding[0]


def build(
    config: PreTrainedConfig, name: str, device: str = "meta", experts: str | None = "batched_mm"
) -> torch.nn.Module:
    """Build the model in bf16 with eager attention."""
    options: dict[str, Any] = {"attn_implementation": "eager", "dtype": torch.bfloat16}
    if experts is not None:
        options["experts_implementation"] = experts
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            try:
                model = AUTO_CLASSES[name].from_config(copy.deepcopy(config), **options)
            except (ValueError, TypeError) as error:
                if experts is None or "expert" not in str(error).lower():
                    raise
                options.pop("experts_implementation")
                model = AUTO_CLASSES[name].from_config(copy.deepcopy(config), **options)
    finally:
        torch.set_default_dtype(torch.float32)
    return model.eval()


# ---------------------------------------------------------------- parameters


def ranges(values: list[int]) -> str:
    """Write [0, 1, 2, 5] as "0-2,5"; an even stride of three or more as "0-30/6"."""
    values = sorted(set(values))
    if len(values) > 2 and len({b - a for a, b in itertools.pairwise(values)}) == 1 and values[1] - values[0] > 1:
        return f"{values[0]}-{values[-1]}/{values[1] - values[0]}"
    parts: list[str] = []
    start = last = None
    for value in [*values, None]:
        if start is not None and value is not None and value == last + 1:
            last = value
            continue
        if start is not None:
            parts.append(str(start) if start == last else f"{start}-{last}")
        start = last = value
    return ",".join(parts)


def compressed(tensors: list[tuple[str, torch.Tensor]]) -> list[dict[str, Any]]:
    """List named tensors with numeric name parts collapsed, in order of first appearance."""
    entries: dict[tuple[str, tuple[int, ...], str], dict[str, Any]] = {}
    stacks: dict[str, set[int]] = {}
    for name, tensor in tensors:
        first = re.search(r"(?:^|\.)(\d+)(?=\.|$)", name)
        pattern = re.sub(r"(^|\.)\d+(?=\.|$)", r"\1{}", name)
        entry = entries.setdefault((pattern, tuple(tensor.shape), dtype_name(tensor.dtype)), {"count": 0, "at": []})
        entry["count"] += 1
        if first:
            entry["at"].append(int(first.group(1)))
            stacks.setdefault(pattern.split("{}")[0], set()).add(int(first.group(1)))
    rows: list[dict[str, Any]] = []
    for (pattern, shape, dtype), entry in entries.items():
        row: dict[str, Any] = {"name": pattern, "shape": list(shape), "count": entry["count"]}
        if entry["at"] and set(entry["at"]) != stacks[pattern.split("{}")[0]]:
            row["at"] = ranges(entry["at"])
        if dtype != "bfloat16":
            row["dtype"] = dtype
        rows.append(row)
    return rows


def parameter_facts(model: torch.nn.Module) -> dict[str, Any]:
    """Count and list parameters and persistent buffers."""
    named = list(model.named_parameters())
    once = {name for name, _ in named}
    duplicates = [name for name, _ in model.named_parameters(remove_duplicate=False) if name not in once]
    persistent = set(model.state_dict().keys())
    buffers = [(name, tensor) for name, tensor in model.named_buffers() if name in persistent]
    tied = False
    with contextlib.suppress(Exception):
        output = model.get_output_embeddings()
        tied = output is not None and output.weight is model.get_input_embeddings().weight
    names = Counter(re.sub(r"(^|\.)\d+(?=\.|$)", r"\1{}", name) for name in duplicates)
    return {
        "params_total": sum(parameter.numel() for _, parameter in named),
        "weight_bytes_as_built": sum(parameter.numel() * parameter.element_size() for _, parameter in named),
        "tied": bool(tied),
        "tied_names": dict(names),
        "persistent_buffer_elems": sum(tensor.numel() for _, tensor in buffers),
        "params": compressed(named),
        "buffers": compressed(buffers),
    }


# ---------------------------------------------------------------- caches


def reachable_tensors(value: Any, kind: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, torch.Tensor]]:
    """Find every state tensor in a cache object with the attribute it was found under; bookkeeping numbers left out."""
    seen = set() if seen is None else seen
    if isinstance(value, torch.Tensor):
        if value.numel() and not (value.dim() == 0 and not value.is_floating_point()):
            yield kind, value
        return
    if value is None or isinstance(value, str | bytes | bool | int | float | torch.device | torch.dtype | type):
        return
    if isinstance(value, PreTrainedConfig | torch.nn.Module) or (callable(value) and not hasattr(value, "layers")):
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for key, item in value.items():
            below = "" if key == "cache" else str(key)
            yield from reachable_tensors(item, below if kind in ("", "legacy") else kind, seen)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from reachable_tensors(item, kind, seen)
    elif hasattr(value, "__dict__"):
        for name, item in vars(value).items():
            if name.startswith("_") and not isinstance(value, list):
                continue
            if name == "layers":
                below = kind
            elif name in ("self_attention_cache", "cross_attention_cache"):
                below = name.split("_")[0]
            else:
                below = f"{kind}.{name}" if kind in ("self", "cross") else name
            yield from reachable_tensors(item, below, seen)


def cache_facts(cache: Any) -> dict[str, Any]:
    """Count the bytes of a cache by kind and shape."""
    by_kind: Counter[str] = Counter()
    shapes: dict[str, Counter[str]] = {}
    dtypes: Counter[str] = Counter()
    storages: dict[int, int] = {}
    counted: set[tuple[Any, ...]] = set()
    if (
        isinstance(cache, list | tuple)
        and cache
        and all(isinstance(item, list | tuple) and len(item) in (2, 4) for item in cache)
    ):
        cache = {
            "legacy": [
                dict(zip(("self.keys", "self.values", "cross.keys", "cross.values"), item, strict=False))
                for item in cache
            ]
        }
    for found_as, tensor in reachable_tensors(cache):
        kind = found_as or "state"
        storage = tensor.untyped_storage()
        address = storage._cdata  # noqa: SLF001 - what tells storages apart where no memory is
        key = (address, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        if key in counted:
            continue
        counted.add(key)
        storages[address] = storage.nbytes()
        size = tensor.numel() * tensor.element_size()
        by_kind[kind] += size
        dtypes[dtype_name(tensor.dtype)] += size
        shapes.setdefault(kind, Counter())[f"{tuple(tensor.shape)}:{dtype_name(tensor.dtype)}"] += 1
    return {
        "bytes": sum(by_kind.values()),
        "dtype": "+".join(sorted(dtypes)),
        "storage_bytes_after_prefill": sum(storages.values()),
        "by_kind": dict(by_kind),
        "shapes": {kind: dict(found) for kind, found in shapes.items()},
    }


def cache_layers(cache: Any) -> dict[str, str]:
    """Tell which layer class each layer of the cache has."""
    found: dict[str, list[int]] = {}
    part = getattr(cache, "self_attention_cache", cache)
    for index, layer in enumerate(getattr(part, "layers", None) or []):
        found.setdefault(type(layer).__name__, []).append(index)
    return {name: ranges(indices) for name, indices in found.items()}


def cache_in(output: Any) -> Any:
    """Find the cache in a model's output."""
    for name in CACHE_FIELDS:
        value = getattr(output, name, None)
        if value is not None:
            return value
    raise LookupError("the model returned no cache")


@contextlib.contextmanager
def meta_answers() -> Iterator[None]:
    """Answer data-dependent questions to meta tensors with False and 0 (last resort: shapes only are measured)."""
    old_bool, old_item, old_list = torch.Tensor.__bool__, torch.Tensor.item, torch.Tensor.tolist
    old_nonzero = fx_config.meta_nonzero_assume_all_nonzero
    fx_config.meta_nonzero_assume_all_nonzero = True
    torch.Tensor.__bool__ = lambda self: False if self.is_meta else old_bool(self)
    torch.Tensor.item = lambda self: 0 if self.is_meta else old_item(self)
    torch.Tensor.tolist = lambda self: (
        torch.zeros(self.shape, dtype=self.dtype, device="cpu").tolist() if self.is_meta else old_list(self)
    )
    try:
        yield
    finally:
        torch.Tensor.__bool__, torch.Tensor.item, torch.Tensor.tolist = old_bool, old_item, old_list
        fx_config.meta_nonzero_assume_all_nonzero = old_nonzero


def bypass(model: torch.nn.Module, wanted: str, pair: bool) -> int:
    """Let modules whose class name matches return their input: the mixture's routing needs data, the cache does not."""
    count = 0
    for module in model.modules():
        name = type(module).__name__
        if re.search(wanted, name) and not re.search(
            r"Attention|Layer$|Model$|Block$(?<!MoeBlock)|For[A-Z]|ModuleList|Router|Gate$", name
        ):
            module.forward = (
                (lambda hidden_states, *_, **__: (hidden_states, None))
                if pair
                else (lambda hidden_states, *_, **__: hidden_states)
            )
            count += 1
    return count


def encoder_positions(config: PreTrainedConfig, length: int) -> int:
    """Give the number of encoder states that the cross-attention sees."""
    if config.model_type == "whisper":
        return int(config.max_source_positions)
    return length


def encoder_width(config: PreTrainedConfig) -> int:
    """Give the width of the encoder's states."""
    places = [getattr(config, name, None) for name in ("encoder", "encoder_config")]
    for place in (*places, config, getattr(config, "text_config", None)):
        for name in ("d_model", "encoder_hidden_size", "hidden_size"):
            value = place.get(name) if isinstance(place, dict) else getattr(place, name, None)
            if isinstance(value, int):
                return value
    raise LookupError("no encoder width")


def module_states(model: torch.nn.Module) -> dict[str, list[torch.Tensor]]:
    """Find state tensors that modules keep as plain attributes."""
    found: dict[str, list[torch.Tensor]] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor) and "state" in name:
                found.setdefault(name, []).append(value)
    return found


def prefill(
    model: torch.nn.Module, config: PreTrainedConfig, length: int, encoder_length: int, device: str, *, how: str = ""
) -> Any:
    """Run one prefill with the model's default cache (or one passed in, as ``generate`` does); its cache."""
    ids = torch.zeros((1, length), dtype=torch.long, device=device)
    attempts: list[dict[str, Any]] = []
    if how == "decoder alone" and config.is_encoder_decoder:
        width = encoder_width(config)
        states = torch.zeros((1, encoder_positions(config, encoder_length), width), dtype=torch.bfloat16, device=device)
        attempts.append({"input_ids": ids, "encoder_hidden_states": states})
    elif config.is_encoder_decoder:
        positions = encoder_positions(config, encoder_length)
        with contextlib.suppress(LookupError):
            states = torch.zeros((1, positions, encoder_width(config)), dtype=torch.bfloat16, device=device)
            outputs = BaseModelOutput(last_hidden_state=states)
            object.__setattr__(outputs, "attention_mask", None)  # some models ask the encoder's output for it
            attempts.append({"encoder_outputs": outputs, "decoder_input_ids": ids})
        encoder_ids = torch.zeros((1, positions), dtype=torch.long, device=device)
        attempts.append({"input_ids": encoder_ids, "decoder_input_ids": ids})
    else:
        attempts.append({"input_ids": ids})
        codebooks = getattr(config, "num_codebooks", None)
        if isinstance(codebooks, int):
            attempts.append({"input_ids": ids.unsqueeze(-1).expand(1, length, codebooks + 1)})
    parameters = inspect.signature(model.forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    failure: Exception | None = None
    for inputs in attempts:
        if not takes_any and not set(inputs) <= set(parameters):
            failure = failure or TypeError(f"forward takes no {sorted(set(inputs) - set(parameters))}")
            continue
        if "use_mems" in parameters:
            inputs["use_mems"] = True
        try:
            with torch.no_grad():
                if how.endswith(PASSED_IN):
                    cache = transformers.DynamicCache(config=text_config(config))
                    model(**inputs, past_key_values=cache, use_cache=True, return_dict=True)
                    states = module_states(model)
                    if not states:
                        raise LookupError("the model filled no cache and keeps no state")  # noqa: TRY301
                    return {**states, "cache": cache}
                return cache_in(model(**inputs, use_cache=True, return_dict=True))
        except ModelTimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - recorded in the row
            failure = failure or error
    raise failure or LookupError("nothing to run")


def candidates(
    model: torch.nn.Module, config: PreTrainedConfig, name: str, params_total: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give ways to run a prefill, best first: (what, a function that gives (model, config, device, context))."""
    nothing = contextlib.nullcontext
    yield "model", lambda: (model, config, "meta", nothing)
    yield f"model, {PASSED_IN}", lambda: (model, config, "meta", nothing)
    yield "model, answers assumed", lambda: (model, config, "meta", meta_answers)
    for wanted, pair, label in (
        (r"Experts", False, "experts"),
        (r"Moe|MoE|MOE|Experts", False, "mixture blocks"),
        (r"Moe|MoE|MOE", True, "mixture blocks, pairs"),
    ):

        def bypassed(wanted: str = wanted, pair: bool = pair) -> Any:
            """Build once more, with the mixture's modules bypassed."""
            other = build(config, name)
            if not bypass(other, wanted, pair):
                raise LookupError("nothing to bypass")
            return other, config, "meta", meta_answers

        yield f"model, {label} bypassed", bypassed
    text = text_config(config)
    if text is not config:

        def text_model() -> Any:
            found = next((m for m in ("causal_lm", "seq2seq_lm", "base") if text.model_type in MAPS[m]), None)
            if found is None:
                raise LookupError(f"no mapping holds {text.model_type}")
            return build(text, found), text, "meta", nothing

        yield "text configuration alone", text_model

        def decoder() -> Any:
            getters = (
                lambda: model.thinker,
                model.get_decoder,
                lambda: model.language_model,
                lambda: model.model.language_model,
            )
            for getter in getters:
                with contextlib.suppress(Exception):
                    part = getter()
                    if part is not None and part is not model:
                        return part, part.config, "meta", meta_answers
            raise LookupError("no decoder")

        yield "decoder alone", decoder
    if params_total <= CPU_FALLBACK_MAX_PARAMS:

        def on_cpu() -> Any:
            return build(config, name, "cpu", None), config, "cpu", nothing

        yield "model on the CPU", on_cpu


def wanted_lengths(config: PreTrainedConfig, given: list[int] | None) -> tuple[list[int], int | None]:
    """Choose prefill lengths, some around the window; and give the window."""
    text = text_config(config)
    window = None
    for key in ("sliding_window", "attention_chunk_size", "local_window_size"):
        value = getattr(text, key, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            window = value
            break
    lengths = set(given or [64, 100, LAST_LENGTH])
    if window and window <= 65536:
        lengths |= {window + 1} if given else {max(1, window - 1), window, window + 1}
    return sorted(lengths), window


def measure_cache(
    row: dict[str, Any],
    model: torch.nn.Module,
    config: PreTrainedConfig,
    name: str,
    *,
    options: argparse.Namespace,
    deadline: float,
) -> None:
    """Run prefills and write what they left in the cache into the row."""
    lengths, row["window"] = wanted_lengths(config, options.lengths)
    row["cache_points"] = []
    first = lengths[0]
    failures: list[str] = []
    for what, prepare in candidates(model, config, name, row["params_total"]):
        try:
            runner, run_config, device, context = prepare()
            if what.endswith(PASSED_IN) and not (failures and "no cache" in failures[0]):
                continue
            with context():
                prefill(runner, run_config, first, options.encoder_length, device, how=what)
        except ModelTimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - recorded in the row
            failures.append(f"{what}: {error_text(error)}")
            if isinstance(error, LookupError) and "no cache" in str(error) and what != "model":
                break
            continue
        row["measured_on"] = what
        if config.is_encoder_decoder:
            row["encoder_length"] = encoder_positions(config, options.encoder_length)
        spent = 0.0
        previous = 0
        for length in lengths:
            left = deadline - time.monotonic()
            if previous and spent * max(1.0, length / previous) > left:
                row["cache_points"].append({"seq": length, "error": f"left out: the shorter run took {spent:.0f} s"})
                continue
            started = time.monotonic()
            try:
                with context():
                    cache = prefill(runner, run_config, length, options.encoder_length, device, how=what)
                row.setdefault("cache_class", type(cache).__name__)
                row.setdefault("cache_layers", cache_layers(cache))
                row["cache_points"].append({"seq": length, **cache_facts(cache)})
            except ModelTimeoutError:
                row["cache_points"].append({"seq": length, "error": "timeout"})
                raise
            except Exception as error:  # noqa: BLE001 - recorded in the row
                row["cache_points"].append({"seq": length, "error": error_text(error)})
            spent, previous = time.monotonic() - started, length
        break
    else:
        failures.append("no way to run worked")
    if not row["cache_points"]:
        row["cache_error"] = failures[0] if len(failures) == 1 else failures
    elif failures:
        row["failed_before"] = failures


def measure(
    label: str,
    source: str,
    make_config: Callable[[], PreTrainedConfig],
    options: argparse.Namespace,
    model_type: str | None = None,
) -> dict[str, Any]:
    """Make one row: build, count, run."""
    row: dict[str, Any] = {"model": label, "source": source, "transformers": transformers.__version__}
    started = time.monotonic()
    try:
        with time_limit(options.timeout):
            config = make_config()
            row["model_type"] = model_type or config.model_type
            row["config"] = strict_json(config.to_dict())
            name = model_map(config, row["model_type"])
            row["map"] = name
            model = build(config, name)
            row["class_"] = type(model).__name__
            row.update(parameter_facts(model))
            measure_cache(row, model, config, name, options=options, deadline=started + options.timeout)
    except ModelTimeoutError as error:
        row["error"] = f"timeout: {error}"
    except Exception as error:  # noqa: BLE001 - recorded in the row
        row["error"] = error_text(error)
    row["seconds"] = round(time.monotonic() - started, 1)
    return row


# ---------------------------------------------------------------- output


def listing(row: dict[str, Any]) -> str:
    """Write a row for people."""
    lines = [f"{row['model']}  ({row.get('model_type')}, {row.get('class_')}, transformers {row['transformers']})"]
    if "error" in row:
        lines.append(f"ERROR {row['error']}")
    if "cache_error" in row:
        lines.append(f"CACHE ERROR {row['cache_error']}")
    lines.append(f"params_total {row.get('params_total')}  tied {row.get('tied')} {row.get('tied_names') or ''}")
    lines.append(f"window {row.get('window')}  cache {row.get('cache_class')} {row.get('cache_layers') or ''}")
    lines.append(f"measured on: {row.get('measured_on')}")
    for point in row.get("cache_points", []):
        if "error" in point:
            lines.append(f"  seq {point['seq']}: {point['error']}")
            continue
        shapes = "; ".join(
            f"{kind} " + ", ".join(f"{count}x{shape}" for shape, count in found.items())
            for kind, found in point["shapes"].items()
        )
        lines.append(f"  seq {point['seq']}: {point['bytes']} bytes: {shapes}")
    lines.append("\nconfiguration")
    for key, value in row.get("config", {}).items():
        if value not in (None, False, {}, [], "") and key not in (
            "transformers_version",
            "id2label",
            "label2id",
            "return_dict",
        ):
            text = json.dumps(value)
            lines.append(f"  {key} = {text if len(text) < 1500 else text[:1500] + ' ...'}")
    for title in ("params", "buffers"):
        lines.append(f"\n{title}: name, shape, count, layers where not all")
        for entry in row.get(title, []):
            extra = "  ".join(str(entry[key]) for key in ("at", "dtype") if key in entry)
            lines.append(f"  {entry['name']:<70} {entry['shape']!s:<24} {entry['count']:>6}  {extra}".rstrip())
    return "\n".join(lines) + "\n"


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], PreTrainedConfig], str | None]]:
    """List what to measure: label, source, a function that makes the configuration, and its type if known."""
    types = list(options.types)
    for name in options.maps:
        types.extend(model_type for model_type in MAPS[name] if model_type not in types)
    for model_type in types:
        yield model_type, "class default", (lambda t=model_type: CONFIG_MAPPING[t]()), model_type
    for path in options.configs:
        yield path.stem, path.name, (lambda p=path: config_from_dict(json.loads(p.read_text(encoding="utf-8")))), None
    for path in options.jsonl:
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            yield item["model"], path.name, (lambda c=item["config"]: config_from_dict(c)), None


def main(arguments: list[str] | None = None) -> int:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configs", nargs="*", type=Path, help="config.json files")
    parser.add_argument("--types", nargs="*", default=[], help="model types, with their class's defaults")
    parser.add_argument(
        "--maps", nargs="*", default=[], choices=sorted(MAPS), help="all model types of these auto-model mappings"
    )
    parser.add_argument(
        "--jsonl", nargs="*", default=[], type=Path, help='files of {"model": name, "config": {...}} lines'
    )
    parser.add_argument(
        "--lengths", nargs="*", type=int, help="prefill lengths (default 64, 100, 2048 and around the window)"
    )
    parser.add_argument("--encoder-length", type=int, default=512)
    parser.add_argument("--timeout", type=float, default=120, help="seconds per configuration")
    parser.add_argument("--output", type=Path, help="JSON lines, appended to; rows already there are not repeated")
    parser.add_argument("--listings", type=Path, help="folder for one readable text per configuration")
    options = parser.parse_args(arguments)

    done: set[str] = set()
    if options.output is not None and options.output.exists():
        done = {json.loads(line)["model"] for line in options.output.read_text(encoding="utf-8").splitlines()}
    if options.listings is not None:
        options.listings.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(options.output.open("a", encoding="utf-8")) if options.output else sys.stdout
        for label, source, make_config, model_type in jobs(options):
            if label in done:
                continue
            row = measure(label, source, make_config, options, model_type)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            if options.listings is not None:
                (options.listings / f"{label.replace('/', '_')}.txt").write_text(listing(row), encoding="utf-8")
            state = row.get("error") or row.get("cache_error") or row.get("measured_on")
            print(
                f"{label}: {row['seconds']} s, {row.get('params_total')} parameters, {state}",
                file=sys.stderr,
                flush=True,
            )
            gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
