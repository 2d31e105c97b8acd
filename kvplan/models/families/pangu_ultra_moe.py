"""openPangu: the dense models, and Ultra MoE with latent attention and norms on both sides. Remote code."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.weights.parts import Part, norm


class PanguEmbedded(Decoder):
    """openPangu-Embedded, 1B and 7B: Llama's shape with biases in attention."""

    model_types = ("PanguEmbedded", "pangu_embedded")
    architectures = ("PanguEmbeddedForCausalLM",)
    source = "vLLM 0.33 models/openpangu.py"

    @property
    def output_bias(self) -> bool:
        """`attention_bias` or `bias`."""
        config = self.config
        return config.flag("attention_bias", default=False) or config.flag("bias", default=False)

    @property
    def qkv_bias(self) -> bool:
        """`qkv_bias` where the file has it, else as the output's."""
        return self.config.flag("qkv_bias", default=self.output_bias)


class PanguUltraMoe(LatentMoe):
    """openPangu-Ultra-MoE."""

    model_types = ("pangu_ultra_moe",)
    architectures = ("PanguUltraMoEForCausalLM",)
    source = "vLLM 0.33 models/openpangu.py"

    @cached_property
    def router_correction(self) -> bool:
        """`router_enable_expert_bias`, a parameter here."""
        return self.config.flag("router_enable_expert_bias", default=False)

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return two norms, or four where the MLP has its own pair."""
        sandwich = self.config.flag("sandwich_norm", default=False)
        yield norm("layer_norms", self.hidden_size, count=4 if sandwich else 2)
