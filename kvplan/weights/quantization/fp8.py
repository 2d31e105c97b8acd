"""fp8 as DeepSeek, Qwen, Mistral and Meta publish it: `quant_method` fp8 (per tensor or block) and fbgemm_fp8 (per row).

Sources: transformers 5.18.0 utils/quantization_config.py (FineGrainedFP8Config, FbgemmFp8Config) and
integrations/finegrained_fp8.py; vllm 0.33 model_executor/layers/quantization/fp8.py, fbgemm_fp8.py.
"""

from kvplan.weights.formats import WeightFormat
from kvplan.weights.quantization import _layouts as layouts
from kvplan.weights.quantization import modelopt
from kvplan.weights.quantization._section import Section
from kvplan.weights.scheme import Rule, Scheme

METHODS = ("fp8", "fbgemm_fp8")
KEYS = ()

# vllm 0.33 models/deepseek_v4/compressor.py (quant_config=None), models/deepseek_v2.py Indexer; DeepSeek-V3.2's headers.
_UNSCALED = ("weights_proj", "indexers_proj", "eh_proj", "compressor", "indexer.kv_proj", "indexer.gate_proj")
_SOURCE = "FineGrainedFP8Config, transformers 5.18.0"


def read(section: Section) -> Scheme | None:
    """Return the scheme of an fp8 checkpoint."""
    kept = section.names("modules_to_not_convert", "ignored_layers")
    if not kept:
        kept = section.names("ignored_layers", "ignore", "exclude_modules") or kept
    rules = section.rules(kept or (), None, "modules_to_not_convert")
    if section.word("quant_method") == "fbgemm_fp8":
        source = "FbgemmFp8Config, transformers 5.18.0"
        form = layouts.fp8_row(scale_bytes=4, source=source)
        return section.scheme(form, rules=rules, stated=kept is not None, source=source)
    form = _form(section)
    if section.has("quant_algo"):
        # ModelOpt on top of an fp8 checkpoint (nvidia/DeepSeek-V4-Pro-NVFP4): what it names is its own, the rest fp8.
        named = modelopt.named_layers(section)
        if named is None:
            return None
        # Its `ignore` is what ModelOpt left alone: those modules stay as they were, in fp8.
        return section.scheme(form, rules=named, expert_form=_experts(section), stated=True, source=_SOURCE)
    return section.scheme(
        form, rules=(*rules, *_unscaled()), expert_form=_experts(section), stated=kept is not None, source=_SOURCE
    )


def _form(section: Section) -> WeightFormat:
    block = section.block("weight_block_size")
    if block is None:
        static = section.word("activation_scheme") == "static"
        return layouts.fp8_tensor(input_scale=static, source=_SOURCE)
    return layouts.fp8_block(block, scale_bytes=1 if _exponents(section) else 4, source=_SOURCE)


def _exponents(section: Section) -> bool:
    """Whether block scales are stored as 1-byte exponents: since DeepSeek-V4.

    DeepSeek-V3.2 states `scale_fmt: ue8m0`, too, and stores float32 (685,355,329,792 numbers in 689.49e9 bytes).
    """
    if section.word("scale_fmt") != "ue8m0":
        return False
    model = section.config.get("model_type")
    return _fp4_experts(section) or (isinstance(model, str) and model.startswith("deepseek_v4"))


def _fp4_experts(section: Section) -> bool:
    return "fp4" in (section.word("expert_dtype"), section.config.get("expert_dtype"))


def _experts(section: Section) -> WeightFormat | None:
    """Return the routed experts' format: DeepSeek-V4 stores them in 4 bits with an exponent per 32 weights."""
    return layouts.microscaled(4, source=_SOURCE) if _fp4_experts(section) else None


def _unscaled() -> tuple[Rule, ...]:
    """Return what fp8 checkpoints keep in 16 bits without saying so: what chooses positions and, in DeepSeek V4, pools them."""
    return tuple(Rule(name, None) for name in _UNSCALED)
