"""HQQ: packed integers, per group of 64 a 16-bit scale and a 16-bit zero point; single kinds of modules by name tag.

Source: transformers 5.18.0 utils/quantization_config.py (HqqConfig) and integrations/hqq.py.
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Rule, Scheme

METHODS = ("hqq",)
KEYS = ()

_SOURCE = "HqqConfig, transformers 5.18.0"
# Ten weights of 3 bits share an int32; the others fill their bytes.
_STORED = {1: 1.0, 2: 2.0, 3: 3.2, 4: 4.0, 8: 8.0}


def read(section: Section) -> Scheme | None:
    """Return the scheme of an HQQ checkpoint."""
    outer = section.part("quant_config") or section
    kept = section.names("skip_modules")
    rules = list(section.rules(("lm_head",) if kept is None else kept, None, "skip_modules"))
    form = None
    if outer.has("weight_quant_params") or outer.has("nbits"):
        form = _form(outer)
        if form is None:
            return None
    else:
        for name, tagged in section.parts("quant_config" if section.has("quant_config") else "dynamic_config").items():
            changed = _form(tagged) if tagged is not None else None
            if changed is None:
                return None
            rules.append(Rule(name, changed))
        if all(rule.form is None for rule in rules):
            return None
    return section.scheme(
        form,
        rules=tuple(rules),
        components=ALL_LINEARS - {"head"},
        stated=kept is not None,
        source=_SOURCE,
    )


def _form(outer: Section) -> WeightFormat | None:
    params = outer.part("weight_quant_params") or outer
    bits = params.whole("nbits", most=16)
    if bits is None:
        return None
    if bits not in _STORED:
        raise params.wrong("nbits", bits, "1, 2, 3, 4 or 8")
    group = params.group("group_size")
    return layouts.integers(_STORED[bits], group, scale_bits=16, zero_bits=16, source=_SOURCE)
