"""SpeechT5: one pair of stacks between nets for text and for speech; the class says which stand on either side."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import EncoderDecoder, architecture
from kvplan.models.families.wav2vec2 import Wav2Vec2
from kvplan.models.family import as_component
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector


class SpeechT5(EncoderDecoder):
    """SpeechT5. A file that names no class is read as speech to text."""

    model_types = ("speecht5",)
    architectures = ("SpeechT5ForSpeechToText", "SpeechT5ForTextToSpeech", "SpeechT5ForSpeechToSpeech")
    source = "transformers 5.18 modeling_speecht5.py"
    alone = False
    encoder_only = False

    @cached_property
    def _sides(self) -> tuple[str, str]:
        name = architecture(self.config).removeprefix("SpeechT5For") or "SpeechToText"
        source, _, target = name.partition("To")
        return source, target

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The three published classes are counted."""
        known = {"Speech", "Text"}
        return None if known >= set(self._sides) else f"the class {architecture(self.config)} is not counted"

    @cached_property
    def max_context_tokens(self) -> int:
        """Positions of what is written: text, or frames of speech over the reduction factor."""
        if self._sides[1] == "Text":
            return self.config.count("max_text_positions")
        return self.config.count("max_speech_positions")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of the sides that are text."""
        if self._sides[0] == "Text":
            yield embedding("encoder.prenet.embed_tokens", self.vocab_size, self.hidden_size, component="encoder")
        if self._sides[1] == "Text":
            yield embedding("decoder.prenet.embed_tokens", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the net before the encoder, the layers, norm and relative positions."""
        config, width = self.config, self.hidden_size
        if self._sides[0] == "Speech":
            yield from as_component(self.speech_parts(), "encoder")
        else:
            yield vector("encoder.prenet.alpha", 1, component="encoder")
        yield from super().encoder_parts()
        yield norm("encoder.layer_norm", width, bias=True, component="encoder")
        heads = config.count("encoder_attention_heads")
        rows = 2 * config.count("encoder_max_relative_position")
        yield embedding("encoder.embed_positions", rows, width // heads, component="encoder", split="replicated")

    def speech_parts(self) -> Iterator[Part]:
        """Return wav2vec 2.0's front."""
        front = Wav2Vec2(self.config)
        yield from front.feature_parts()
        yield from front.projection_parts()
        yield from front.position_parts()
        if self.config.number("mask_time_prob", default=0.05) > 0 or self.config.number("mask_feature_prob", default=0):
            yield vector("masked_spec_embed", self.hidden_size, component="audio")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the nets around a decoder of speech."""
        if self._sides[1] != "Speech":
            return
        config, width = self.config, self.hidden_size
        bins, units = config.count("num_mel_bins"), config.count("speech_decoder_prenet_units")
        layers = config.count("speech_decoder_prenet_layers", minimum=0)
        for index in range(layers):
            source = units if index else bins
            yield linear(f"prenet.layers.{index}", units, source, bias=True, component="other", split="replicated")
        yield linear("prenet.final_layer", width, units, bias=True, component="other", split="replicated")
        yield vector("prenet.alpha", 1, component="other")
        speaker = config.count("speaker_embedding_dim") + width
        yield linear("prenet.speaker_embeds_layer", width, speaker, bias=True, component="other", split="replicated")

    def head_parts(self) -> Iterator[Part]:
        """Return the head, or the net behind a decoder of speech."""
        config, width = self.config, self.hidden_size
        if self._sides[1] != "Speech":
            if not self.tied:
                yield linear("lm_head", self.vocab_size, width, component="head", split="vocabulary")
            return
        bins, factor = config.count("num_mel_bins"), config.count("reduction_factor")
        yield linear("feat_out", bins * factor, width, bias=True, component="head", split="replicated")
        yield linear("prob_out", factor, width, bias=True, component="head", split="replicated")
        layers, units = config.count("speech_decoder_postnet_layers"), config.count("speech_decoder_postnet_units")
        for index in range(layers):
            source, out = (units if index else bins), (bins if index == layers - 1 else units)
            kernel = config.count("speech_decoder_postnet_kernel")
            yield convolution(f"postnet.{index}", out, source, kernel, component="head", split="replicated")
            yield norm(f"postnet.{index}.batch_norm", out, bias=True, component="head")
