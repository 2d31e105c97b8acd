"""Jamba: Mamba layers with attention every few layers, and experts every other MLP."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, LINEAR, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mamba1, Mixer, count_or_auto


class Jamba(Hybrid, MoeDecoder):
    """Jamba, AI21."""

    model_types = ("jamba",)
    architectures = ("JambaForCausalLM",)
    source = "transformers 5.18 modeling_jamba.py, configuration_jamba.py (layers_block_type, layers_num_experts)"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_experts",)
    per_token_keys = ("num_experts_per_tok",)

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba mixer, with norms on dt, B and C."""
        config = self.config
        return Mamba1(
            hidden=self.hidden_size,
            inner=config.count("mamba_expand") * self.hidden_size,
            state=config.count("mamba_d_state"),
            taps=config.count("mamba_d_conv"),
            rank=count_or_auto(config, "mamba_dt_rank", -(-self.hidden_size // 16)),
            bias=config.flag("mamba_proj_bias"),
            conv_bias=config.flag("mamba_conv_bias"),
            norms=True,
        )

    def _periodic(self, index: int, kind: str) -> bool:
        period, offset = self.config.count(f"{kind}_layer_period"), self.config.count(f"{kind}_layer_offset", minimum=0)
        if offset >= period:
            raise self.config.fail(f"{kind}_layer_offset", f"is {offset}, not less than the period ({period}).")
        return index % period == offset

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """Attention every `attn_layer_period` layers; the class computes it, so a list in the file has no say."""
        return [FULL if self._periodic(i, "attn") else LINEAR for i in range(self.layer_count)]

    @cached_property
    def experts(self) -> int:
        """Routed experts of a layer; 0 and 1 mean none."""
        return self.config.count(*self.expert_keys, minimum=0)

    def is_moe(self, index: int) -> bool:
        """Every `expert_layer_period` layers."""
        return self.experts > 1 and self._periodic(index, "expert")
