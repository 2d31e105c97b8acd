"""Llama with parameters added to its layers: BitNet, Differential Llama, HyperCLOVA X, Hunyuan, Doge."""

import math
from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class BitNet(Decoder):
    """BitNet: norms before the two output projections."""

    model_types = ("bitnet",)
    architectures = ("BitNetForCausalLM", "BitnetForCausalLM")
    source = "transformers 5.18 modeling_bitnet.py"
    mlp_bias = False

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the layer's norms and those inside attention and MLP."""
        yield from super().norm_parts(index)
        yield norm("attn_sub_norm", self.hidden_size)
        yield norm("ffn_sub_norm", self.intermediate_size)


class DiffLlama(Decoder):
    """Differential Llama: four vectors that weigh the second half of the heads against the first."""

    model_types = ("diffllama",)
    architectures = ("DiffLlamaForCausalLM",)
    source = "transformers 5.18 modeling_diffllama.py"
    mlp_bias = False

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the vectors."""
        yield from super().attention_parts(index)
        yield vector("lambda", 4, self.head_dim, component="attention")


class HyperClovaX(Decoder):
    """HyperCLOVA X: norms after attention and MLP too, unless switched off."""

    model_types = ("hyperclovax",)
    architectures = ("HyperCLOVAXForCausalLM",)
    source = "transformers 5.18 modeling_hyperclovax.py"

    @property
    def norms_per_layer(self) -> int:
        """Two, or four with `use_post_norm`."""
        return 4 if self.config.flag("use_post_norm", default=True) else 2


class HunyuanDense(Decoder):
    """Hunyuan dense: a norm on each Q and K head."""

    model_types = ("hunyuan_v1_dense",)
    architectures = ("HunYuanDenseV1ForCausalLM",)
    source = "transformers 5.18 modeling_hunyuan_v1_dense.py"
    mlp_bias = False
    qk_norm = True
    ignored: ClassVar[dict[str, str]] = {
        "cla_share_factor": "counts only with use_cla (Hunyuan's own code); modeling_hunyuan_v1_dense.py has neither"
    }


class Doge(Decoder):
    """Doge: a dynamic mask from the values, scaled residuals, and experts of single vectors beside the MLP."""

    model_types = ("doge",)
    architectures = ("DogeForCausalLM",)
    source = "transformers 5.18 modeling_doge.py"
    windowed = True
    qk_norm = True

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and what the mask is made with."""
        yield from super().attention_parts(index)
        yield vector("A", self.kv_heads, component="attention")
        yield linear("dt_proj", self.kv_heads, self.kv_heads * self.head_dim, bias=self.qkv_bias, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, and with `is_moe` the router and the experts' two vectors each."""
        yield from super().mlp_parts(index)
        if self.config.flag("is_moe", default=False):
            experts = self.config.count("num_experts")
            yield linear(
                "router_gate", 2 * math.isqrt(experts), self.hidden_size, component="router", split="replicated"
            )
            yield embedding("down_embed", experts, self.hidden_size, component="experts", split="replicated")
            yield embedding("up_embed", experts, self.hidden_size, component="experts", split="replicated")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and the residuals' scales."""
        yield from super().norm_parts(index)
        yield vector("residual_scales", 2, self.hidden_size, component="norms")
