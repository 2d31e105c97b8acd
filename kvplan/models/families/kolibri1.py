"""Kolibri 1: every fifth layer full, the others in a window; routed and shared experts, norms before and after."""

from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, MoeDecoder


class Kolibri(MoeDecoder):
    """Kolibri 1."""

    model_types = ("kolibri1",)
    architectures = ("Kolibri1ForCausalLM",)
    source = "transformers 5.23 modeling_kolibri1.py, configuration_kolibri1.py __post_init__"
    qkv_bias = False
    mlp_bias = False
    qk_norm = True
    norms_per_layer = 4

    def layer_type_rule(self, index: int) -> str:
        """Every fifth from the fifth on."""
        return SLIDING if (index + 1) % 5 else FULL

    @cached_property
    def expert_size(self) -> int:
        """`moe_intermediate_size`."""
        return self.config.count("moe_intermediate_size")

    @cached_property
    def shared_size(self) -> int:
        """`shared_expert_intermediate_size`."""
        return self.config.count("shared_expert_intermediate_size")
