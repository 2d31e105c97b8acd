"""GPT-NeoX, Pythia and the Japanese GPT-NeoX: rotary positions, a head of its own."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.weights.parts import Part, vector


class GptNeox(Classic):
    """GPT-NeoX 20B, Pythia, StableLM alpha, RedPajama INCITE."""

    model_types = ("gpt_neox",)
    architectures = ("GPTNeoXForCausalLM",)
    source = "transformers 5.18 modeling_gpt_neox.py"

    @property
    def qkv_bias(self) -> bool:
        """`attention_bias`."""
        return self.config.flag("attention_bias", default=True)

    @property
    def output_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size`."""
        return self.config.count("intermediate_size")


class GptNeoxJapanese(Classic):
    """GPT-NeoX Japanese: no biases but one, on the last layer's attention."""

    model_types = ("gpt_neox_japanese",)
    architectures = ("GPTNeoXJapaneseForCausalLM",)
    source = "transformers 5.18 modeling_gpt_neox_japanese.py"
    qkv_bias = False
    output_bias = False
    mlp_bias = False

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_multiple_size` times the hidden size."""
        return self.config.checked_count(
            "intermediate_multiple_size", int(self.hidden_size * self.config.number("intermediate_multiple_size"))
        )

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, and the bias of the last layer's output."""
        yield from super().attention_parts(index)
        if index == self.layer_count - 1:
            yield vector("attention.dense_bias", self.hidden_size, component="attention")
