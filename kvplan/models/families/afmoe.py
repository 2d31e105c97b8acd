"""Arcee Trinity (AFMoE): every fourth layer full, the rest in a window; gated attention, four norms, shared experts."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, linear, vector


class Afmoe(ListedMoe):
    """AFMoE: `global_attn_every_n_layers` says which layers are full where the file has no list."""

    model_types = ("afmoe",)
    architectures = ("AfmoeForCausalLM",)
    source = "transformers 5.18 modeling_afmoe.py, configuration_afmoe.py __post_init__; vLLM 0.33 models/afmoe.py"
    qk_norm = True
    mlp_bias = False
    norms_per_layer = 4
    expert_keys = ("num_experts", "num_local_experts")
    shared_keys = ("num_shared_experts",)

    @cached_property
    def dense_layers(self) -> int:
        """Layers at the start that do not route."""
        return self.config.count("num_dense_layers", default=0, minimum=0)

    def layer_type_rule(self, index: int) -> str:
        """Every so many layers one is full."""
        return SLIDING if (index + 1) % self.config.count("global_attn_every_n_layers") else FULL

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the output's gate."""
        yield from super().attention_parts(index)
        yield linear("gate_proj", self.heads * self.head_dim, self.hidden_size, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, or the experts and their bias, a parameter that is not trained."""
        yield from super().mlp_parts(index)
        if self.is_moe(index):
            yield vector("expert_bias", self.experts, component="router")
