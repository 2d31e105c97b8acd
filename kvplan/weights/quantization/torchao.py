"""torchao: a configuration class by name, for every nn.Linear or module by module (FqnToConfig).

Sources: torchao 0.18.0 quantization/quant_api.py (classes, defaults), quantization/quantize_/workflows/ (tensors);
transformers 5.18.0 utils/quantization_config.py (TorchAoConfig), quantizers/quantizer_torchao.py.
"""

from collections.abc import Mapping
from dataclasses import replace

from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import Component
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Rule, Scheme

METHODS = ("torchao",)
KEYS = ()

_SOURCE = "torchao 0.18.0 quant_api"
_EVERY: frozenset[Component] = ALL_LINEARS | {"embeddings"}


def read(section: Section) -> Scheme | None:
    """Return the scheme of a torchao checkpoint."""
    rules: list[Rule] = []
    if isinstance(section.get("quant_type"), str):
        named = section.part("quant_type_kwargs") or replace(section, values={})
        form = _form(section.word("quant_type") or "", named)
    else:
        outer = section.part("quant_type")
        default = outer.part("default") if outer else None
        if default is None:
            return None
        form = _of_object(default)
        modules = _modules(default)
        if modules is not None:
            form = None
            for name in modules.values:
                module = modules.part(name) if isinstance(name, str) else None
                changed = _of_object(module) if module else None
                if module is not None and changed is None:
                    return None
                if name == "_default":
                    form = changed
                elif isinstance(name, str):
                    rules.extend(section.rules((name,), changed, "module_fqn_to_config"))
            rules.sort(key=lambda rule: rule.syntax != "name")
    if form is None and not rules:
        return None
    kept = section.names("modules_to_not_convert")
    both = section.flag("include_input_output_embeddings", default=False)
    scheme = section.scheme(
        form,
        rules=(*section.rules(kept or (), None, "modules_to_not_convert"), *rules, *_ends(both=both)),
        components=_EVERY,
        stated=kept is not None or bool(rules),
        source=_SOURCE,
    )
    return replace(scheme, kinds=frozenset({"linear", "embedding"})) if both else scheme


def _ends(*, both: bool) -> tuple[Rule, ...]:
    return () if both else (Rule("lm_head", None),)


def _modules(default: Section) -> Section | None:
    data = default.part("_data")
    if data is None or default.word("_type") not in ("modulefqntoconfig", "fqntoconfig"):
        return None
    return data.part("module_fqn_to_config") or data.part("fqn_to_config")


def _of_object(config: Section) -> WeightFormat | None:
    return _form(config.word("_type") or "", config.part("_data") or replace(config, values={}))


def _form(name: str, data: Section) -> WeightFormat | None:
    """Return the tensors that a configuration class (or its old name in words) leaves."""
    name = name.replace("_", "").removesuffix("config")
    scale = data.plain_bytes
    match name:
        case "int4weightonly" | "float8dynamicactivationint4weight":
            return layouts.integers(
                4, data.group("group_size") or 128, scale_bits=8 * scale, zero_bits=8 * scale, source=_SOURCE
            )
        case "int8weightonly":
            group = data.group("group_size")
            if group is None:
                return layouts.int8_row(scale_bytes=scale, source=_SOURCE)
            return layouts.integers(8, group, scale_bits=8 * scale, zero_bits=0, source=_SOURCE)
        case "int8dynamicactivationint8weight":
            return layouts.int8_row(scale_bytes=scale, source=_SOURCE)
        case "int8dynamicactivationint4weight":
            # Kept a byte each: only the values are 4 bits wide.
            return replace(
                layouts.integers(4, data.group("group_size") or 32, scale_bits=32, zero_bits=8, source=_SOURCE), bits=8
            )
        case "float8weightonly":
            return layouts.fp8_row(scale_bytes=4, source=_SOURCE)
        case "float8dynamicactivationfloat8weight":
            if _per_row(data):
                return layouts.fp8_row(scale_bytes=4, source=_SOURCE)
            return layouts.fp8_tensor(input_scale=False, source=_SOURCE)
        case _:
            return None


def _per_row(data: Section) -> bool:
    granularity = data.get("granularity")
    items = granularity if isinstance(granularity, list) else [granularity]
    return any(isinstance(item, Mapping) and item.get("_type") == "PerRow" for item in items)
