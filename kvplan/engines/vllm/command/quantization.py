"""`--quantization` of vLLM against what the checkpoint is: a method that it names, or one that quantises while it loads."""

from kvplan.errors import SettingError
from kvplan.launch.words import Given
from kvplan.models.spec import ModelSpec
from kvplan.weights.formats import PLAIN_BYTES, find_format

# Methods that need no quantised checkpoint, to kvplan's formats (model_executor/layers/quantization/, config/quantization.py).
_ONLINE = {
    "fp8": "fp8", "fp8_per_tensor": "fp8", "fp8_per_channel": "fp8", "ptpc_fp8": "fp8", "fp8_per_block": "fp8-block",
    "int8_per_channel_weight_only": "int8", "bitsandbytes": "nf4", "mxfp8": "mxfp8",
}  # fmt: skip
# Words for one container, by the method that a checkpoint's section names.
_FAMILIES = (
    {"awq", "awq_marlin", "auto_awq", "moe_wna16", "ipex", "cpu_awq"},
    {"gptq", "gptq_marlin", "auto_gptq", "marlin", "gptq_marlin_24", "gptq_bitblas", "moe_wna16", "ipex", "cpu_gptq"},
    {"compressed-tensors"},
    {"fp8", "deepseek_v4_fp8", "fbgemm_fp8"},
    {"modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "mxfp8"},
    {"mxfp4", "gpt_oss_mxfp4"},
    {"bitsandbytes"},
    {"auto-round", "auto_round", "inc", "gptq", "awq", "gptq_marlin", "awq_marlin"},
    {"torchao"}, {"quark"}, {"hqq", "hqq_marlin"}, {"gguf"}, {"fp_quant"},
)  # fmt: skip
# Methods that store one width only (model_executor/layers/quantization): AWQ's kernels take 4 bits, vLLM's fp8 takes 8.
_FOUR_BITS = frozenset({"awq", "awq_marlin", "mxfp4", "gpt_oss_mxfp4"})
_EIGHT_BITS = frozenset({"fp8", "fbgemm_fp8", "ptpc_fp8", "experts_int8"})
_NAMES = frozenset().union(*_FAMILIES, _ONLINE)


def asked_format(given: Given, model: ModelSpec) -> str | None:
    """Return the format to plan for; None: the checkpoint as it is published.

    Raises:
        SettingError: vLLM refuses the method for this checkpoint, or what it stores is not known here.

    """
    word = str(given.value).lower().replace("compressed_tensors", "compressed-tensors")
    if word in ("none", "auto", ""):
        return None
    published = _published(model)
    if published is not None:
        if word == published or any(word in family and published in family for family in _FAMILIES):
            return None
        if word == "humming" or (word.replace("_", "-") == published.replace("_", "-")):
            return None
        raise SettingError(
            f"vLLM refuses {given}: {model.id} is published as {published}.",
            hint="Leave --quantization out: it reads it itself.",
            about="quantization",
        )
    if model.published_as is not None and model.published_as not in PLAIN_BYTES:
        # Named by a repository whose section is not known here; a method of another width it cannot be.
        stored = find_format(model.published_as)[0]
        width = stored.average_bits or stored.bits
        if (word in _FOUR_BITS and width > 5) or (word in _EIGHT_BITS and width < 7):
            raise SettingError(
                f"vLLM refuses {given}: {model.id} is published as {model.published_as}.",
                hint="Leave --quantization out: it reads it itself.",
                about="quantization",
            )
        return None
    if word in _ONLINE:
        return _ONLINE[word]
    if word in _NAMES:
        raise SettingError(
            f"vLLM refuses {given}: {model.id} is published without quantisation.",
            hint=f"Name a repository that is quantised so, or one of {', '.join(sorted(_ONLINE))}.",
            about="quantization",
        )
    raise SettingError(
        f"{given}: what {word[:40]!r} stores is not known to kvplan.", hint=f"Known: {', '.join(sorted(_NAMES))}."
    )


def _published(model: ModelSpec) -> str | None:
    """Return the method that the checkpoint's section names; None where it has none."""
    section = model.quantization or {}
    method = section.get("quant_method") or ("modelopt" if "quant_algo" in section else None)
    return str(method).lower() if method else None
