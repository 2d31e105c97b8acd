"""optimum-quanto and EETQ: int8 or float8 with a scale per row, int4 or int2 in groups of 128 with a scale and a shift.

Sources: transformers 5.18.0 utils/quantization_config.py (QuantoConfig, EetqConfig), integrations/eetq.py; optimum-quanto
0.2.7 tensor/weights/qbits.py.
"""

from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Rule, Scheme

METHODS = ("quanto", "eetq")
KEYS = ()

_SOURCE = "optimum-quanto 0.2.7"


def read(section: Section) -> Scheme | None:
    """Return the scheme of such a checkpoint: every nn.Linear but the head and what is named."""
    plain = section.plain_bytes
    match section.word("weights") or "int8":
        case "int8" | "qint8":
            form = layouts.int8_row(scale_bytes=plain, source=_SOURCE)
        case "float8" | "qfloat8":
            form = layouts.fp8_row(scale_bytes=plain, source=_SOURCE)
        case ("int4" | "int2" | "qint4" | "qint2") as width:
            form = layouts.integers(int(width[-1]), 128, scale_bits=8 * plain, zero_bits=8 * plain, source=_SOURCE)
        case _:
            return None
    kept = section.names("modules_to_not_convert")
    rules = (*section.rules(kept or (), None, "modules_to_not_convert"), Rule("lm_head", None))
    return section.scheme(form, rules=rules, components=ALL_LINEARS, stated=kept is not None, source=_SOURCE)
