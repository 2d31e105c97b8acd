"""Phi 3, 3.5 and 4: Llama with fused projections and a window, usually wider than the context; Phi 3 small apart."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class Phi3(Decoder):
    """Phi 3 mini and medium, 3.5 mini, 4, 4 mini."""

    model_types = ("phi3",)
    architectures = ("Phi3ForCausalLM",)
    source = "transformers 5.18 modeling_phi3.py"
    windowed = True
    qkv_bias = False
    mlp_bias = False


class Phi3Small(Decoder):
    """Phi 3 small: biases everywhere, LayerNorm, a tied head.

    Its block-sparse layers read a part of the past, but keep all of it.
    """

    model_types = ("phi3small",)
    architectures = ("Phi3SmallForCausalLM",)
    source = "microsoft/Phi-3-small-128k-instruct modeling_phi3_small.py (remote code); its 7,392,272,384 parameters"
    norm_bias = True
    qkv_bias = True
    mlp_bias = True

    @cached_property
    def intermediate_size(self) -> int:
        """`ff_intermediate_size`."""
        return self.config.count("ff_intermediate_size", "intermediate_size")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)
