"""OLMo 1 to 3, OLMoE and FlexOlmo: norms over all heads of Q and K, and after attention and MLP instead of before."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder, MoeDecoder
from kvplan.weights.parts import Part, norm


class Olmo(Decoder):
    """OLMo 1: norms without parameters."""

    model_types = ("olmo",)
    architectures = ("OlmoForCausalLM",)
    source = "transformers 5.18 modeling_olmo.py"
    mlp_bias = False

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing."""
        return iter(())

    def outer(self) -> Iterator[Part]:
        """Return embedding and head."""
        yield from self.embedding_parts()
        yield from self.head_parts()


class Olmo2(Decoder):
    """OLMo 2."""

    model_types = ("olmo2",)
    architectures = ("Olmo2ForCausalLM",)
    source = "transformers 5.18 modeling_olmo2.py"
    mlp_bias = False

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the two norms."""
        yield from super().attention_parts(index)
        yield norm("q_norm", self.heads * self.head_dim)
        yield norm("k_norm", self.kv_heads * self.head_dim)


class Olmo3(Olmo2):
    """OLMo 3: every fourth layer is full, the others slide."""

    model_types = ("olmo3",)
    architectures = ("Olmo3ForCausalLM",)
    source = "transformers 5.18 modeling_olmo3.py, configuration_olmo3.py __post_init__"

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the rule; the window is the sliding layers' alone."""
        self.config.read.add("sliding_window")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every fourth from the fourth on."""
        return SLIDING if (index + 1) % 4 else FULL


class FlexOlmo(Olmo2, MoeDecoder):
    """FlexOlmo: OLMo 2 with routed experts in every layer."""

    model_types = ("flex_olmo",)
    architectures = ("FlexOlmoForCausalLM",)
    source = "transformers 5.18 modeling_flex_olmo.py"

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size


class Olmoe(FlexOlmo):
    """OLMoE: norms before attention and MLP; those of Q and K as wide as hidden size / heads makes them."""

    model_types = ("olmoe",)
    architectures = ("OlmoeForCausalLM",)
    source = "transformers 5.18 modeling_olmoe.py"

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the two norms."""
        yield from Decoder.attention_parts(self, index)
        yield norm("q_norm", self.hidden_size)
        yield norm("k_norm", self._derived_head_dim() * self.kv_heads)
