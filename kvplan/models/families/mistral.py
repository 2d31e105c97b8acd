"""Mistral and Ministral: Llama with a window, on all layers where there is one; no biases."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class Mistral(Decoder):
    """Mistral 7B to Large, Nemo, Small, Devstral, Ministral and Ministral 3."""

    model_types = ("mistral", "ministral", "ministral3")
    architectures = ("MistralForCausalLM", "MinistralForCausalLM", "Ministral3ForCausalLM")
    source = "transformers 5.18 modeling_mistral.py, modeling_ministral.py, modeling_ministral3.py"
    windowed = True
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def window(self) -> int | None:
        """`sliding_window`, which MLC's copies of the file call `sliding_window_size`; null, 0 and -1 mean none."""
        window = self.config.optional_count("sliding_window", "sliding_window_size", minimum=-1)
        return window if window and window > 0 else None
