"""Grok 1 and 2: experts in every layer, four norms; Grok 2 has a dense MLP beside them."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import MoeDecoder
from kvplan.weights import blocks
from kvplan.weights.parts import Part


class Grok(MoeDecoder):
    """Grok 1 and Grok 2. xAI's own file of Grok 2 has the model type of another model, `git`."""

    model_types = ("grok-1", "grok_1", "grok-2", "grok_2", "grok")
    architectures = ("Grok1ModelForCausalLM", "Grok1ForCausalLM", "Grok2ForCausalLM", "GrokForCausalLM")
    source = "vLLM 0.23 models/grok1.py"
    norms_per_layer = 4
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_experts", "num_local_experts")

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def expert_size(self) -> int:
        """`moe_intermediate_size`, else `intermediate_size`."""
        return self.config.optional_count("moe_intermediate_size") or self.intermediate_size

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the experts, and the MLP beside them where `residual_moe` says so."""
        yield from super().mlp_parts(index)
        if self.config.flag("residual_moe", default=False):
            yield from blocks.gated_mlp(self.hidden_size, self.intermediate_size)

    def check_signals(self) -> None:
        """Refuse a window: the reference has none, and no published file states one."""
        if self.config.optional_count("sliding_window_size", minimum=-1) not in (None, -1, 0):
            raise self.refuse("sliding_window_size", "is stated, which the reference does not read.", "Remove the key.")
        super().check_signals()
