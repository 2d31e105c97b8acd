"""StarCoder 2: a plain MLP, LayerNorm, biases everywhere, a tied head, a window on all layers where there is one."""

from kvplan.models.decoder import Decoder


class Starcoder2(Decoder):
    """StarCoder 2 3B, 7B, 15B."""

    model_types = ("starcoder2",)
    architectures = ("Starcoder2ForCausalLM",)
    source = "transformers 5.18 modeling_starcoder2.py"
    gated_mlp = False
    norm_bias = True
    windowed = True

    @property
    def qkv_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=True)

    @property
    def mlp_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias
