"""Sarvam 30B and 105B, Param 2: Ling's experts under grouped-query attention, or under latent attention."""

from functools import cached_property

from kvplan.models.decoder import MoeDecoder
from kvplan.models.families.bailing_moe import BailingMoe
from kvplan.models.families.deepseek_v3 import LatentMoe


class RouterBias(MoeDecoder):
    """A bias on the router's choice that is a parameter, unless `moe_router_enable_expert_bias` switches it off."""

    @cached_property
    def router_correction(self) -> bool:
        """`moe_router_enable_expert_bias`, on where the file does not say."""
        return self.config.flag("moe_router_enable_expert_bias", default=True)


class SarvamMoe(RouterBias, BailingMoe):
    """Sarvam 30B: the first layer is dense, one shared expert."""

    model_types = ("sarvam_moe",)
    architectures = ("SarvamMoEForCausalLM",)
    source = "vLLM 0.33 models/sarvam.py, bailing_moe.py; total of sarvam-30b on the hub"
    first_dense = 1

    @cached_property
    def qk_norm(self) -> bool:
        """`use_qk_norm`."""
        return self.config.flag("use_qk_norm", default=True)

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side; one where the file does not count them."""
        count = self.config.count("num_shared_experts", default=1, minimum=0)
        return count * (self.config.optional_count("moe_shared_expert_intermediate_size") or self.expert_size)


class SarvamMla(RouterBias, LatentMoe):
    """Sarvam 105B."""

    model_types = ("sarvam_mla",)
    architectures = ("SarvamMLAForCausalLM",)
    source = "vLLM 0.33 models/sarvam.py; total of sarvam-105b on the hub"
    first_dense = 1
    qkv_bias = False
    expert_keys = ("num_experts",)
    shared_keys = ("num_shared_experts",)

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side; one where the file does not count them."""
        count = self.config.count("num_shared_experts", default=1, minimum=0)
        return count * (self.config.optional_count("moe_shared_expert_intermediate_size") or self.expert_size)


class Param2Moe(RouterBias, BailingMoe):
    """Param 2: the width of the shared experts is stated for all of them together."""

    model_types = ("param2moe",)
    architectures = ("Param2MoEForCausalLM",)
    source = "vLLM 0.33 models/param2moe.py"
    first_dense = 1

    @property
    def qkv_bias(self) -> bool:
        """`use_qkv_bias`."""
        return self.config.flag("use_qkv_bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """None."""
        return False

    @cached_property
    def shared_size(self) -> int:
        """`moe_shared_expert_intermediate_size`, else the shared experts side by side."""
        count = self.config.count("num_shared_experts", default=1, minimum=0)
        stated = self.config.optional_count("moe_shared_expert_intermediate_size")
        return (stated or count * self.expert_size) if count else 0
