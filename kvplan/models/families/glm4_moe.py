"""GLM-4.5 to 4.7: grouped-query attention, experts after the first dense layers beside a shared one, a next-token layer."""

from functools import cached_property

from kvplan.models.listed import ListedMoe, next_token_layers
from kvplan.models.spec import Layer


class Glm4Moe(ListedMoe):
    """GLM-4.5, 4.6, 4.7."""

    model_types = ("glm4_moe",)
    architectures = ("Glm4MoeForCausalLM",)
    source = "transformers 5.18 modeling_glm4_moe.py; vLLM 0.33 models/glm4_moe.py"
    output_bias = False
    mlp_bias = False

    @cached_property
    def qk_norm(self) -> bool:
        """Norms on Q and K: `use_qk_norm`."""
        return self.config.flag("use_qk_norm", default=False)

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers."""
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        return next_token_layers(self, Layer(caches=self.caches(last), parts=tuple(self.parts(last))), count)


class SolarOpen(Glm4Moe):
    """Solar Open: experts in every layer, no norms on Q and K."""

    model_types = ("solar_open",)
    architectures = ("SolarOpenForCausalLM",)
    source = "transformers 5.18 modeling_solar_open.py; vLLM 0.33 models/glm4_moe.py"
    qk_norm = False

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route."""
        return True
