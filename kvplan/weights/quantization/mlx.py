"""MLX: every linear and embedding in groups with a 16-bit scale and bias each (affine), or in MX or NV floats.

The top-level section `quantization` {group_size, bits, mode} names single modules beside these keys, with values of their own
or false. Towers have no entry: mlx-vlm leaves them alone. transformers' `metal` is the same layout in float32.
Sources: mlx-lm 0.32.2 utils.py (quantize_model, load_model); transformers 5.18.0 integrations/metal_quantization.py.
"""

from dataclasses import replace

from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Component
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import LAYER_LINEARS, Rule, Scheme

METHODS = ("mlx", "metal")
KEYS = ({"group_size", "bits"}, {"bits", "mode"}, {"group_size", "mode"})

_SOURCE = "mlx-lm 0.32.2 quantize_model"
_MODULES: frozenset[Component] = LAYER_LINEARS | {"embeddings", "head", "router", "other", "draft"}
_OWN_KEYS = frozenset({"group_size", "bits", "mode", "quant_method", "global_scale"})


def read(section: Section) -> Scheme | None:
    """Return the scheme of an MLX checkpoint."""
    if section.word("quant_method") == "metal":
        form = _form(section, scale_bits=32)
        kept = section.names("modules_to_not_convert")
        left = section.rules(("lm_head",) if kept is None else kept, None, "modules_to_not_convert")
        return section.scheme(form, rules=left, stated=kept is not None, source="MetalConfig, transformers 5.18.0")
    form = _form(section)
    if form is None:
        return None
    rules: list[Rule] = []
    for name, value in section.values.items():
        if name in _OWN_KEYS or not isinstance(name, str):
            continue
        if value is False:
            rules.append(Rule(name, None))
        elif isinstance(value, dict):
            override = section.part(name)
            changed = _form(replace(override, values={**_own(section), **override.values})) if override else None
            if changed is None:
                return None
            rules.append(Rule(name, changed))
    scheme = section.scheme(
        form,
        rules=tuple(rules),
        components=_MODULES,
        stated=True,
        name=form.name,
        source=_SOURCE,
    )
    return replace(scheme, kinds=frozenset({"linear", "embedding"}))


def _own(section: Section) -> dict[str, object]:
    return {key: section.values[key] for key in ("group_size", "bits", "mode") if key in section.values}


def _form(section: Section, scale_bits: int = 16) -> WeightFormat | None:
    match section.word("mode") or "affine":
        case "affine":
            bits = section.whole("bits", most=16)
            if bits is None:
                return None
            if bits not in (2, 3, 4, 5, 6, 8):
                raise section.wrong("bits", bits, "2 to 6 or 8")
            group = section.group("group_size")
            return layouts.integers(bits, group or 64, scale_bits=scale_bits, zero_bits=scale_bits, source=_SOURCE)
        case "mxfp4":
            return layouts.microscaled(4, source=_SOURCE)
        case "mxfp8":
            return layouts.microscaled(8, source=_SOURCE)
        case "nvfp4":
            return replace(layouts.nvfp4(input_scale=False, source=_SOURCE), tensor_bytes=0)
        case _:
            return None
