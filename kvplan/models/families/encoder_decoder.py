"""Files that put any encoder in front of any decoder: text (BERT to BERT), images (Donut, Nougat, TrOCR), speech."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import EncoderDecoder
from kvplan.models.families.gpt2 import Gpt2
from kvplan.models.families.vit import ImageEncoder
from kvplan.models.families.wav2vec2 import Wav2Vec2
from kvplan.models.family import Family, as_component
from kvplan.models.spec import Layer
from kvplan.models.text_encoder import LANGUAGE, TextEncoder
from kvplan.models.towers import Tower
from kvplan.weights.parts import Part, linear


class Composite(Family):
    """An encoder under `encoder`, a decoder with cross-attention under `decoder`, each with a head or tie of its own.

    Source of the projection between them: VisionEncoderDecoderModel.__init__ (enc_to_dec_proj).
    """

    model_types = ("encoder-decoder", "vision-encoder-decoder", "speech-encoder-decoder", "nougat")
    architectures = ("EncoderDecoderModel", "VisionEncoderDecoderModel", "SpeechEncoderDecoderModel")
    source = (
        "transformers 5.18 modeling_encoder_decoder.py, modeling_vision_encoder_decoder.py, "
        "modeling_speech_encoder_decoder.py"
    )
    has_encoder = True

    @cached_property
    def encoder(self) -> Family:
        """The encoder as its bare class.

        Raises:
            ConfigError: the file has no encoder.

        """
        return self._bare(self._part("encoder"))

    @cached_property
    def decoder(self) -> Decoder:
        """The decoder as its class with a language-model head.

        Raises:
            ConfigError: the file has no decoder.
            UnsupportedArchitectureError: it does not read an encoder.

        """
        family = self._part("decoder")
        if isinstance(family, TextEncoder):
            family.name, family.head = "", LANGUAGE
        if isinstance(family, EncoderDecoder):
            family.alone = True
            family.encoder_only = False
        elif not (isinstance(family, TextEncoder | Gpt2) and family.has_encoder):
            raise self.refuse(
                "decoder",
                f"is of type {family.config.model_type!r} and not known to read an encoder.",
                "A decoder of BERT's or GPT-2's kind needs is_decoder and add_cross_attention.",
            )
        return family

    def _part(self, key: str) -> Family:
        if not self.config.states(key):
            raise self.config.fail(key, "is not stated; a configuration was expected.")
        return self.nested(key)

    def _bare(self, family: Family) -> Family:
        if isinstance(family, TextEncoder | ImageEncoder | Wav2Vec2):
            family.name = ""
        return family

    @cached_property
    def encoder_size(self) -> int:
        """Width of the encoder's output."""
        encoder = self.encoder
        if isinstance(encoder, Tower):
            return encoder.features
        return encoder.hidden_size or encoder.config.count("hidden_size")

    @cached_property
    def encoder_tokens(self) -> int | None:
        """An image has as many positions as its encoder gives; text and speech follow the request."""
        encoder = self.encoder
        return encoder.positions if isinstance(encoder, ImageEncoder) else None

    @cached_property
    def hidden_size(self) -> int:
        """The decoder's."""
        return self.decoder.hidden_size

    @cached_property
    def vocab_size(self) -> int:
        """The decoder's."""
        return self.decoder.vocab_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The decoder's."""
        return self.decoder.max_context_tokens

    @cached_property
    def tied(self) -> bool:
        """The decoder's."""
        return self.decoder.tied

    @cached_property
    def unknown_parameters(self) -> str | None:
        """What either of them does not know."""
        return self.encoder.unknown_parameters or self.decoder.unknown_parameters

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers, each of which keeps the encoder's keys and values too."""
        layers = self.decoder.layers()
        if isinstance(self.decoder, EncoderDecoder):
            cross = self.decoder.cross_attention
            return tuple(
                Layer(caches=(*layer.caches, cross(index)), parts=layer.parts) for index, layer in enumerate(layers)
            )
        return layers

    def outer(self) -> Iterator[Part]:
        """Return the encoder, the decoder's outer parts and the projection where the widths differ."""
        yield from as_component(self.encoder.outer(), "encoder")
        yield from self.decoder.outer()
        own = self.decoder.config.optional_count("cross_attention_hidden_size")
        if self.encoder_size != self.hidden_size and own is None:
            yield linear("enc_to_dec_proj", self.hidden_size, self.encoder_size, bias=True, component="projector")
