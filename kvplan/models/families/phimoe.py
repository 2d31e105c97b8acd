"""Phi 3.5 MoE and Phi mini MoE: routed experts in every layer, LayerNorm, optional biases on attention and head."""

from functools import cached_property

from kvplan.models.classic import BiasedHead
from kvplan.models.decoder import MoeDecoder


class PhiMoe(BiasedHead, MoeDecoder):
    """Phi 3.5 MoE."""

    model_types = ("phimoe", "grinmoe")
    architectures = ("PhimoeForCausalLM", "PhiMoEForCausalLM", "GRINMoEForCausalLM")
    source = "transformers 5.18 modeling_phimoe.py"
    windowed = True
    norm_bias = True
    expert_keys = ("num_local_experts", "num_experts")

    @property
    def head_bias(self) -> bool:
        """`lm_head_bias`."""
        return self.config.flag("lm_head_bias", default=False)

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size
