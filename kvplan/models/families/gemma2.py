"""Gemma and Gemma 2: wide heads, a tied head, and in Gemma 2 every other layer in a window, with four norms."""

from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, Decoder


class Gemma(Decoder):
    """Gemma 1."""

    model_types = ("gemma",)
    architectures = ("GemmaForCausalLM",)
    source = "transformers 5.18 modeling_gemma.py"

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)


class Gemma2(Gemma):
    """Gemma 2: layers 0, 2, 4, ... slide where the file has no list (`configuration_gemma2.py`)."""

    model_types = ("gemma2",)
    architectures = ("Gemma2ForCausalLM",)
    source = "transformers 5.18 modeling_gemma2.py, configuration_gemma2.py __post_init__"
    norms_per_layer = 4

    @cached_property
    def window(self) -> int | None:
        """`sliding_window`; two of Google's own files also call it `sliding_window_size`."""
        window = self.config.optional_count("sliding_window", "sliding_window_size", minimum=-1)
        return window if window and window > 0 else None

    def layer_type_rule(self, index: int) -> str:
        """Even layers slide."""
        return FULL if index % 2 or self.window is None else SLIDING
