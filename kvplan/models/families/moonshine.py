"""Moonshine: speech with rotary positions, KV heads, a gated MLP in the decoder only and norms without bias."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import EncoderDecoder, named
from kvplan.models.towers import Tower, encoder_layer, head_width, self_attention, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector


class Moonshine(EncoderDecoder):
    """Moonshine, both stacks in one configuration."""

    model_types = ("moonshine",)
    architectures = ("MoonshineForConditionalGeneration",)
    source = "transformers 5.18 modeling_moonshine.py, configuration_moonshine.py __post_init__"
    norm_bias = False

    @property
    def qkv_bias(self) -> bool:
        """`attention_bias`; O has none."""
        return self.config.flag("attention_bias", default=False)

    # The plain keys are mapped to the decoder's own (`decoder_num_hidden_layers`, ...).
    layer_count = Decoder.layer_count
    heads = Decoder.heads
    kv_heads = Decoder.kv_heads
    intermediate_size = Decoder.intermediate_size

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads; `pad_head_dim_to_multiple_of` pads what is computed, not what is kept."""
        return self.config.optional_count("head_dim", minimum=0) or head_width(
            self.config, self.hidden_size, self.heads
        )

    @cached_property
    def max_context_tokens(self) -> int:
        """`max_position_embeddings`."""
        return self.config.count("max_position_embeddings")

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return self-attention and cross-attention."""
        for prefix in ("self_attn.", "encoder_attn."):
            attention = self_attention(
                self.hidden_size,
                component="attention",
                inner=self.heads * self.head_dim,
                kv_inner=self.kv_heads * self.head_dim,
                qkv_bias=self.qkv_bias,
                output_bias=False,
            )
            yield from named(prefix, attention)

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the decoder's MLP: gate and up in one linear."""
        yield linear("fc1", 2 * self.intermediate_size, self.hidden_size, bias=True, component="mlp")
        yield linear("fc2", self.hidden_size, self.intermediate_size, bias=True, component="mlp", split="row")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the decoder's table; the encoder has none."""
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the three convolutions over the waveform, the layers and the norms."""
        config, width = self.config, self.hidden_size
        heads = config.count("encoder_num_attention_heads")
        size = config.optional_count("head_dim", minimum=0) or head_width(config, width, heads)
        yield convolution("conv1", width, 1, 127, component="encoder", split="replicated")
        yield convolution("conv2", 2 * width, width, 7, bias=True, component="encoder", split="replicated")
        yield convolution("conv3", width, 2 * width, 3, bias=True, component="encoder", split="replicated")
        yield norm("groupnorm", width, bias=True, component="encoder")
        layer = encoder_layer(
            width,
            self.intermediate_size,
            component="encoder",
            inner=heads * size,
            kv_inner=(config.optional_count("encoder_num_key_value_heads") or heads) * size,
            qkv_bias=self.qkv_bias,
            output_bias=False,
            norm_bias=False,
        )
        yield from times(config.count("encoder_num_hidden_layers", minimum=0), layer)
        yield norm("encoder.layer_norm", width, component="encoder")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's norm."""
        yield norm("decoder.norm", self.hidden_size)


class MoonshineStreamingEncoder(Tower):
    """The streaming encoder: frames, two causal convolutions, layers that see a few frames around."""

    model_types = ("moonshine_streaming_encoder",)
    source = "transformers 5.18 modeling_moonshine_streaming.py MoonshineStreamingEncoder"
    cacheless = "an audio encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        heads = config.count("num_attention_heads")
        size = config.optional_count("head_dim", minimum=0) or head_width(config, width, heads)
        bias = config.flag("attention_bias", default=False)
        frame = round(config.count("sample_rate") * config.number("frame_ms") / 1000)
        yield vector("comp.log_k", 1, component="audio")
        yield convolution("conv1", 2 * width, width, 5, bias=True, component="audio", split="replicated")
        yield convolution("conv2", width, 2 * width, 5, bias=True, component="audio", split="replicated")
        yield linear("linear", width, max(frame, 0), component="audio")
        layer = encoder_layer(
            width,
            self.mlp,
            component="audio",
            inner=heads * size,
            kv_inner=config.count("num_key_value_heads") * size,
            qkv_bias=bias,
            output_bias=bias,
            norm_bias=False,
        )
        yield from times(self.depth, layer)
        yield norm("final_norm", width, component="audio")


class MoonshineStreaming(Moonshine):
    """Moonshine Streaming: an encoder of its own width, whose positions the decoder adds."""

    model_types = ("moonshine_streaming",)
    architectures = ("MoonshineStreamingForConditionalGeneration",)
    source = "transformers 5.18 modeling_moonshine_streaming.py MoonshineStreamingDecoder"

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so."""
        return self.config.flag("tie_word_embeddings", default=False)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder."""
        yield from self.nested("encoder_config", "moonshine_streaming_encoder").outer()

    def decoder_parts(self) -> Iterator[Part]:
        """Return the norm, the encoder's positions and, where the widths differ, a projection."""
        yield from super().decoder_parts()
        width = self.nested("encoder_config", "moonshine_streaming_encoder").config.count("hidden_size")
        yield embedding("decoder.pos_emb", self.max_context_tokens, width, split="replicated")
        if width != self.hidden_size:
            yield linear("decoder.proj", self.hidden_size, width, component="projector")
