"""Phi 1, 1.5 and 2: attention and MLP side by side after one norm, biases everywhere, the head's too."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import BiasedHead
from kvplan.weights.parts import Part, norm


class Phi(BiasedHead):
    """Phi in transformers' form."""

    model_types = ("phi",)
    architectures = ("PhiForCausalLM",)
    source = "transformers 5.18 modeling_phi.py"
    gated_mlp = False
    norm_bias = True
    qkv_bias = True
    output_bias = True
    mlp_bias = True
    norms_per_layer = 1

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, and the norms of Q and K where `qk_layernorm` asks for them."""
        yield from super().attention_parts(index)
        if self.config.flag("qk_layernorm", default=False):
            yield norm("qk_layernorm", self._derived_head_dim(), bias=True, count=2)


class PhiMsft(Phi):
    """Phi 1.5 and 2 as first published, with GPT-2's key names."""

    model_types = ("phi-msft", "mixformer-sequential")
    architectures = ("MixFormerSequentialForCausalLM",)
    source = "microsoft/phi-2 modeling_phi.py (remote code); the same parameters as transformers' form"

    @cached_property
    def hidden_size(self) -> int:
        """`n_embd`."""
        return self.config.count("n_embd", "hidden_size")

    @cached_property
    def layer_count(self) -> int:
        """`n_layer`."""
        return self.config.count("n_layer", "num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """`n_head`."""
        return self.config.count("n_head", "num_attention_heads")

    @cached_property
    def kv_heads(self) -> int:
        """`n_head_kv`; null means one per query head."""
        return self.config.optional_count("n_head_kv", "num_key_value_heads") or self.heads

    @cached_property
    def intermediate_size(self) -> int:
        """`n_inner`, else four times the hidden size."""
        return self.config.optional_count("n_inner") or 4 * self.hidden_size
