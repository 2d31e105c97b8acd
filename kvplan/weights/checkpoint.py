"""Which weight format a published checkpoint has, from its own quantisation section."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvplan.dtypes import Dtype
from kvplan.errors import SettingError
from kvplan.models.spec import ModelSpec
from kvplan.weights.formats import WeightFormat, find_format


def published_format(model: ModelSpec, plain: Dtype) -> tuple[WeightFormat, int] | None:
    """Return the format the checkpoint is published in, and the bytes of a number it leaves alone.

    A checkpoint that is not quantised is loaded in `plain`, the engine's number format for this model.

    None where its quantisation section states no width that a rule here establishes: the weights are then unknown.
    """
    if model.published_as is not None:
        return find_format(model.published_as)
    section = model.quantization
    if not section:
        return WeightFormat(
            name=plain.name, bits=8 * plain.block_bytes, source="the configuration's dtype"
        ), plain.block_bytes
    name = _width(section)
    if name is None:
        return None
    form, unquantised_bytes = find_format(name)
    if model.config.get("expert_dtype") == "fp4":
        # DeepSeek-V4: the routed experts in fp4 with a scale per 32 weights, the rest in fp8 blocks.
        form = replace(form, name=f"{form.name} + fp4 experts", experts=find_format("mxfp4")[0])
    return form, unquantised_bytes


def _width(section: Mapping[str, Any]) -> str | None:
    """Return the `--quantization` word that a quantisation section amounts to, or None where it is not understood."""
    method = str(section.get("quant_method") or "").lower()
    algorithm = str(section.get("quant_algo") or "").lower()
    bits = section.get("bits") or section.get("w_bit")
    if method == "mxfp4":
        return "mxfp4-experts"
    if method == "fp8" and not algorithm:
        return "fp8-block" if section.get("weight_block_size") else "fp8"
    if method in ("awq", "gptq", "auto-round", "intel/auto-round", "autoround") and bits in (4, 8):
        return "int4" if bits == 4 else "int8"
    if method == "bitsandbytes":
        if section.get("load_in_4bit"):
            return "nf4" if section.get("bnb_4bit_quant_type", "fp4") == "nf4" else "fp4"
        return "int8" if section.get("load_in_8bit") else None
    if "nvfp4" in algorithm:
        return "nvfp4"
    if algorithm in ("fp8", "fp8_pb_wo"):
        return "fp8"
    if method == "compressed-tensors":
        return _compressed_tensors(section)
    return None


_WIDTH_KEYS = ("type", "num_bits", "strategy", "group_size")


def _compressed_tensors(section: Mapping[str, Any]) -> str | None:
    """Return the width of compressed-tensors' first group, where all groups agree."""
    groups = section.get("config_groups")
    weights = [
        group.get("weights")
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping)
    ]
    kinds = {
        # A broken file may hold lists or objects here; their text is no width that is known.
        tuple(value if isinstance(value := w.get(key), str | int | float) else str(value) for key in _WIDTH_KEYS)
        for w in weights
        if isinstance(w, Mapping)
    }
    if len(kinds) != 1:
        return None
    kind, bits, strategy, group = kinds.pop()
    if kind == "float":
        if bits == 4:
            return "nvfp4" if group == 16 else "mxfp4"
        return ("fp8-block" if strategy == "block" else "fp8") if bits == 8 else None
    if kind == "int":
        return "int4" if bits == 4 else "int8" if bits == 8 else None
    return None


def declared_kv_dtype(model: ModelSpec) -> str | None:
    """Return the cache format that the checkpoint declares (`kv_cache_quant_algo`, `kv_cache_scheme`), or None."""
    if model.published_kv_dtype is not None:
        return model.published_kv_dtype
    section = model.quantization or {}
    if str(section.get("kv_cache_quant_algo") or "").lower().startswith("fp8"):
        return "fp8_e4m3"
    scheme = section.get("kv_cache_scheme")
    if isinstance(scheme, Mapping) and scheme.get("type") == "float" and scheme.get("num_bits") == 8:
        return "fp8_e4m3"
    return None


def weight_format(model: ModelSpec, quantization: str | None, plain: Dtype) -> tuple[WeightFormat, int] | None:
    """Return the format planned for: the one asked for, else the published one; None where that is not understood.

    Raises:
        SettingError: the name is not a format.

    """
    if quantization is None:
        return published_format(model, plain)
    try:
        return find_format(quantization)
    except SettingError:
        if (
            model.quantization
            and quantization.strip().lower() == str(model.quantization.get("quant_method", "")).lower()
        ):
            return published_format(model, plain)
        raise
