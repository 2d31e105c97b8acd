"""FastConformer encoders (Parakeet) and what reads them: CTC and transducer heads, and Canary's and Cohere's decoders."""

from collections.abc import Iterator
from typing import Any

from kvplan.models.config import Config
from kvplan.models.family import Family, family_of
from kvplan.models.towers import Tower, feed_forward, head_width, self_attention, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector


class ParakeetEncoder(Tower):
    """A FastConformer: strided convolutions, then blocks of half MLP, attention, convolution, half MLP."""

    model_types = ("parakeet_encoder",)
    source = "transformers 5.18 modeling_parakeet.py"
    cacheless = "an audio encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from self.subsampling_parts()
        yield from times(self.depth, self.block())

    def subsampling_parts(self) -> Iterator[Part]:
        """Return log2(subsampling_factor) convolutions, the later ones depthwise with a pointwise one, and a linear.

        Raises:
            ConfigError: the factor is no power of two.

        """
        config = self.config
        factor, kernel = config.count("subsampling_factor"), config.count("subsampling_conv_kernel_size")
        channels, stride = config.count("subsampling_conv_channels"), config.count("subsampling_conv_stride")
        steps = factor.bit_length() - 1
        if factor != 1 << steps:
            raise config.fail("subsampling_factor", f"is {factor}; a power of two was expected.")
        yield convolution(
            "subsampling.0", channels, 1, kernel, kernel, bias=True, component="audio", split="replicated"
        )
        if steps > 1:
            later = steps - 1
            yield convolution(
                "subsampling.depthwise",
                channels,
                1,
                kernel,
                kernel,
                bias=True,
                component="audio",
                count=later,
                split="replicated",
            )
            yield convolution(
                "subsampling.pointwise",
                channels,
                channels,
                bias=True,
                component="audio",
                count=later,
                split="replicated",
            )
        bins = config.count("num_mel_bins") // stride ** min(steps, 64)
        yield linear("subsampling.linear", self.width, channels * bins, bias=True, component="audio")

    def block(self) -> Iterator[Part]:
        """Return one block."""
        config, width = self.config, self.width
        bias, convolved = config.flag("attention_bias"), config.flag("convolution_bias")
        heads = config.count("num_attention_heads")
        inner = heads * (config.optional_count("head_dim", minimum=0) or head_width(config, width, heads))
        yield from times(2, feed_forward(width, self.mlp, component="audio", bias=bias))
        yield from self_attention(width, component="audio", inner=inner, qkv_bias=bias, output_bias=bias)
        yield linear("relative_k_proj", inner, width, component="audio")
        yield vector("bias_u_v", 2 * inner, component="audio")
        kernel = config.count("conv_kernel_size")
        yield convolution(
            "conv.pointwise_conv1", 2 * width, width, bias=convolved, component="audio", split="replicated"
        )
        yield convolution(
            "conv.depthwise_conv", width, 1, kernel, bias=convolved, component="audio", split="replicated"
        )
        yield convolution("conv.pointwise_conv2", width, width, bias=convolved, component="audio", split="replicated")
        yield norm("conv.norm", width, bias=True, component="audio")
        yield norm("norms", width, bias=True, component="audio", count=5)


def encoder_part(family: Family, defaults: dict[str, Any] | None = None) -> Family:
    """Return the family of `encoder_config`, a Parakeet encoder where its type is not stated.

    `defaults` stand under what the file states.

    Raises:
        ConfigError: it is not a JSON object.

    """
    stated = family.config.part("encoder_config", "parakeet_encoder")
    if not defaults:
        return family_of(stated)
    part = Config({**defaults, **stated.values}, where=stated.where, path=stated.path, model_type=stated.model_type)
    stated.read = part.read
    return family_of(part)


class ParakeetCtc(Family):
    """Parakeet with a CTC head: nothing is decoded step by step."""

    model_types = ("parakeet_ctc",)
    architectures = ("ParakeetForCTC",)
    source = "transformers 5.18 modeling_parakeet.py ParakeetForCTC"
    cacheless = "a speech recogniser with a CTC head"

    def outer(self) -> Iterator[Part]:
        """Return encoder and head."""
        encoder = encoder_part(self)
        yield from encoder.outer()
        width = encoder.config.count("hidden_size")
        yield convolution(
            "ctc_head", self.config.count("vocab_size"), width, bias=True, component="head", split="replicated"
        )


class ParakeetTransducer(Family):
    """Parakeet with an RNN or token-and-duration transducer: an LSTM's state is all that decoding keeps."""

    model_types = ("parakeet_rnnt", "parakeet_tdt")
    architectures = ("ParakeetForRNNT", "ParakeetForTDT")
    source = "transformers 5.18 modeling_parakeet.py ParakeetRNNTDecoder, ParakeetTDTJointNetwork"
    cacheless = "a speech recogniser with a transducer: an LSTM, no attention cache"

    def outer(self) -> Iterator[Part]:
        """Return encoder, projections, LSTM and joint network."""
        config = self.config
        encoder = encoder_part(self)
        yield from encoder.outer()
        width, vocab = config.count("decoder_hidden_size"), config.count("vocab_size")
        yield linear("encoder_projector", width, encoder.config.count("hidden_size"), bias=True, component="projector")
        yield embedding("decoder.embedding", vocab, width)
        layers = config.count("num_decoder_layers")
        # torch.nn.LSTM: 4 gates over the input and 4 over the state, each with a bias.
        yield linear("decoder.lstm", 4 * width, width, bias=True, component="mixer", count=2 * layers)
        yield linear("decoder.decoder_projector", width, width, bias=True, component="projector")
        durations = config.items("durations") if config.model_type == "parakeet_tdt" else None
        yield linear("joint.head", vocab + len(durations or ()), width, bias=True, component="head")
