"""DeepSeek MoE 16B, the first: ordinary attention, shared and routed experts after dense layers."""

from functools import cached_property

from kvplan.models.decoder import MoeDecoder


class Deepseek(MoeDecoder):
    """DeepSeek MoE."""

    model_types = ("deepseek",)
    architectures = ("DeepseekForCausalLM",)
    source = "vLLM 0.33 models/deepseek_v2.py DeepseekForCausalLM; its 16,375,728,128 parameters"
    mlp_bias = False
    expert_keys = ("n_routed_experts",)

    def is_moe(self, index: int) -> bool:
        """After the first dense layers every `moe_layer_freq`-th, if there are experts."""
        return (
            self.config.states("n_routed_experts")
            and index >= self.config.count("first_k_dense_replace", default=0, minimum=0)
            and index % self.config.count("moe_layer_freq", default=1) == 0
        )

    @cached_property
    def shared_size(self) -> int:
        """`n_shared_experts` experts side by side."""
        return self.expert_size * (self.config.optional_count("n_shared_experts", minimum=0) or 0)
