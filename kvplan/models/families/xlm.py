"""XLM: an encoder in GPT-2's form, which keeps a cache only where it is trained to generate."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import BiasedHead, Classic
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, embedding, norm


class Xlm(BiasedHead, Classic):
    """XLM with its language-model head."""

    model_types = ("xlm",)
    architectures = ("XLMWithLMHeadModel",)
    source = "transformers 5.18 modeling_xlm.py"
    learned_positions = 0

    @cached_property
    def cacheless(self) -> str | None:
        """Bidirectional unless `causal`."""
        return None if self.config.flag("causal", default=False) else "a bidirectional encoder"

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The adaptive softmax is not counted."""
        return "asm is true: an adaptive softmax" if self.config.flag("asm", default=False) else None

    @cached_property
    def vocab_size(self) -> int:
        """`n_words`."""
        return self.config.count("n_words", "vocab_size")

    @cached_property
    def intermediate_size(self) -> int:
        """Four times the hidden size, with no key for another width."""
        return 4 * self.hidden_size

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers that keep a cache; an encoder's stand with the outer parts."""
        return () if self.cacheless else super().layers()

    def embedding_parts(self) -> Iterator[Part]:
        """Return embeddings of tokens, positions and languages."""
        yield from super().embedding_parts()
        languages = self.config.count("n_langs", default=1)
        if languages > 1 and self.config.flag("use_lang_emb", default=True):
            yield embedding("lang_embeddings", languages, self.hidden_size, split="replicated")

    def outer(self) -> Iterator[Part]:
        """Return embeddings, their norm, an encoder's layers, and the head."""
        yield from self.embedding_parts()
        yield norm("layer_norm_emb", self.hidden_size, bias=True)
        if self.cacheless:
            for index in range(self.layer_count):
                yield from self.parts(index)
        yield from self.head_parts()
