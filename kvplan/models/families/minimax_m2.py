"""MiniMax M2: full attention with Q and K normed over all heads, experts in every layer."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, vector


class MiniMaxM2(ListedMoe):
    """MiniMax M2 to M2.7. `attn_type_list` is a remnant of M1: 1 is softmax attention, the only kind here."""

    model_types = ("minimax_m2",)
    architectures = ("MiniMaxM2ForCausalLM",)
    source = "transformers 5.18 modeling_minimax_m2.py; vLLM 0.33 models/minimax_m2.py"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_local_experts", "num_experts")

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """None: `shared_intermediate_size` is 0 in the published files."""
        if self.config.count("shared_intermediate_size", default=0, minimum=0):
            raise self.refuse("shared_intermediate_size", "is not 0.", "The reference has no shared experts.")
        return 0

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route."""
        return True

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the layer's cache; a kind other than softmax attention is refused."""
        kinds = self.config.counts("attn_type_list", minimum=0) or []
        if any(kind != 1 for kind in kinds[: self.layer_count]):
            raise self.refuse("attn_type_list", "lists another kind than 1.", "M2 has softmax attention only.")
        return super().caches(index)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the two norms, each over all heads and split with them."""
        yield from super().attention_parts(index)
        yield vector("q_norm", self.heads * self.head_dim, component="norms", split="column")
        keys = vector("k_norm", self.kv_heads * self.head_dim, component="norms", split="column")
        yield replace(keys, units=self.kv_heads)
