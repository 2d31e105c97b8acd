"""bitsandbytes: 4 bits (nf4, fp4) in blocks of 64 weights, or int8 with a statistic per row, for every nn.Linear.

4 bits: a float32 maximum per block; with double quantisation a byte, a float32 per 256 of them, a table of 256 float32.
A table of 16 float32 and a short description go with each. Sources: transformers 5.18.0 utils/quantization_config.py
(BitsAndBytesConfig), integrations/bitsandbytes.py; QLoRA (arXiv 2305.14314) for the double quantisation.
"""

from kvplan.weights.formats import EIGHT_BIT_SPREAD, FOUR_BIT_SPREAD, WeightFormat
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import ALL_LINEARS, Scheme

METHODS = ("bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit")
KEYS = ({"load_in_4bit"}, {"load_in_8bit"})

_SOURCE = "BitsAndBytesConfig, transformers 5.18.0"
# quant_map (16 float32) and the JSON text of the quantisation state, some 173 bytes: what the counts of
# unsloth/llama-3-8b-Instruct-bnb-4bit leave for each of its 224 linears.
_STATE_BYTES = 64 + 173


def read(section: Section) -> Scheme | None:
    """Return the scheme of a bitsandbytes checkpoint.

    Since transformers 5 routed experts and routers are parameters without an nn.Linear, which bitsandbytes leaves alone.
    """
    form = _form(section)
    if form is None:
        return None
    kept = section.names("llm_int8_skip_modules")
    version = section.config.get("transformers_version")
    merged = isinstance(version, str) and version.split(".")[0].isdecimal() and int(version.split(".")[0][:6]) >= 5
    components = ALL_LINEARS - {"experts", "router"} if merged else ALL_LINEARS
    return section.scheme(
        form,
        rules=section.rules(kept or (), None, "llm_int8_skip_modules"),
        components=components if kept else components - {"head"},
        stated=kept is not None,
        source=_SOURCE,
    )


def _form(section: Section) -> WeightFormat | None:
    if section.flag("load_in_4bit", default=section.word("quant_method") == "bitsandbytes_4bit"):
        kind = section.word("bnb_4bit_quant_type") or "fp4"
        if kind not in ("nf4", "fp4"):
            return None
        double = section.flag("bnb_4bit_use_double_quant", default=False)
        return WeightFormat(
            name=kind,
            bits=4,
            group=64,
            scale_bits=8 + 32 / 256 if double else 32,
            tensor_bytes=_STATE_BYTES + (1024 if double else 0),
            spread=FOUR_BIT_SPREAD,
            source=_SOURCE,
        )
    if section.flag("load_in_8bit", default=section.word("quant_method") == "bitsandbytes_8bit"):
        # SCB, and a byte that names the layout.
        return WeightFormat(name="int8", bits=8, row_bytes=4, tensor_bytes=1, spread=EIGHT_BIT_SPREAD, source=_SOURCE)
    return None
