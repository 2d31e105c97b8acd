"""MXFP8 and NVFP4 as methods of their own: the layers' linears with an exponent per 32 weights, or an fp8 scale per 16.

Sources: transformers 5.18.0 utils/quantization_config.py (NVFP4Config); mlx-lm 0.32.2 utils.py (`mxfp8`).
"""

from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Scheme

METHODS = ("mxfp8", "nvfp4")
KEYS = ()


def read(section: Section) -> Scheme | None:
    """Return the scheme of such a checkpoint."""
    kept = section.names("modules_to_not_convert", "ignored_layers", "ignore")
    if section.word("quant_method") == "nvfp4":
        form = layouts.nvfp4(source="NVFP4Config, transformers 5.18.0")
    else:
        form = layouts.microscaled(8, source="mxfp8, mlx-lm 0.32.2")
    rules = section.rules(kept or (), None, "modules_to_not_convert")
    return section.scheme(form, rules=rules, stated=kept is not None, source=form.source)
