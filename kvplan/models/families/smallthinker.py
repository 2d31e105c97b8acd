"""SmallThinker: experts everywhere, chosen before attention; the file marks the layers that slide."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, MoeDecoder


class SmallThinker(MoeDecoder):
    """SmallThinker 4B-A0.6B and 21B-A3B."""

    model_types = ("smallthinker",)
    architectures = ("SmallThinkerForCausalLM",)
    source = "PowerInfer/SmallThinker-4BA0.6B-Instruct modeling_smallthinker.py (remote code)"
    qkv_bias = False
    expert_keys = ("moe_num_primary_experts",)
    per_token_keys = ("moe_num_active_primary_experts",)

    @cached_property
    def expert_size(self) -> int:
        """`moe_ffn_hidden_size`."""
        return self.config.count("moe_ffn_hidden_size")

    @cached_property
    def window(self) -> int | None:
        """`sliding_window_size`; the configuration's code repeats it as `sliding_window`."""
        return self.config.optional_count("sliding_window_size", "sliding_window")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def layout(self) -> list[int]:
        """1 for each layer that slides.

        Raises:
            ConfigError: it is no list of 0 and 1 for each layer.

        """
        # The configuration's code repeats the list as `sliding_window_pattern`.
        stated = self.config.counts("sliding_window_layout", "sliding_window_pattern", minimum=0)
        if stated is None:
            return [0] * self.layer_count
        if len(stated) != self.layer_count or not set(stated) <= {0, 1}:
            raise self.config.fail("sliding_window_layout", f"is not 0 or 1 for each of {self.layer_count} layers.")
        return stated

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed; a window stated beside a list without 1 is nobody's."""
        self.config.read.update(("sliding_window_size", "sliding_window"))
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Slide where the list says 1."""
        return SLIDING if self.layout[index] else FULL

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """Every layer.

        Raises:
            UnsupportedArchitectureError: the file has dense layers, of which the reference knows nothing.

        """
        if 0 in (self.config.counts("moe_layer_layout", minimum=0) or ()):
            raise self.refuse("moe_layer_layout", "has dense layers.", "Open an issue with the configuration.")
        return True
