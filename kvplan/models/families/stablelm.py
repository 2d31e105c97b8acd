"""StableLM 3B to 12B: Llama with LayerNorm; optional biases on Q, K and V, norms on heads, parallel blocks."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, norm


class StableLm(Decoder):
    """StableLM 3B 4E1T, StableLM 2."""

    model_types = ("stablelm", "stablelm_epoch")
    architectures = ("StableLmForCausalLM", "StableLMEpochForCausalLM")
    source = "transformers 5.18 modeling_stablelm.py"
    norm_bias = True
    output_bias = False
    mlp_bias = False

    @property
    def qkv_bias(self) -> bool:
        """`use_qkv_bias`."""
        return self.config.flag("use_qkv_bias", default=False)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @property
    def norms_per_layer(self) -> int:
        """One where attention and MLP run side by side."""
        return 1 if self.config.flag("use_parallel_residual", default=False) else 2

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, and a norm of its own for each head where `qk_layernorm` asks for them."""
        yield from super().attention_parts(index)
        if self.config.flag("qk_layernorm", default=False):
            yield norm("q_layernorm", self.head_dim, count=self.heads)
            yield norm("k_layernorm", self.head_dim, count=self.kv_heads)
