"""K-EXAONE: every fourth layer full, the rest in a window; Q/K norms; experts after the first dense layers."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe


class ExaoneMoe(ListedMoe):
    """K-EXAONE: a pattern is a number of layers or letters, L for a window and G for full."""

    model_types = ("exaone_moe",)
    architectures = ("ExaoneMoeForCausalLM", "ExaoneMoEForCausalLM")
    source = "transformers 5.18 modeling_exaone_moe.py, configuration_exaone_moe.py __post_init__; vLLM 0.33 models/exaone_moe.py"
    qk_norm = True
    qkv_bias = False
    mlp_bias = False
    first_dense = 1
    expert_keys = ("num_experts", "n_routed_experts", "num_local_experts")
    shared_keys = ("num_shared_experts", "n_shared_experts")
    beside_list = ("sliding_window", "sliding_window_pattern")

    @cached_property
    def letters(self) -> Sequence[str]:
        """The pattern as letters."""
        stated = self.config.raw("sliding_window_pattern", default=4)
        if not isinstance(stated, str):
            every = self.config.count("sliding_window_pattern", default=4)
            return [*("L" * (every - 1 if every <= self.layer_count else self.layer_count)), "G"]
        if not stated or set(stated) - {"L", "G"}:
            raise self.config.fail("sliding_window_pattern", f"is {stated[:40]!r}; letters L and G were expected.")
        return stated

    def layer_type_rule(self, index: int) -> str:
        """By the pattern; all full without a window."""
        if self.window is None:
            return FULL
        return SLIDING if self.letters[index % len(self.letters)] == "L" else FULL
