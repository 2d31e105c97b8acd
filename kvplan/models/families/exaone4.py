"""EXAONE 4: norms after attention and MLP and on Q and K heads, every fourth layer full; EXAONE 3 and 3.5: Llama."""

from collections.abc import Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class Exaone4(Decoder):
    """EXAONE 4.0."""

    model_types = ("exaone4",)
    architectures = ("Exaone4ForCausalLM",)
    source = (
        "transformers 5.18 modeling_exaone4.py, configuration_exaone4.py __post_init__; LLLG: facts of the 4.0 files"
    )
    qkv_bias = False
    mlp_bias = False
    qk_norm = True

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the pattern; the window is the sliding layers' alone."""
        self.config.read |= {"sliding_window", "sliding_window_pattern"}
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """All are full without a window; else the pattern, a number or the letters L (local) and G (global)."""
        if self.window is None:
            return FULL
        pattern = self.config.raw("sliding_window_pattern")
        if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
            last = index == self.layer_count - 1
            return FULL if last or pattern[index % len(pattern)] == "G" else SLIDING
        return SLIDING if (index + 1) % self.config.count("sliding_window_pattern") else FULL


class Exaone(Decoder):
    """EXAONE 3.0 and 3.5."""

    model_types = ("exaone",)
    architectures = ("ExaoneForCausalLM",)
    source = "vLLM 0.33 models/exaone.py; LGAI-EXAONE configuration_exaone.py (the defaults)"

    @cached_property
    def layer_count(self) -> int:
        """`num_layers`."""
        return self.config.count("num_layers", "num_hidden_layers")

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size`, else four times the hidden size."""
        return self.config.optional_count("intermediate_size") or 4 * self.hidden_size

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)
