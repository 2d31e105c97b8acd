"""Command R, Command A, Aya: attention and MLP side by side after one norm without bias, a tied head."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder
from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, norm


class Cohere(Decoder):
    """Command R and R+, Aya 23."""

    model_types = ("cohere",)
    architectures = ("CohereForCausalLM",)
    source = "transformers 5.18 modeling_cohere.py"
    norms_per_layer = 1
    mlp_bias = False

    @cached_property
    def max_context_tokens(self) -> int | None:
        """`model_max_length` where it is stated: it overrules the positions (vLLM 0.33 model_arch_config_convertor.py)."""
        return self.config.optional_count("model_max_length") or super().max_context_tokens

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, and a norm over all heads of Q and of K where `use_qk_norm` asks for them."""
        yield from super().attention_parts(index)
        if self.config.flag("use_qk_norm", default=False):
            yield norm("q_norm", self.heads * self.head_dim)
            yield norm("k_norm", self.kv_heads * self.head_dim)


class Cohere2(Decoder):
    """Command R7B, Command A, Aya Expanse: every `sliding_window_pattern`-th layer is full, the others slide."""

    model_types = ("cohere2",)
    architectures = ("Cohere2ForCausalLM",)
    source = "transformers 5.18 modeling_cohere2.py, configuration_cohere2.py __post_init__"
    norms_per_layer = 1
    mlp_bias = False

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the pattern; the window is the sliding layers' alone."""
        self.config.read |= {"sliding_window", "sliding_window_pattern"}
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Count the pattern from 1."""
        return SLIDING if (index + 1) % self.config.count("sliding_window_pattern", default=4) else FULL


class CohereCompass(Cohere2):
    """The language model of Cohere's Compass: all layers full unless the file lists them."""

    model_types = ("cohere_compass_text",)
    architectures = ("CohereCompassForCausalLM",)
    source = "transformers 5.18 modeling_cohere_compass.py, configuration_cohere_compass.py __post_init__"

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """All full."""
        return FULL


class Cohere2Moe(ListedMoe):
    """Cohere's routed experts, after dense layers that have a width and a pattern of windows of their own."""

    model_types = ("cohere2_moe",)
    architectures = ("Cohere2MoeForCausalLM",)
    source = "transformers 5.18 modeling_cohere2_moe.py, configuration_cohere2_moe.py __post_init__"
    norms_per_layer = 1
    mlp_bias = False
    expert_keys = ("num_experts",)
    shared_keys = ("num_shared_experts",)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the patterns."""
        self.config.read.add("sliding_window_pattern")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Each part counts from its own first layer."""
        dense = self.config.count("first_k_dense_replace", default=0, minimum=0)
        if index < dense:
            return (
                SLIDING if (index + 1) % self.config.count("prefix_dense_sliding_window_pattern", default=1) else FULL
            )
        return SLIDING if (index - dense + 1) % self.config.count("sliding_window_pattern", default=4) else FULL

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return a dense layer's MLP, `prefix_dense_intermediate_size` wide where the file states it."""
        return super().dense_mlp(self.config.optional_count("prefix_dense_intermediate_size") or width)
