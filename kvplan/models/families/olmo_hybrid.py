"""OLMo Hybrid: gated delta nets with OLMo 2's attention every fourth layer."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import GatedDeltaNet, Mixer
from kvplan.weights.parts import Part, norm


class OlmoHybrid(Hybrid):
    """OLMo Hybrid."""

    model_types = ("olmo_hybrid",)
    architectures = ("OlmoHybridForCausalLM",)
    source = "transformers 5.18 modeling_olmo_hybrid.py, configuration_olmo_hybrid.py __post_init__"
    mlp_bias = False

    @cached_property
    def mixer(self) -> Mixer:
        """The gated delta net; what is not stated follows from the attention heads and the hidden size."""
        config = self.config
        key_heads = config.optional_count("linear_num_key_heads") or self.heads
        derived = 3 * self.hidden_size // (4 * key_heads)
        key_dim = config.optional_count("linear_key_head_dim") or derived
        if not key_dim:
            raise config.fail("linear_num_key_heads", f"is {key_heads}, too many for hidden_size ({self.hidden_size}).")
        return GatedDeltaNet(
            hidden=self.hidden_size,
            key_heads=key_heads,
            value_heads=config.optional_count("linear_num_value_heads") or self.heads,
            key_dim=key_dim,
            value_dim=config.optional_count("linear_value_head_dim") or 2 * key_dim,
            taps=config.count("linear_conv_kernel_dim"),
        )

    def layer_type_rule(self, index: int) -> str:
        """Every fourth layer attends; of fewer than four, the last."""
        last = self.layer_count - 1
        return FULL if index % 4 == 3 or index == last < 3 else LINEAR

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or attention with norms over all heads together."""
        yield from super().attention_parts(index)
        if not self.is_recurrent(index):
            yield norm("q_norm", self.heads * self.head_dim)
            yield norm("k_norm", self.kv_heads * self.head_dim)
