"""AQLM and BitNet: codes of a codebook, and weights of three values.

AQLM stores per group of weights one code for each codebook, the codebooks, and a 16-bit scale per row. BitNet packs four
weights of {-1, 0, 1} in a byte, with one scale per linear. VPTQ, SpQR and HIGGS state shapes per layer: not read.
Sources: transformers 5.18.0 utils/quantization_config.py (AqlmConfig, BitNetQuantConfig), integrations/aqlm.py, bitnet.py.
"""

from kvplan.weights.formats import FOUR_BIT_SPREAD, WeightFormat
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import LAYER_LINEARS, Scheme

METHODS = ("aqlm", "bitnet")
KEYS = ()


def read(section: Section) -> Scheme | None:
    """Return the scheme of such a checkpoint."""
    if section.word("quant_method") == "bitnet":
        source = "BitNetQuantConfig, transformers 5.18.0"
        kept = section.names("modules_to_not_convert")
        form = WeightFormat(
            name="bitnet", bits=2, tensor_bytes=section.plain_bytes, spread=FOUR_BIT_SPREAD, source=source
        )
    else:
        source = "AqlmConfig, transformers 5.18.0"
        kept = section.names("linear_weights_not_to_quantize")
        kept = None if kept is None else tuple(name.removesuffix(".weight") for name in kept)
        form = _aqlm(section, source)
    rules = section.rules(kept or (), None, "modules_to_not_convert")
    return section.scheme(form, rules=rules, components=LAYER_LINEARS, stated=kept is not None, source=source)


def _aqlm(section: Section, source: str) -> WeightFormat:
    inputs = section.whole("in_group_size", most=1024) or 8
    outputs = section.whole("out_group_size", most=1024) or 1
    books = section.whole("num_codebooks", most=64) or 1
    bits = section.whole("nbits_per_codebook", most=24) or 16
    return WeightFormat(
        name="aqlm",
        bits=books * bits / (inputs * outputs),
        row_bytes=2,
        tensor_bytes=books * (1 << bits) * inputs * outputs * 2,
        spread=FOUR_BIT_SPREAD,
        source=source,
    )
