"""Whisper and Speech2Text: BART's layers under a convolutional stem, keys without a bias in Whisper."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import EncoderDecoder, architecture, label_count
from kvplan.models.family import as_component
from kvplan.models.towers import whisper_stem
from kvplan.weights.parts import Part, convolution, embedding, linear, norm


class Whisper(EncoderDecoder):
    """Whisper. The encoder always gives `max_source_positions` (1,500): audio is padded to 30 seconds.

    Source of the length: WhisperEncoder.forward expects max_source_positions x 2 frames.
    """

    model_types = ("whisper",)
    architectures = ("WhisperForConditionalGeneration",)
    source = "transformers 5.18 modeling_whisper.py, configuration_whisper.py attribute_map"
    key_bias = False

    @cached_property
    def encoder_only(self) -> bool:
        """The audio classifier has no decoder."""
        return architecture(self.config).endswith("ForAudioClassification")

    @cached_property
    def encoder_tokens(self) -> int:
        """`max_source_positions`."""
        return self.config.count("max_source_positions")

    @cached_property
    def max_context_tokens(self) -> int:
        """`max_target_positions`, the decoder's."""
        return self.config.count("max_target_positions")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the decoder's table; the encoder has none."""
        if not self.encoder_only:
            yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size, split="replicated")

    def encoder_parts(self) -> Iterator[Part]:
        """Return stem, positions, layers and norm of the encoder; the classifier's head where there is one."""
        yield from as_component(whisper_stem(self.hidden_size, self.config.count("num_mel_bins")), "encoder")
        yield embedding(
            "encoder.embed_positions", self.encoder_tokens, self.hidden_size, component="encoder", split="replicated"
        )
        yield from super().encoder_parts()
        yield norm("encoder.layer_norm", self.hidden_size, bias=True, component="encoder")
        if self.encoder_only:
            yield from self._classifier_parts()

    def _classifier_parts(self) -> Iterator[Part]:
        width = self.config.count("classifier_proj_size")
        yield linear("projector", width, self.hidden_size, bias=True, component="head")
        yield linear("classifier", label_count(self.config), width, bias=True, component="head")
        if self.config.flag("use_weighted_layer_sum", default=False):
            yield embedding("layer_weights", self.encoder_layer_count + 1, 1, component="head")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's positions and norm."""
        yield embedding("decoder.embed_positions", self.max_context_tokens, self.hidden_size, split="replicated")
        yield norm("decoder.layer_norm", self.hidden_size, bias=True)


class SpeechToText(EncoderDecoder):
    """Speech2Text: strided convolutions with gates, sinusoidal positions that are no parameters."""

    model_types = ("speech_to_text",)
    architectures = ("Speech2TextForConditionalGeneration",)
    source = "transformers 5.18 modeling_speech_to_text.py Conv1dSubsampler"

    @cached_property
    def max_context_tokens(self) -> int:
        """`max_target_positions`, the decoder's."""
        return self.config.count("max_target_positions")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the decoder's table; the encoder has none."""
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the convolutions, each with twice the channels that its gate leaves, layers and norm."""
        config = self.config
        kernels = config.counts("conv_kernel_sizes") or []
        middle = config.count("conv_channels")
        source = config.count("input_feat_per_channel") * config.count("input_channels")
        for index, kernel in enumerate(kernels):
            out = 2 * self.hidden_size if index == len(kernels) - 1 else middle
            yield convolution(f"conv.{index}", out, source, kernel, bias=True, component="encoder", split="replicated")
            source = middle // 2
        yield from super().encoder_parts()
        yield norm("encoder.layer_norm", self.hidden_size, bias=True, component="encoder")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's norm."""
        yield norm("decoder.layer_norm", self.hidden_size, bias=True)
