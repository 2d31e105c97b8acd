"""AMD's Quark: one layout for all linears, others by glob, `exclude` left alone.

Sources: amd-quark 0.13 torch/export/nn/modules/qparamslinear_builder.py (tensors); vllm 0.33 quantization/quark/quark.py
(which type, scheme and group mean what).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Scheme

METHODS = ("quark",)
KEYS = ({"global_quant_config"},)

_SOURCE = "amd-quark 0.13 export"


def read(section: Section) -> Scheme | None:
    """Return the scheme of a Quark checkpoint."""
    outer = section.part("global_quant_config")
    if outer is None:
        return None
    form, known = _weights(outer)
    if not known:
        return None
    kept = section.names("exclude")
    rules = list(section.rules(kept or (), None, "exclude"))
    for name, layer in section.parts("layer_quant_config").items():
        changed, known = _weights(layer) if layer is not None else (None, True)
        if not known:
            return None
        rules.extend(section.rules((name,), changed, "layer_quant_config"))
    if form is None and all(rule.form is None for rule in rules):
        return None
    return section.scheme(
        form,
        rules=tuple(rules),
        components=ALL_LINEARS - {"router"},
        stated=kept is not None,
        drafts=False,
        source=_SOURCE,
    )


def _weights(config: Section) -> tuple[WeightFormat | None, bool]:
    """Return the layout of the weights (None: they stay), and whether it is understood."""
    value = config.get("weight")
    if value is None:
        return None, True
    inputs = config.get("input_tensors")
    scaled = isinstance(inputs, Mapping) and inputs.get("is_dynamic") is False
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(item, Mapping) for item in value) and value[0].get("dtype") == "fp4":
            return layouts.nvfp4(source=_SOURCE), True
        if len(value) != 1 or not isinstance(value[0], Mapping):
            return None, False
        value = value[0]
    if not isinstance(value, Mapping):
        raise config.wrong("weight", value, "an object")
    form = _form(replace(config, values=value, path=f"{config.path}weight."), value, scaled=scaled)
    return form, form is not None


def _form(weight: Section, value: Mapping[str, Any], *, scaled: bool) -> WeightFormat | None:
    scheme = weight.word("qscheme")
    size = weight.group("group_size")
    even = value.get("symmetric") is not False
    plain = weight.plain_bytes
    match weight.word("dtype"):
        case "fp4" | "mxfp4":
            return layouts.microscaled(4, group=size or 32, source=_SOURCE)
        case "fp6_e3m2" | "fp6_e2m3":
            return layouts.microscaled(6, group=size or 32, source=_SOURCE)
        case "fp8_e4m3" | "fp8_e5m2":
            if scheme == "per_group" and size == 32:
                return layouts.microscaled(8, source=_SOURCE)
            if scheme == "per_channel":
                return layouts.fp8_row(scale_bytes=4, tensor_bytes=4 * scaled, source=_SOURCE)
            return layouts.fp8_tensor(input_scale=scaled, source=_SOURCE) if scheme == "per_tensor" else None
        case "int8" | "uint8":
            if scheme == "per_channel":
                return layouts.int8_row(scale_bytes=4, tensor_bytes=4 * scaled, source=_SOURCE)
            if scheme == "per_tensor":
                return replace(layouts.int8_row(scale_bytes=0, source=_SOURCE), tensor_bytes=4 + 4 * scaled)
            return None
        case "int4" | "uint4":
            if scheme not in ("per_group", "per_channel"):
                return None
            group = size if scheme == "per_group" else None
            return layouts.integers(4, group, scale_bits=8 * plain, zero_bits=0 if even else 4, source=_SOURCE)
        case _:
            return None
