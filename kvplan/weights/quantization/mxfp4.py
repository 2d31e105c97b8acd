"""MXFP4 as gpt-oss publishes it: the routed experts alone, in 4 bits with an 8-bit exponent per 32 weights.

Source: transformers 5.18.0 integrations/mxfp4.py, quantizers/quantizer_mxfp4.py.
"""

from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Scheme

METHODS = ("mxfp4",)
KEYS = ()

_SOURCE = "Mxfp4Config, transformers 5.18.0"


def read(section: Section) -> Scheme | None:
    """Return the scheme of an MXFP4 checkpoint."""
    kept = section.names("modules_to_not_convert")
    return section.scheme(
        layouts.microscaled(4, source=_SOURCE),
        rules=section.rules(kept or (), None, "modules_to_not_convert"),
        components=frozenset({"experts"}),
        stated=True,
        source=_SOURCE,
    )
