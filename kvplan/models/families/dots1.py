"""dots.llm1: Q/K norms, experts after the first dense layers, later layers in a window where the file has one."""

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe


class Dots1(ListedMoe):
    """dots.llm1: the layers from `max_window_layers` on slide where the file has no list."""

    model_types = ("dots1",)
    architectures = ("Dots1ForCausalLM",)
    source = "transformers 5.18 modeling_dots1.py, configuration_dots1.py __post_init__; vLLM 0.33 models/dots1.py"
    qk_norm = True
    mlp_bias = False

    def layer_type_rule(self, index: int) -> str:
        """Full before `max_window_layers`."""
        if self.window is None or index < self.config.count("max_window_layers", minimum=0):
            return FULL
        return SLIDING
