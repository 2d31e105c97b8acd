"""XGLM, CTRL and Persimmon: GPT-2's form with positions that are computed."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import BiasedHead, Classic
from kvplan.weights.parts import Part, norm


class Xglm(Classic):
    """XGLM."""

    model_types = ("xglm",)
    architectures = ("XGLMForCausalLM",)
    source = "transformers 5.18 modeling_xglm.py"

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_dim`."""
        return self.config.count("ffn_dim", "intermediate_size")


class Ctrl(BiasedHead, Classic):
    """CTRL."""

    model_types = ("ctrl",)
    architectures = ("CTRLLMHeadModel",)
    source = "transformers 5.18 modeling_ctrl.py"

    @cached_property
    def intermediate_size(self) -> int:
        """`dff`."""
        return self.config.count("dff", "intermediate_size")


class Persimmon(Classic):
    """Persimmon: a norm on each Q and K head."""

    model_types = ("persimmon",)
    architectures = ("PersimmonForCausalLM",)
    source = "transformers 5.18 modeling_persimmon.py"

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size`."""
        return self.config.count("intermediate_size")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the norms of Q and K."""
        yield from super().attention_parts(index)
        if self.config.flag("qk_layernorm", default=True):
            yield norm("qk_layernorm", self.head_dim, bias=True, count=2)
