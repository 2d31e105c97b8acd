"""AutoRound: integers packed as GPTQ's (without g_idx) or AWQ's, or MX and NV floats; single modules by name or expression.

Sources: auto-round 0.16.1 export/export_to_autoround/export.py and auto_round_extension/triton/qlinear_tritonv2.py
(tensors); transformers 5.18.0 AutoRoundConfig; vllm 0.33 quantization/inc/config_parser.py (`extra_config`).
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Rule, Scheme

METHODS = ("auto-round", "intel/auto-round", "autoround", "auto_round", "inc")
KEYS = ()

_SOURCE = "AutoRound tensors, auto-round 0.16.1"
# vllm 0.33 inc/config_parser.py: a key with one of these is searched as an expression.
_SPECIAL = frozenset("*+?^$()[]{}|\\")


def read(section: Section) -> Scheme | None:
    """Return the scheme of an AutoRound checkpoint: what the named blocks hold, unless `extra_config` says otherwise."""
    form = _form(section, section)
    if form is None:
        return None
    rules = []
    for key, override in section.parts("extra_config").items():
        if override is None:
            continue
        bits = override.whole("bits", most=32)
        plain = bits is not None and bits >= 16
        changed = None if plain else _form(override, section)
        if changed is None and not plain:
            return None
        if _SPECIAL.isdisjoint(key):
            rules.append(Rule(key, changed))
        else:
            section.regex(key, changed, "extra_config")
            rules.append(Rule(f"(?:.*?)(?:{key})", changed, "regex"))
    return section.scheme(
        form,
        rules=(*rules, Rule("lm_head", form if section.get("lm_head") is True else None)),
        stated=bool(rules) or section.has("to_quant_block_names") or section.has("block_name_to_quantize"),
        drafts=False,
        name=form.name,
        source=_SOURCE,
    )


def _form(section: Section, outer: Section) -> WeightFormat | None:
    bits = section.whole("bits", most=32) or outer.whole("bits", most=32)
    if bits is None:
        return None
    kind = section.word("data_type") or outer.word("data_type") or "int"
    group = section.group("group_size") if section.has("group_size") else outer.group("group_size")
    if kind.startswith("mx_fp") and bits in (4, 8):
        return layouts.microscaled(bits, source=_SOURCE)
    if kind.startswith(("nv_fp", "fp4")) and bits == 4:
        return layouts.nvfp4(source=_SOURCE)
    if kind == "fp" and bits == 8:
        return layouts.fp8_row(scale_bytes=outer.plain_bytes, source=_SOURCE)
    if not kind.startswith("int") or bits > 8:
        return None
    return layouts.integers(bits, group or 128, scale_bits=16, zero_bits=bits, source=_SOURCE)
