"""BLIP: a vision transformer and BERT as a decoder that reads it."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import architecture, named
from kvplan.models.family import Family
from kvplan.models.spec import Layer
from kvplan.models.text_encoder import LANGUAGE, TextEncoder
from kvplan.models.towers import Tower, encoder_layer, patch_grid, self_attention, sides, times
from kvplan.weights.parts import Part, convolution, embedding, norm, vector


class BlipVision(Tower):
    """BLIP's tower: three colours, a class token, a norm at the end."""

    model_types = ("blip_vision_model",)
    source = "transformers 5.18 modeling_blip.py"
    cacheless = "a vision encoder"

    @cached_property
    def positions(self) -> int:
        """Patches and the class token."""
        return patch_grid(self.config) + 1

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        width = self.width
        yield vector("class_embedding", width, component="vision")
        yield convolution(
            "patch_embedding",
            width,
            3,
            *sides(self.config, "patch_size"),
            bias=True,
            component="vision",
            split="replicated",
        )
        yield vector("position_embedding", self.positions, width, component="vision")
        yield from times(self.depth, encoder_layer(width, self.mlp))
        yield norm("post_layernorm", width, bias=True, component="vision")


class BlipText(TextEncoder):
    """BLIP's text model, a decoder unless `is_decoder` is false; cross-attention reads `encoder_hidden_size`."""

    model_types = ("blip_text_model",)
    source = "transformers 5.18 modeling_blip_text.py"
    prefix = ("BlipText",)

    @cached_property
    def decodes(self) -> bool:
        """`is_decoder`."""
        return self.config.flag("is_decoder", default=True)

    @cached_property
    def crosses(self) -> bool:
        """Every decoder reads the image."""
        return self.decodes

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return self-attention, and cross-attention with its norm."""
        yield from named("self.", self.one_attention(index))
        if self.crosses:
            source = self.config.count("encoder_hidden_size")
            yield from named("crossattention.", self_attention(self.hidden_size, component="attention", source=source))
            yield norm("crossattention.LayerNorm", self.hidden_size, bias=True)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of tokens and positions."""
        yield embedding("word_embeddings", self.vocab_size, self.hidden_size)
        rows = self.config.count("max_position_embeddings")
        yield embedding("position_embeddings", rows, self.hidden_size, split="replicated")


class Blip(Family):
    """BLIP that captions. Files of the classes that answer or compare are recognised, their parameters not counted."""

    model_types = ("blip",)
    architectures = ("BlipForConditionalGeneration",)
    source = "transformers 5.18 modeling_blip.py BlipForConditionalGeneration"

    @cached_property
    def name(self) -> str:
        """The class that the file names."""
        return architecture(self.config)

    @cached_property
    def captions(self) -> bool:
        """Whether the class is the one that captions, as a file without a class is read."""
        return not self.name or self.name.endswith("ForConditionalGeneration")

    @cached_property
    def cacheless(self) -> str | None:
        """Classes without a decoder keep nothing."""
        generates = self.captions or self.name.endswith("ForQuestionAnswering")
        return None if generates else f"a model of images and text without a decoder ({self.name})"

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Only the captioner is counted."""
        return None if self.captions else f"{self.name} is not counted"

    @cached_property
    def has_encoder(self) -> bool:
        """The captioner's decoder reads the image; the answerer's the question."""
        return not self.cacheless

    @cached_property
    def encoder_tokens(self) -> int | None:
        """Positions of the image; a question's follow the request."""
        return self.vision.positions if self.captions else None

    @cached_property
    def vision(self) -> BlipVision:
        """The tower.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested("vision_config", "blip_vision_model")
        if not isinstance(family, BlipVision):
            raise self.refuse("vision_config", "is of another type.", "Use the type of the published files.")
        return family

    @cached_property
    def text(self) -> BlipText:
        """The text model with a language model's head.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested("text_config", "blip_text_model")
        if not isinstance(family, BlipText):
            raise self.refuse("text_config", "is of another type.", "Use the type of the published files.")
        family.name, family.head = "", LANGUAGE
        family.tied = family.tied or self.config.flag("tie_word_embeddings", default=True)
        return family

    @cached_property
    def hidden_size(self) -> int:
        """The text model's."""
        return self.text.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The text model's."""
        return self.text.vocab_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The text model's."""
        return self.text.max_context_tokens

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers."""
        return () if self.cacheless else self.text.layers()

    def outer(self) -> Iterator[Part]:
        """Return tower, embeddings and head."""
        yield from self.vision.outer()
        yield from self.text.outer()
