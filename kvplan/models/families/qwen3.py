"""Qwen 3: Qwen 2 with a norm on each Q and K head and without its biases; densely or with experts."""

from kvplan.models.decoder import FULL, SLIDING, Decoder, MoeDecoder
from kvplan.models.families.qwen2 import Qwen2


class Qwen3(Qwen2):
    """Qwen 3, dense."""

    model_types = ("qwen3", "qwen3_vl_text")
    architectures = ("Qwen3ForCausalLM",)
    source = "transformers 5.18 modeling_qwen3.py"
    qk_norm = True
    qkv_bias = Decoder.qkv_bias
    output_bias = Decoder.output_bias


class Qwen3Moe(Qwen3, MoeDecoder):
    """Qwen 3 with experts: every `decoder_sparse_step`-th layer but those in `mlp_only_layers`."""

    model_types = ("qwen3_moe", "qwen3_vl_moe_text")
    architectures = ("Qwen3MoeForCausalLM",)
    source = "transformers 5.18 modeling_qwen3_moe.py"

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """Slide in every layer where a window is switched on: `max_window_layers` is not asked (modeling_qwen3_moe.py)."""
        return SLIDING if self.window else FULL

    def is_moe(self, index: int) -> bool:
        """Whether layer `index` routes."""
        step = self.config.count("decoder_sparse_step", default=1)
        dense = self.config.counts("mlp_only_layers", minimum=0) or []
        return index not in dense and (index + 1) % step == 0
