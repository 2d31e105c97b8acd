"""SeamlessM4T: text and speech encoders, one text decoder; the models that speak have a second decoder and a vocoder."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import EncoderDecoder, architecture
from kvplan.models.spec import Note
from kvplan.models.towers import feed_forward, head_width, self_attention, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector


class SeamlessM4T(EncoderDecoder):
    """SeamlessM4T v1. A file that names no class is read as text to text."""

    model_types = ("seamless_m4t",)
    architectures = ("SeamlessM4TForTextToText", "SeamlessM4TForSpeechToText", "SeamlessM4TModel")
    source = "transformers 5.18 modeling_seamless_m4t.py"
    alone = False
    encoder_only = False

    @cached_property
    def name(self) -> str:
        """The class that the file names."""
        return architecture(self.config)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Second decoder and vocoder are not counted."""
        if self.name.endswith(("Model", "ToSpeech")):
            return "the text-to-unit model and the vocoder are not counted"
        return None

    @cached_property
    def max_context_tokens(self) -> int:
        """`max_position_embeddings`."""
        return self.config.count("max_position_embeddings")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the shared table, and where nothing is tied one for each text stack."""
        yield embedding("shared", self.vocab_size, self.hidden_size)
        if not self.tied:
            stacks = 1 if "ForSpeech" in self.name else 2
            for index in range(stacks):
                yield embedding(f"embed_tokens.{index}", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the text encoder, the speech encoder or both."""
        if "ForSpeech" not in self.name:
            yield from super().encoder_parts()
            yield norm("text_encoder.layer_norm", self.hidden_size, bias=True, component="encoder")
        if "ForSpeech" in self.name or self.name.endswith("Model"):
            yield from self.speech_encoder_parts()

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's norm."""
        yield norm("text_decoder.layer_norm", self.hidden_size, bias=True)

    def head_parts(self) -> Iterator[Part]:
        """Return the head, which every class has."""
        if not self.tied:
            yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")

    # -- the speech encoder --------------------------------------------------------------------------------------------

    def speech_encoder_parts(self) -> Iterator[Part]:
        """Return the Conformer, its adapter and its norms."""
        config, width = self.config, self.hidden_size
        source = config.count("feature_projection_input_dim")
        yield norm("feature_projection.layer_norm", source, bias=True, component="audio")
        yield linear("feature_projection.projection", width, source, bias=True, component="audio")
        yield from times(config.count("speech_encoder_layers", minimum=0), self.conformer_layer())
        yield norm("speech_encoder.layer_norms", width, bias=True, component="audio", count=2)
        if config.flag("add_adapter"):
            yield from times(config.count("num_adapter_layers", minimum=0), self.adapter_layer())
        yield from self.intermediate_parts()

    def intermediate_parts(self) -> Iterator[Part]:
        """Return the MLP between the Conformer and its adapter."""
        return feed_forward(self.hidden_size, self.config.count("speech_encoder_intermediate_size"), component="audio")

    def position_parts(self) -> Iterator[Part]:
        """Return what attention has for positions."""
        if self.config.text("position_embeddings_type") == "relative":
            yield linear("linear_pos", self.hidden_size, self.hidden_size, component="audio")
            yield vector("pos_biases", 2 * self.hidden_size, component="audio")

    def conformer_layer(self) -> Iterator[Part]:
        """Return one layer: half MLP, attention, convolution, half MLP."""
        config, width = self.config, self.hidden_size
        mlp = config.count("speech_encoder_intermediate_size")
        yield from times(2, feed_forward(width, mlp, component="audio"))
        yield from self_attention(width, component="audio")
        yield from self.position_parts()
        yield convolution("conv_module.pointwise_convs", 3 * width, width, component="audio", split="replicated")
        yield convolution(
            "conv_module.depthwise_conv",
            width,
            1,
            config.count("conv_depthwise_kernel_size"),
            component="audio",
            split="replicated",
        )
        yield norm("norms", width, bias=True, component="audio", count=6)

    def adapter_layer(self) -> Iterator[Part]:
        """Return one layer of the adapter: strided convolutions around attention, an MLP."""
        config, width = self.config, self.hidden_size
        kernel = config.count("adaptor_kernel_size")
        yield convolution(
            "adapter.convs", 2 * width, width, kernel, bias=True, component="audio", count=2, split="replicated"
        )
        yield from self_attention(width, component="audio")
        yield from feed_forward(width, config.count("speech_encoder_intermediate_size"), component="audio")
        yield norm("adapter.norms", width, bias=True, component="audio", count=3)

    def assumptions(self) -> Iterator[Note]:
        """Add what speaking keeps."""
        yield from super().assumptions()
        if self.unknown_parameters:
            yield Note(
                "The cache is the text decoder's. Speech is made afterwards by a smaller text-to-unit model, whose cache "
                "is not counted.",
                self.source,
            )


class SeamlessM4Tv2(SeamlessM4T):
    """SeamlessM4T v2: relative keys in the speech encoder; its text-to-unit model does not decode step by step."""

    model_types = ("seamless_m4t_v2",)
    architectures = ("SeamlessM4Tv2ForTextToText", "SeamlessM4Tv2ForSpeechToText", "SeamlessM4Tv2Model")
    source = "transformers 5.18 modeling_seamless_m4t_v2.py"

    def position_parts(self) -> Iterator[Part]:
        """Return the table of distances."""
        config = self.config
        if config.text("position_embeddings_type") == "relative_key":
            rows = config.count("left_max_position_embeddings", minimum=0) + 1
            rows += config.count("right_max_position_embeddings", minimum=0)
            heads = config.count("speech_encoder_attention_heads")
            yield embedding("distance_embedding", rows, head_width(config, self.hidden_size, heads), component="audio")

    def assumptions(self) -> Iterator[Note]:
        """Return what every model says: the text-to-unit model keeps nothing."""
        return EncoderDecoder.assumptions(self)
