"""SmolLM 3: Llama; the layers without rotation could slide, but no published model's do."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class SmolLm3(Decoder):
    """SmolLM 3."""

    model_types = ("smollm3",)
    architectures = ("SmolLM3ForCausalLM",)
    source = "transformers 5.18 modeling_smollm3.py, configuration_smollm3.py __post_init__"

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the rule; the window is the sliding layers' alone.

        Raises:
            UnsupportedArchitectureError: the list has sliding layers, but windows are switched off.

        """
        self.config.read.add("sliding_window")
        types = super().layer_types
        if SLIDING in types and not self.config.flag("use_sliding_window", default=False):
            raise self.refuse(
                "layer_types",
                f"has {SLIDING!r} but use_sliding_window is not true: masks follow one key, caches the other.",
                "Set use_sliding_window, or list the layers as full_attention.",
            )
        return types

    def layer_type_rule(self, index: int) -> str:
        """Layers whose `no_rope_layers` entry is 0 slide where `use_sliding_window` is true."""
        if not self.config.flag("use_sliding_window", default=False) or self.window is None:
            return FULL
        rotates = self.config.counts("no_rope_layers", minimum=0)
        if rotates is None:
            return FULL if (index + 1) % self.config.count("no_rope_layer_interval", default=4) else SLIDING
        if index >= len(rotates):
            raise self.config.fail("no_rope_layers", f"has {len(rotates)} entries for {self.layer_count} layers.")
        return FULL if rotates[index] else SLIDING
