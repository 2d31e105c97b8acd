"""JetMoE: experts in the attention as well; each chosen expert has its own queries over one set of keys and values."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import MoeDecoder
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, vector


class JetMoe(MoeDecoder):
    """JetMoE: K and V of `num_key_value_heads` x `kv_channels`, shared by the attention's experts."""

    model_types = ("jetmoe",)
    architectures = ("JetMoeForCausalLM",)
    source = "transformers 5.18 modeling_jetmoe.py"
    expert_keys = ("num_local_experts",)

    @cached_property
    def head_dim(self) -> int:
        """Width of a head: `kv_channels`."""
        return self.config.count("kv_channels")

    @cached_property
    def kv_heads(self) -> int:
        """KV heads; never silent."""
        return self.config.count("num_key_value_heads")

    @cached_property
    def heads(self) -> int:
        """Query heads: those of every chosen expert (configuration_jetmoe.py __post_init__)."""
        return self.kv_heads * self.experts_per_token

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the shared K and V, and the router and the two projections of the attention's experts."""
        width = self.kv_heads * self.head_dim
        yield linear("kv_proj", 2 * width, self.hidden_size, component="attention")
        yield from blocks.router(self.hidden_size, self.experts)
        yield linear("experts.input_linear", width, self.hidden_size, component="attention", count=self.experts)
        yield linear(
            "experts.output_linear", self.hidden_size, width, component="attention", split="row", count=self.experts
        )
        yield vector("experts.bias", self.hidden_size, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return router and experts, and the bias that is added to their sum."""
        yield from super().mlp_parts(index)
        yield vector("mlp.bias", self.hidden_size, component="experts")
