"""EXL2 and EXL3: an average of bits per weight over the layers' linears, another width for the head.

exl3 adds two 16-bit sign vectors per linear, one per row and one per column; exl2's bits count its scales.
Source: exllamav3 1.6.5 conversion/convert_model.py (`bits`, `head_bits`), modules/quant/exl3.py (suh, svh).
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization._layouts import spread_of
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Rule, Scheme

METHODS = ("exl2", "exl3")
KEYS = ()

_SOURCE = "exllamav3 1.6.5 conversion"


def read(section: Section) -> Scheme | None:
    """Return the scheme of an EXL checkpoint."""
    bits = section.number("bits", least=0.5, most=16)
    if bits is None:
        return None
    head = section.number("head_bits", least=0.5, most=16) or 6.0
    kind = section.word("quant_method") or "exl2"
    rule = Rule("lm_head", None if head >= 16 else _form(kind, head))
    return section.scheme(_form(kind, bits), rules=(rule,), stated=True, drafts=False, source=_SOURCE)


def _form(kind: str, bits: float) -> WeightFormat:
    vectors = 2 if kind == "exl3" else 0
    return WeightFormat(
        name=f"{kind} {bits:g}bpw",
        bits=bits,
        row_bytes=vectors,
        column_bytes=vectors,
        spread=spread_of(bits),
        source=_SOURCE,
    )
