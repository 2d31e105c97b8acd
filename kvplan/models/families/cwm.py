"""Code World Model: Llama in which every fourth layer from the first on is full, the others slide."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class Cwm(Decoder):
    """CWM."""

    model_types = ("cwm",)
    architectures = ("CwmForCausalLM",)
    source = "transformers 5.18 modeling_cwm.py, configuration_cwm.py __post_init__"
    qkv_bias = False

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the rule; the window is the sliding layers' alone."""
        self.config.read.add("sliding_window")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every fourth from the first on."""
        return SLIDING if index % 4 else FULL
