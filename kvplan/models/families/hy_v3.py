"""Hunyuan 3: one dense layer, then experts beside a shared one; Q/K norms."""

from collections.abc import Iterator

from kvplan.models.listed import ListedMoe, next_token_layers, with_bias
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part


class HyV3(ListedMoe):
    """Hunyuan 3 (Hy3)."""

    model_types = ("hy_v3",)
    architectures = ("HYV3ForCausalLM",)
    source = "transformers 5.18 modeling_hy_v3.py, configuration_hy_v3.py __post_init__; vLLM 0.33 models/hy_v3.py"
    qk_norm = True
    first_dense = 1
    expert_keys = ("num_local_experts", "num_experts")
    shared_keys = ("num_shared_experts",)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP or the experts; `mlp_bias` is about MLP and shared experts."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers. Source: vLLM 0.33 models/hy_v3_mtp.py."""
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        return next_token_layers(self, Layer(caches=self.caches(last), parts=tuple(self.parts(last))), count)
