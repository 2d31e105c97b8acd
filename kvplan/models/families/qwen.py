"""Qwen 1: one KV head per query head, biases on Q, K and V, an MLP of half the stated width."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class Qwen(Decoder):
    """Qwen 1.8B, 7B, 14B, 72B of 2023."""

    model_types = ("qwen",)
    architectures = ("QWenLMHeadModel",)
    source = "Qwen/Qwen-7B modeling_qwen.py (remote code); its 7,721,324,544 parameters"
    qkv_bias = True

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Qwen-VL's tower is not counted."""
        return "no rule covers the tower under visual" if self.config.states("visual") else None

    @property
    def output_bias(self) -> bool:
        """Unless `no_bias`."""
        return not self.config.flag("no_bias", default=True)

    @property
    def mlp_bias(self) -> bool:
        """As `output_bias`."""
        return self.output_bias

    @cached_property
    def kv_heads(self) -> int:
        """One per query head."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """`kv_channels`, else hidden size / heads."""
        return self.config.optional_count("kv_channels") or self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """Half of `intermediate_size`."""
        return self.config.count("intermediate_size", minimum=2) // 2
