"""Mixtral: Mistral with routed experts in every layer."""

from functools import cached_property

from kvplan.models.decoder import MoeDecoder


class Mixtral(MoeDecoder):
    """Mixtral 8x7B and 8x22B."""

    model_types = ("mixtral",)
    architectures = ("MixtralForCausalLM",)
    source = "transformers 5.18 modeling_mixtral.py"
    windowed = True
    qkv_bias = False
    expert_keys = ("num_local_experts", "num_experts")

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`; `moe_intermediate_size` only in files that do not state it."""
        if not self.config.states("intermediate_size") and self.config.states("moe_intermediate_size"):
            return self.config.count("moe_intermediate_size")
        return self.intermediate_size
