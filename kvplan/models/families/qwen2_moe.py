"""Qwen 1.5 and 2 with experts: a shared expert behind a gate; a window that is nearly always switched off."""

from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe


class Qwen2Moe(ListedMoe):
    """Qwen1.5-MoE, Qwen2-57B-A14B."""

    model_types = ("qwen2_moe",)
    architectures = ("Qwen2MoeForCausalLM",)
    source = "transformers 5.18 modeling_qwen2_moe.py, configuration_qwen2_moe.py __post_init__; vLLM 0.33 models/qwen2_moe.py"
    output_bias = False
    mlp_bias = False
    shared_expert_gate = True
    beside_list = ("sliding_window", "use_sliding_window")

    @property
    def qkv_bias(self) -> bool:
        """Biases on Q, K and V, unless the file says otherwise."""
        return self.config.flag("qkv_bias", default=True)

    @cached_property
    def window(self) -> int | None:
        """`sliding_window` counts only where `use_sliding_window` is true."""
        stated = super().window
        return stated if self.config.flag("use_sliding_window", default=False) else None

    def layer_type_rule(self, index: int) -> str:
        """Of the layers before `max_window_layers`, the even ones slide."""
        if self.window is None or index % 2:
            return FULL
        return SLIDING if index < self.config.count("max_window_layers", minimum=0) else FULL

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("shared_expert_intermediate_size")

    def is_moe(self, index: int) -> bool:
        """Every `decoder_sparse_step`-th layer but those in `mlp_only_layers`."""
        step = self.config.count("decoder_sparse_step", default=1)
        dense = self.config.counts("mlp_only_layers", minimum=0) or []
        return index not in dense and (index + 1) % step == 0
