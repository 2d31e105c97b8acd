"""Snowflake Arctic: routed experts beside a dense MLP as wide as the hidden size."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import MoeDecoder
from kvplan.weights import blocks
from kvplan.weights.parts import Part, norm


class Arctic(MoeDecoder):
    """Arctic base and instruct."""

    model_types = ("arctic",)
    architectures = ("ArcticForCausalLM",)
    source = "vLLM 0.9 models/arctic.py; Arctic instruct's 478,584,608,768 parameters"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_local_experts",)

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size

    def is_moe(self, index: int) -> bool:
        """Every `moe_layer_frequency`-th layer."""
        return (index + 1) % self.config.count("moe_layer_frequency") == 0

    def parts(self, index: int) -> Iterator[Part]:
        """Return the layer, with the dense MLP and its norm where `use_residual` puts them beside the experts."""
        yield from super().parts(index)
        if self.is_moe(index) and self.config.flag("use_residual"):
            yield from blocks.gated_mlp(self.hidden_size, self.hidden_size, prefix="residual_mlp.")
            yield norm("residual_layernorm", self.hidden_size)
