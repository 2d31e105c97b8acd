"""Write ``kvplan/models/defaults.jsonl``: what a transformers configuration means when it is silent.

Made with transformers 5.18.0 (``pip install transformers==5.18.0 torch``); kvplan itself needs neither.

A published ``config.json`` omits every key that has its class's default value.  This tool records those
defaults as facts: for every entry of ``CONFIG_MAPPING_NAMES``, and for every nested configuration class
with a model type of its own, one JSON line::

    {"model_type": "llama", "class": "LlamaConfig",
     "attribute_map": {canonical name: the class's own name},
     "defaults": {field: declared default},
     "required": [fields without a default],            (only where there are any)
     "constants": {plain class attribute: value},       (only where there are any: not settable, but read)
     "sub_configs": {key: model type of the nested configuration, "" where any may be there},
     "maps": ["base", "causal_lm", ...]}                (auto-model mappings that hold this type)

A nested configuration without a model type has its defaults inside its parent's ``defaults``.

Defaults are the *declared* ones of the dataclass, not the values that ``__post_init__`` computes from them
(``head_dim``, ``layer_types`` ... stay null).  Left out are fields that say nothing about shapes or layers:
token ids, dropout, initialisation, outputs, labels, epsilons.  ``tie_word_embeddings`` and
``is_encoder_decoder`` are always there; a class that declares no ``tie_word_embeddings`` has the value its
instances have (transformers reads a missing one as false).

The first line has the model type "" and names the source; the others are sorted by model type and each
starts with ``{"model_type":"<type>",`` so that a reader can find one without parsing the file.

    python tools/extract_defaults.py [output]
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import transformers
from transformers import PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

logging.disable(logging.WARNING)

OUTPUT = Path(__file__).resolve().parent.parent / "kvplan" / "models" / "defaults.jsonl"

SKIPPED_NAMES = {
    "transformers_version",
    "architectures",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
    "dtype",
    "torch_dtype",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "use_cache",
    "name_or_path",
    "tokenizer_class",
    "prefix",
    "suffix",
    "task_specific_params",
}
SKIPPED_PATTERN = re.compile(
    r"(^|_)(token|tokens)_(id|ids|idx|index|indices)$|^mask_token$|^cls_token$"
    r"|(^|_)(bos|eos|pad|sep|cls|unk|mask)_(idx|index|id)$"
    r"|dropout|layerdrop|layer_drop|_pdrop$|drop_path|(^|_)drop_rate$|^embed_drop$"
    r"|^init_|initializer|init_std|(^|_)init_scale"
    r"|_eps$|_epsilon$|^eps$"
    r"|^output_(hidden_states|\w*attentions|\w*logits|retrieved|segmentation|range|sampling_rate)$"
    r"|^return_|(^|_)loss(_|$)|label_smoothing"
    r"|^mask_(time|feature)_(length|prob|min_masks)$|^apply_spec_augment"
    r"|^summary_|^forced_|^(begin_)?suppress_"
)
BASE_FIELDS_KEPT = {"is_encoder_decoder"}
MAP_NAMES = {"": "base", "SEQ_TO_SEQ_CAUSAL_LM": "seq2seq_lm", "SPEECH_SEQ_2_SEQ": "speech_seq2seq"}


class NotPlainError(Exception):
    """A value that JSON cannot hold as it is."""


def plain(value: Any) -> Any:
    """Give the value as JSON data, or raise NotPlainError."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotPlainError
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    raise NotPlainError


def is_skipped(name: str) -> bool:
    """Tell whether a field says nothing about shapes or layers."""
    return name.startswith("_") or name in SKIPPED_NAMES or bool(SKIPPED_PATTERN.search(name))


def instance_of(cls: type[PreTrainedConfig]) -> PreTrainedConfig | None:
    """Make the default configuration, where the class can be built without arguments."""
    try:
        return cls()
    except Exception:  # noqa: BLE001 - some need arguments or other packages
        return None


def declared_defaults(cls: type[PreTrainedConfig]) -> tuple[dict[str, Any], list[str]]:
    """Give the architectural fields' declared defaults, and the fields that have none."""
    base = {field.name: field.default for field in dataclasses.fields(PreTrainedConfig)}
    nested = set(cls.sub_configs)
    defaults: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(cls):
        name = field.name
        if name in nested or is_skipped(name):
            continue
        if name in base and name not in BASE_FIELDS_KEPT and field.default == base[name]:
            continue
        if field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            required.append(name)
            continue
        try:
            defaults[name] = plain(value)
        except NotPlainError:
            continue
    return defaults, required


def class_constants(cls: type[PreTrainedConfig]) -> dict[str, Any]:
    """Find plain attributes of the class that are no fields: values that a configuration file cannot set by field."""
    known = {field.name for field in dataclasses.fields(cls)} | {
        "model_type",
        "base_config_key",
        "sub_configs",
        "has_no_defaults_at_init",
        "keys_to_ignore_at_inference",
        "attribute_map",
        "is_composition",
    }
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, PreTrainedConfig) or owner is PreTrainedConfig:
            continue
        for name, value in vars(owner).items():
            if name in known or is_skipped(name) or "_plan" in name or callable(value):
                continue
            if isinstance(value, property | classmethod | staticmethod):
                continue
            try:
                found[name] = plain(value)
            except NotPlainError:
                continue
    return found


def nested_types(cls: type[PreTrainedConfig], instance: PreTrainedConfig | None) -> dict[str, str]:
    """Give the model type of each nested configuration: the default instance's, or else the declared class's."""
    found: dict[str, str] = {}
    for key, declared in cls.sub_configs.items():
        value = getattr(instance, key, None) if instance is not None else None
        if isinstance(value, PreTrainedConfig):
            found[key] = value.model_type
        elif isinstance(value, dict) and value.get("model_type"):
            found[key] = value["model_type"]
        else:
            found[key] = getattr(declared, "model_type", "") or ""
    return found


def auto_maps() -> dict[str, list[str]]:
    """Give for each model type the auto-model mappings that hold it."""
    maps: dict[str, list[str]] = {}
    for name, mapping in vars(modeling_auto).items():
        match = re.fullmatch(r"MODEL_(?:FOR_)?(.*?)_?MAPPING_NAMES", name)
        if match is None or name == "CONFIG_MAPPING_NAMES":
            continue
        label = MAP_NAMES.get(match.group(1), match.group(1).lower())
        for model_type in mapping:
            maps.setdefault(model_type, []).append(label)
    return maps


def all_classes() -> dict[str, type[PreTrainedConfig]]:
    """Find every configuration class by model type: the registered ones, then nested ones with their own type."""
    classes = {model_type: CONFIG_MAPPING[model_type] for model_type in CONFIG_MAPPING_NAMES}
    modules = {cls.__module__ for cls in classes.values()}
    pending: list[type] = list(classes.values())
    for module in sorted(modules):
        found = vars(importlib.import_module(module)).values()
        pending.extend(value for value in found if isinstance(value, type) and issubclass(value, PreTrainedConfig))
    seen: set[type] = set()
    while pending:
        cls = pending.pop(0)
        if cls in seen:
            continue
        seen.add(cls)
        pending.extend(
            sub for sub in cls.sub_configs.values() if isinstance(sub, type) and issubclass(sub, PreTrainedConfig)
        )
        if cls.model_type:
            classes.setdefault(cls.model_type, cls)
    return classes


def row(model_type: str, cls: type[PreTrainedConfig], maps: dict[str, list[str]]) -> dict[str, Any]:
    """Make one line of the file."""
    instance = instance_of(cls)
    defaults, required = declared_defaults(cls)
    if "tie_word_embeddings" not in defaults:
        defaults["tie_word_embeddings"] = bool(getattr(instance, "tie_word_embeddings", False))
    defaults.setdefault("is_encoder_decoder", bool(getattr(cls, "is_encoder_decoder", False)))
    found: dict[str, Any] = {
        "model_type": model_type,
        "class": cls.__name__,
        "attribute_map": dict(cls.attribute_map),
        "defaults": defaults,
    }
    if required:
        found["required"] = required
    constants = class_constants(cls)
    if constants:
        found["constants"] = constants
    found["sub_configs"] = nested_types(cls, instance)
    for key, nested_type in list(found["sub_configs"].items()):
        if not nested_type and dataclasses.is_dataclass(cls.sub_configs[key]):
            # No type, so no line of its own: its defaults are told here.
            del found["sub_configs"][key]
            defaults[key] = declared_defaults(cls.sub_configs[key])[0]
    found["maps"] = maps.get(model_type, [])
    return found


def main(arguments: list[str]) -> int:
    """Write the file."""
    output = Path(arguments[0]) if arguments else OUTPUT
    maps = auto_maps()
    classes = all_classes()
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8") as file:
        head = {
            "model_type": "",
            "source": f"transformers {transformers.__version__} configuration classes (declared field defaults)",
            "tool": "tools/extract_defaults.py",
            "types": len(classes),
        }
        for line in [head, *(row(name, classes[name], maps) for name in sorted(classes))]:
            file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
    print(f"{len(classes)} model types, {output.stat().st_size} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
