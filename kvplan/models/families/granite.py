"""Granite 3 and 4 without Mamba layers: Llama with multipliers; with experts; with windows and attention sinks."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder, MoeDecoder
from kvplan.weights.parts import Part, vector


class Granite(Decoder):
    """Granite 3 and 4, dense."""

    model_types = ("granite",)
    architectures = ("GraniteForCausalLM",)
    source = "transformers 5.18 modeling_granite.py"


class GraniteMoe(MoeDecoder):
    """Granite 3 with experts, all `intermediate_size` wide; shared ones where the file gives their width."""

    model_types = ("granitemoe", "granitemoeshared")
    architectures = ("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM")
    source = "transformers 5.18 modeling_granitemoe.py, modeling_granitemoeshared.py"
    expert_keys = ("num_local_experts", "num_experts")

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`; `moe_intermediate_size` only in files that do not state it."""
        if not self.config.states("intermediate_size") and self.config.states("moe_intermediate_size"):
            return self.config.count("moe_intermediate_size")
        return self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """`shared_intermediate_size`."""
        if self.config.model_type == "granitemoe":
            return 0
        return self.config.optional_count("shared_intermediate_size", minimum=0) or 0


class SwashAttention(Decoder):
    """Windows on all layers but every fourth from the first on, and a sink for each head."""

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the rule; the window is the sliding layers' alone."""
        self.config.read.add("sliding_window")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every fourth from the first on."""
        return SLIDING if index % 4 else FULL

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the sinks."""
        yield from super().attention_parts(index)
        yield vector("sinks", self.heads, component="attention", split="column")


class GraniteSwash(SwashAttention, Granite):
    """Granite Swash, dense."""

    model_types = ("granite_swa",)
    architectures = ("GraniteSWAForCausalLM",)
    source = "transformers 5.18 modeling_granite_swa.py, configuration_granite_swa.py __post_init__"


class GraniteMoeSwash(SwashAttention, GraniteMoe):
    """Granite Swash with experts."""

    model_types = ("granitemoe_swa",)
    architectures = ("GraniteMoeSWAForCausalLM",)
    source = "transformers 5.18 modeling_granitemoe_swa.py, configuration_granitemoe_swa.py __post_init__"
