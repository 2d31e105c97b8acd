"""Laguna: listed windows, query heads by layer, gated attention; one dense layer, then experts beside a shared one."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, linear


class Laguna(ListedMoe):
    """Laguna."""

    model_types = ("laguna",)
    architectures = ("LagunaForCausalLM",)
    source = "transformers 5.18 modeling_laguna.py, configuration_laguna.py __post_init__; vLLM 0.33 models/laguna.py"
    qk_norm = True
    mlp_bias = False
    first_dense = 1
    router_correction = True
    expert_keys = ("num_experts", "num_local_experts")

    @cached_property
    def heads_by_layer(self) -> list[int]:
        """Query heads of each layer."""
        stated = self.config.counts("num_attention_heads_per_layer")
        if stated is not None and len(stated) < self.layer_count:
            raise self.config.fail(
                "num_attention_heads_per_layer", f"has {len(stated)} values for {self.layer_count} layers."
            )
        return stated or [self.heads] * self.layer_count

    def heads_at(self, index: int) -> int:
        """Query heads of layer `index`."""
        return self.heads_by_layer[index]

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("shared_expert_intermediate_size")

    @cached_property
    def per_head(self) -> bool:
        """Whether the gate has one value for a head: `gating` true or "per-head"."""
        return self.config.raw("gating") in (True, "per-head")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the output's gate, one for a head or one for each of its numbers."""
        heads = self.heads_at(index)
        rows = heads if self.per_head else heads * self.head_dim
        yield from super().attention_parts(index)
        yield linear("g_proj", rows, self.hidden_size, component="attention")
