"""NVIDIA's ModelOpt: one algorithm for all modules but `ignore` / `exclude_modules`, or one per module (MIXED_PRECISION).

Both forms are read: the section of config.json and the file `hf_quant_config.json`, {"producer", "quantization": {...}}.
Sources: nvidia-modelopt 0.47.0 torch/export/quant_utils.py (tensors), export/convert_hf_config.py (both forms); vllm 0.33
quantization/modelopt.py (algorithms, how exclusions match).
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization import compressed_tensors
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Rule, Scheme

METHODS = ("modelopt", "modelopt_fp4", "modelopt_fp8", "modelopt_mxfp8", "modelopt_mixed")
KEYS = ({"quant_algo"}, {"quantization", "producer"}, {"quantization"})

_SOURCE = "nvidia-modelopt 0.47.0 export"


def read(section: Section) -> Scheme | None:
    """Return the scheme of a ModelOpt checkpoint."""
    inner = section.part("quantization") or section
    algorithm = inner.word("quant_algo")
    kept = inner.names("exclude_modules", "ignore")
    if algorithm is None:
        return compressed_tensors.read(inner) if inner.has("config_groups") else None
    if algorithm == "mixed_precision":
        named = named_layers(inner)
        if named is None:
            return None
        return section.scheme(None, rules=named, stated=True, drafts=False, source=_SOURCE)
    form = _form(algorithm, inner)
    if form is None:
        return None
    rules = inner.rules(kept or (), None, "exclude_modules" if inner.has("exclude_modules") else "ignore")
    return section.scheme(
        form,
        rules=rules,
        # What a list does not name is quantised, the head among it; towers never are (vllm 0.33 modelopt.py).
        components=ALL_LINEARS - {"vision", "audio", "projector", "router", "draft"} if kept else _DEFAULT,
        stated=kept is not None,
        drafts=False,
        source=_SOURCE,
    )


# The default configurations leave out heads and routers (modelopt/torch/quantization/config.py).
_DEFAULT = ALL_LINEARS - {"vision", "audio", "projector", "router", "draft", "head", "other"}


def named_layers(section: Section) -> tuple[Rule, ...] | None:
    """Return the rules of `quantized_layers`; None where it is not stated, or names an algorithm no rule here knows."""
    if not section.has("quantized_layers"):
        return None
    rules = []
    for name, layer in section.parts("quantized_layers").items():
        algorithm = layer.word("quant_algo") if layer is not None else None
        if layer is None or algorithm is None:
            rules.append(Rule(name, None))
            continue
        form = _form(algorithm, layer)
        if form is None:
            return None
        rules.extend(section.rules((name,), form, "quantized_layers"))
    return tuple(rules)


def _form(algorithm: str, section: Section) -> WeightFormat | None:
    """Return the tensors of a linear under an algorithm."""
    group = section.group("group_size")
    scaled = section.plain_bytes
    match algorithm:
        case "fp8":
            return layouts.fp8_tensor(input_scale=True, source=_SOURCE)
        case "fp8_per_channel_per_token":
            return layouts.fp8_row(scale_bytes=4, source=_SOURCE)
        case "fp8_pb_wo" | "fp8_pb_real" | "fp8_block" | "fp8_block_scales":
            return layouts.fp8_block((128, 128), scale_bytes=4, source=_SOURCE)
        case "nvfp4" | "w4a8_nvfp4_fp8":
            return layouts.nvfp4(group=group or 16, source=_SOURCE)
        case "w4a16_nvfp4":
            return layouts.nvfp4(group=group or 16, input_scale=False, source=_SOURCE)
        case "nvfp4_awq":
            return layouts.nvfp4(group=group or 16, column_bytes=scaled, source=_SOURCE)
        case "mxfp4":
            return layouts.microscaled(4, group=group or 32, source=_SOURCE)
        case "w4a8_mxfp4_fp8":
            return layouts.microscaled(4, group=group or 32, tensor_bytes=4, source=_SOURCE)
        case "mxfp8":
            return layouts.microscaled(8, group=group or 32, source=_SOURCE)
        case "int4_awq" | "w4a16_awq" | "w4a8_awq":
            return layouts.integers(
                4,
                group or 128,
                scale_bits=8 * scaled,
                zero_bits=0,
                column_bytes=scaled,  # pre_quant_scale
                tensor_bytes=8 if algorithm == "w4a8_awq" else 0,
                source=_SOURCE,
            )
        case "int8_wo" | "w8a16":
            return layouts.int8_row(scale_bytes=4, source=_SOURCE)
        case "int8_sq" | "w8a8_sq_per_channel":
            return layouts.int8_row(scale_bytes=4, tensor_bytes=4, source=_SOURCE)
        case _:
            return None
