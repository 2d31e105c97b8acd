"""Audio codecs in front of and behind speech and music models: EnCodec and Mimi. They keep no language-model cache.

Mimi's own transformers can keep a window of `sliding_window` frames where audio is streamed (`use_streaming`, off by
default).
"""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.towers import Tower, encoder_layer, times
from kvplan.weights.parts import Part, convolution, linear, vector


class Codec(Tower):
    """A SEANet: convolutions that halve the rate, a latent, convolutions that double it; codebooks are buffers."""

    cacheless = "an audio codec"
    width_key = "hidden_size"

    @cached_property
    def ratios(self) -> list[int]:
        """Rate of each step.

        Raises:
            ConfigError: there are more than any codec has.

        """
        ratios = self.config.counts("upsampling_ratios") or [8, 6, 5, 4]
        if len(ratios) > 16:
            raise self.config.fail("upsampling_ratios", f"has {len(ratios)} steps; at most 16 are believed.")
        return ratios

    def conv(self, name: str, out: int, source: int, kernel: int, *, transposed: bool = False) -> Iterator[Part]:  # noqa: ARG002
        """Return one convolution."""
        yield convolution(name, out, source, kernel, bias=True, component="audio", split="replicated")

    def residual(self, width: int) -> Iterator[Part]:
        """Return the residual blocks of one step."""
        config = self.config
        narrow = width // config.count("compress")
        block = [
            *self.conv("block.1", narrow, width, config.count("residual_kernel_size")),
            *self.conv("block.3", width, narrow, 1),
        ]
        if config.flag("use_conv_shortcut"):
            block += self.conv("shortcut", width, width, 1)
        yield from times(config.count("num_residual_layers", minimum=0), block)

    def middle(self, width: int) -> Iterator[Part]:  # noqa: ARG002
        """Return what stands between the steps and the latent, in the encoder and again in the decoder."""
        return iter(())

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config = self.config
        channels, width = config.count("audio_channels"), config.count("num_filters")
        kernel, last = config.count("kernel_size"), config.count("last_kernel_size")
        yield from self.conv("encoder.first", width, channels, kernel)
        for ratio in reversed(self.ratios):
            yield from self.residual(width)
            yield from self.conv("encoder.down", 2 * width, width, 2 * ratio)
            width *= 2
        yield from times(2, self.middle(width))
        yield from self.conv("encoder.last", self.width, width, last)
        yield from self.conv("decoder.first", width, self.width, kernel)
        for ratio in self.ratios:
            yield from self.conv("decoder.up", width // 2, width, 2 * ratio, transposed=True)
            width //= 2
            yield from self.residual(width)
        yield from self.conv("decoder.last", channels, width, last)


class Encodec(Codec):
    """EnCodec: convolutions in torch's weight_norm (or with group norms), an LSTM on both sides."""

    model_types = ("encodec",)
    source = "transformers 5.18 modeling_encodec.py"

    def conv(self, name: str, out: int, source: int, kernel: int, *, transposed: bool = False) -> Iterator[Part]:
        """Return one convolution: weight_norm adds a length for each slice of the first axis.

        Raises:
            ConfigError: the norm is neither of the two.

        """
        kind = self.config.text("norm_type", default="weight_norm")
        if kind not in ("weight_norm", "time_group_norm"):
            raise self.config.fail("norm_type", f"is {kind[:40]!r}; weight_norm or time_group_norm was expected.")
        yield from super().conv(name, out, source, kernel)
        lengths = (source if transposed else out) if kind == "weight_norm" else 2 * out
        yield vector(f"{name}.norm", lengths, component="audio")

    def middle(self, width: int) -> Iterator[Part]:
        """Return the LSTM: 4 gates over the input and 4 over the state, each with a bias."""
        layers = self.config.count("num_lstm_layers", minimum=0)
        yield linear("lstm", 4 * width, width, bias=True, component="audio", count=2 * layers)


class Mimi(Codec):
    """Mimi: EnCodec's convolutions without norms, a transformer on both sides, a last step that halves the rate."""

    model_types = ("mimi",)
    source = "transformers 5.18 modeling_mimi.py, configuration_mimi.py frame_rate, encodec_frame_rate"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from super().outer()
        config, width = self.config, self.width
        config.read.add("sliding_window")  # of what streaming keeps
        size = config.optional_count("head_dim", minimum=0) or width // config.count("num_attention_heads")
        bias = config.flag("attention_bias", default=False)
        layer = encoder_layer(
            width,
            self.mlp,
            component="audio",
            inner=config.count("num_attention_heads") * size,
            kv_inner=config.count("num_key_value_heads") * size,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=False,
        )
        yield from times(2 * self.depth, layer)
        yield vector("layer_scales", 2 * width * 2 * self.depth, component="audio")
        yield from self.resampling_parts()
        yield from self.quantizer_parts()

    def resampling_parts(self) -> Iterator[Part]:
        """Return the convolutions between the convolutions' rate and the codes': none where the rates are equal."""
        config = self.config
        rate, hop = config.count("sampling_rate"), 1
        for ratio in self.ratios:
            hop *= ratio
        inner = -(-rate // hop)
        # Without a stated frame rate the codes' is half: the last step has a stride of 2.
        outer = config.number("frame_rate", default=rate / (2 * hop))
        if outer <= 0:
            raise config.fail("frame_rate", f"is {outer}; a rate above zero was expected.")
        if outer != inner:
            kernel = 2 * int(inner / outer)
            groups = config.count("upsample_groups")
            yield convolution("downsample", self.width, self.width, kernel, component="audio", split="replicated")
            yield convolution(
                "upsample", self.width, max(self.width // groups, 1), kernel, component="audio", split="replicated"
            )

    def quantizer_parts(self) -> Iterator[Part]:
        """Return the projections of both quantisers, where their width differs."""
        narrow = self.config.count("vector_quantization_hidden_dimension")
        if narrow != self.width:
            yield convolution(
                "quantizer.projections", narrow, self.width, component="audio", count=4, split="replicated"
            )
