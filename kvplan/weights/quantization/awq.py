"""AWQ: int32-packed weights along the output, a packed zero point and a 16-bit scale per group of inputs.

Sources: transformers 5.18.0 utils/quantization_config.py (AwqConfig); vllm 0.33 quantization/auto_awq.py.
"""

from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Scheme

METHODS = ("awq", "awq_marlin")
KEYS = ({"w_bit", "q_group_size"}, {"w_bit", "zero_point"})

_SOURCE = "AWQ tensors, vllm 0.33 quantization/auto_awq.py"


def read(section: Section) -> Scheme | None:
    """Return the scheme of an AWQ checkpoint; AutoAWQ quantises the decoder's layers and nothing outside them."""
    bits = section.whole("bits", "w_bit", most=16)
    if bits is None:
        return None
    if bits not in (2, 3, 4, 8):
        raise section.wrong("bits" if section.has("bits") else "w_bit", bits, "2, 3, 4 or 8")
    # The zero points are stored although a symmetric file (`zero_point: false`) does not need them.
    zeros = 0 if section.word("version") == "marlin" else bits
    group = section.group("group_size", "q_group_size")
    form = layouts.integers(bits, group or 128, scale_bits=16, zero_bits=zeros, source=_SOURCE)
    kept = section.names("modules_to_not_convert")
    rules = section.rules(kept or (), None, "modules_to_not_convert")
    return section.scheme(form, rules=rules, stated=kept is not None, drafts=False, source=_SOURCE)
