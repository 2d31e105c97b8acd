"""Qwen 2 and 2.5: biases on Q, K and V; a window that is nearly always switched off."""

from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class Qwen2(Decoder):
    """Qwen 2, 2.5, QwQ."""

    model_types = ("qwen2", "qwen2_vl_text", "qwen2_5_vl_text")
    architectures = ("Qwen2ForCausalLM",)
    source = "transformers 5.18 modeling_qwen2.py, configuration_qwen2.py __post_init__"
    qkv_bias = True
    output_bias = False
    mlp_bias = False

    @cached_property
    def window(self) -> int | None:
        """`sliding_window` counts only where `use_sliding_window` is true."""
        stated = super().window
        return stated if self.config.flag("use_sliding_window", default=False) else None

    def layer_type_rule(self, index: int) -> str:
        """Slide from layer `max_window_layers` on."""
        return SLIDING if self.window and index >= self.config.count("max_window_layers", minimum=0) else FULL
