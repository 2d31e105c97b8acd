"""BLOOM: ALiBi, biases everywhere, a norm after the embedding."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.weights.parts import Part, norm


class Bloom(Classic):
    """BLOOM, BLOOMZ."""

    model_types = ("bloom",)
    architectures = ("BloomForCausalLM",)
    source = "transformers 5.18 modeling_bloom.py, configuration_bloom.py __post_init__"

    @cached_property
    def hidden_size(self) -> int:
        """`n_embed` in old files."""
        return self.config.count("n_embed", "hidden_size")

    @cached_property
    def intermediate_size(self) -> int:
        """Four times the hidden size, with no key for another width."""
        return 4 * self.hidden_size

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and its norm."""
        yield from super().embedding_parts()
        yield norm("word_embeddings_layernorm", self.hidden_size, bias=True)
