"""Ling and Ring (Bailing), 1 and 2: experts after the first dense layers beside shared ones. Remote code."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.listed import ListedMoe, next_token_layers, with_bias
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part


class BailingMoe(ListedMoe):
    """Ling-lite, Ling-plus, Ling 2.0 mini, flash and 1T, the Rings made from them. Not 2.5 on: those are hybrids."""

    model_types = ("bailing_moe", "bailing_moe_v2")
    architectures = ("BailingMoeForCausalLM", "BailingMoeV2ForCausalLM")
    source = "vLLM 0.33 models/bailing_moe.py; totals of Ling-lite and Ling-mini-2.0 on the hub"
    expert_keys = ("num_experts",)
    shared_keys = ("num_shared_experts",)

    @property
    def qkv_bias(self) -> bool:
        """`use_bias` or `use_qkv_bias`."""
        return self.output_bias or self.config.flag("use_qkv_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """`use_bias`."""
        return self.output_bias

    @cached_property
    def qk_norm(self) -> bool:
        """`use_qk_norm`."""
        return self.config.flag("use_qk_norm", default=False)

    @cached_property
    def router_correction(self) -> bool:
        """`moe_router_enable_expert_bias`, a parameter here."""
        return self.config.flag("moe_router_enable_expert_bias", default=False)

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side, of a width of their own where the file has one."""
        count = self.config.optional_count("num_shared_experts", minimum=0) or 0
        return count * (self.config.optional_count("moe_shared_expert_intermediate_size") or self.expert_size)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP or the experts."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers. Source: vLLM 0.33 models/bailing_moe_mtp.py."""
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        return next_token_layers(self, Layer(caches=self.caches(last), parts=tuple(self.parts(last))), count)
