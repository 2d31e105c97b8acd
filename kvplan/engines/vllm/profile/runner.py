"""Which of vLLM's model runners serves a model: V0's, V1's, or V2, step by step from 0.22 on.

The runner decides what the profile run allocates.
Source: config/vllm.py use_v2_model_runner, _is_default_v2_model_runner_model (0.22 to 0.28; from 0.29 on every model).
"""

from typing import Literal

from kvplan.engines.vllm.changes import Version, applies
from kvplan.models.spec import ModelSpec

Runner = Literal["V0", "V1", "V2"]

# Architectures with V2 as their default, by the first release that lists them.
_LISTED: dict[str, Version] = {
    "Qwen3ForCausalLM": (0, 22),
    "LlamaForCausalLM": (0, 23),
    "MistralForCausalLM": (0, 23),
    "DeepseekV2ForCausalLM": (0, 24),
    "Qwen2MoeForCausalLM": (0, 24),
    "GraniteMoeForCausalLM": (0, 24),
    "InklingForCausalLM": (0, 26),
    "InklingForConditionalGeneration": (0, 26),
    "LongcatFlashNgramForCausalLM": (0, 26),
    "KimiK3ForConditionalGeneration": (0, 27),
    "DeepseekV4ForCausalLM": (0, 28),
}


def is_v2(model: ModelSpec, version: Version, *, quantised: bool) -> bool:
    """Whether a release serves the model by V2 where nothing else is asked for."""
    if applies("v2_runner_all", version):
        return True
    if not applies("v2_runner", version):
        return False
    names = model.config.get("architectures")
    names = names if isinstance(names, list | tuple) else ()
    listed = any(name in _LISTED and version >= _LISTED[name] for name in names if isinstance(name, str))
    if applies("v2_runner_dense", version):
        states = any(cache.kind == "recurrent_state" for cache, _ in model.caches)
        return listed or (model.moe is None and not states)
    if applies("v2_runner_quantised", version):
        return listed
    return listed and not quantised and model.moe is None
