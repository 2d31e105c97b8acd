"""GPTQ: int32-packed weights along the input, a packed zero point and a 16-bit scale per group, an int32 per input column.

Sources: transformers 5.18.0 utils/quantization_config.py (GPTQConfig); vllm 0.33 quantization/auto_gptq.py (tensors and
`lm_head`), quantization/utils/gptq_utils.py (`dynamic`).
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Rule, Scheme

METHODS = ("gptq", "gptq_marlin", "gptqmodel", "marlin")
KEYS = ()

_SOURCE = "GPTQ tensors, vllm 0.33 quantization/auto_gptq.py"
WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def read(section: Section) -> Scheme | None:
    """Return the scheme of a GPTQ checkpoint."""
    form = _form(section, None)
    if form is None:
        return None
    only = section.names("modules_in_block_to_quantize")
    kept = section.names("modules_to_not_convert")
    rules = (
        *_dynamic(section, form),
        *section.rules(kept or (), None, "modules_to_not_convert"),
        *section.rules(only or (), form, "modules_in_block_to_quantize"),
        Rule("lm_head", form if section.flag("lm_head", default=False) else None),
    )
    return section.scheme(
        None if only else form,
        rules=rules,
        stated=only is not None or kept is not None or section.has("dynamic"),
        drafts=False,
        name=form.name,
        source=_SOURCE,
    )


def _form(section: Section, outer: WeightFormat | None) -> WeightFormat | None:
    """Return the layout that a section, or a `dynamic` override of `outer`, states."""
    bits = section.whole("bits", "wbits", most=16)
    if bits is None and outer is not None:
        bits = int(outer.bits)
    if bits is None:
        return None
    if bits not in WIDTHS:
        raise section.wrong("bits", bits, "2 to 8")
    group = section.group("group_size")
    if group is None and outer is not None:
        group = outer.group
    # The marlin kernel's own file format has no zero points and no g_idx.
    plain = section.word("quant_method") == "marlin" or section.word("checkpoint_format") == "marlin"
    return layouts.integers(
        bits,
        group or 128,
        scale_bits=16,
        zero_bits=0 if plain else bits,
        column_bytes=0 if plain else 4,
        source=_SOURCE,
    )


def _dynamic(section: Section, form: WeightFormat) -> tuple[Rule, ...]:
    """Return GPTQModel's overrides: `-:regex` is left alone, `+:regex` and a bare one take values of their own."""
    rules = []
    for key, override in section.parts("dynamic").items():
        pattern = key.removeprefix("+:").removeprefix("-:")
        changed = None if key.startswith("-:") else form if override is None else _form(override, form)
        rules.append(section.regex(pattern, changed, "dynamic"))
    return tuple(rules)
