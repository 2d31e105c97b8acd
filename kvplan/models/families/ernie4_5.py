"""ERNIE 4.5, dense: Llama with one switch for all biases and a tied head."""

from kvplan.models.decoder import Decoder


class Ernie45(Decoder):
    """ERNIE 4.5 0.3B."""

    model_types = ("ernie4_5",)
    architectures = ("Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM")
    source = "transformers 5.18 modeling_ernie4_5.py"

    @property
    def qkv_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias
