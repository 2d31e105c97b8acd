"""LFM2: gated short convolutions between layers of attention, densely or with experts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState, StateTensor
from kvplan.models.decoder import FULL, Decoder, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mixer
from kvplan.weights.parts import Part, convolution, linear

CONV = "conv"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortConvolution:
    """A gated depthwise convolution over `hidden` channels; the last inputs are all it keeps."""

    hidden: int
    taps: int
    bias: bool

    def cache(self) -> RecurrentState:
        """Return conv hidden x taps."""
        conv = StateTensor(name="conv", shape=(self.hidden, self.taps), taps=True)
        return RecurrentState(style="short_conv", tensors=(conv,))

    def parts(self) -> Iterator[Part]:
        """Return in_proj to two gates and the input, conv and out_proj."""
        yield linear("in_proj", 3 * self.hidden, self.hidden, bias=self.bias, component="mixer")
        yield convolution("conv", self.hidden, 1, self.taps, bias=self.bias, component="mixer")
        yield linear("out_proj", self.hidden, self.hidden, bias=self.bias, component="mixer", split="row")


class Lfm2(Hybrid):
    """LFM2 and 2.5, dense."""

    model_types = ("lfm2",)
    architectures = ("Lfm2ForCausalLM",)
    source = "transformers 5.18 modeling_lfm2.py, configuration_lfm2.py __post_init__"
    recurrent_word = CONV
    qkv_bias = False
    mlp_bias = False
    qk_norm = True

    @cached_property
    def tied(self) -> bool:
        """The older `tie_embedding` wins where both are stated."""
        either = self.config.flag("tie_word_embeddings", default=True)
        return self.config.flag("tie_embedding", default=either)

    def layer_type_rule(self, index: int) -> str:
        """Attention where `full_attn_idxs` says; everywhere where it is null."""
        attention = self.config.counts("full_attn_idxs", minimum=0)
        return FULL if attention is None or index in attention else CONV

    @cached_property
    def mixer(self) -> Mixer:
        """The short convolution. A list of layers makes `full_attn_idxs` redundant."""
        self.config.read.add("full_attn_idxs")
        return ShortConvolution(
            hidden=self.hidden_size, taps=self.config.count("conv_L_cache"), bias=self.config.flag("conv_bias")
        )

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the MLP: two thirds of what is stated, times a factor, rounded up to a multiple."""
        config = self.config
        stated = config.count("intermediate_size")
        width = config.optional_count("block_ff_dim") or stated
        if not config.flag("block_auto_adjust_ff_dim"):
            return width
        factor, multiple = config.number("block_ffn_dim_multiplier"), config.count("block_multiple_of")
        width = int(factor * (2 * width // 3))
        if width < 1:
            raise config.fail("block_ffn_dim_multiplier", f"is {factor}, which leaves no MLP.")
        return config.checked_count("intermediate_size", -(-width // multiple) * multiple)


class Lfm2Moe(Lfm2, MoeDecoder):
    """LFM2 with experts behind the first dense layers; the MLP's width is as stated."""

    model_types = ("lfm2_moe",)
    architectures = ("Lfm2MoeForCausalLM",)
    source = "transformers 5.18 modeling_lfm2_moe.py, configuration_lfm2_moe.py __post_init__"
    expert_keys = ("num_experts",)
    per_token_keys = ("num_experts_per_tok",)
    intermediate_size = Decoder.intermediate_size

    def layer_type_rule(self, index: int) -> str:
        """Refuse a file without a list: the class has no default.

        Raises:
            ConfigError: always.

        """
        raise self.config.fail("layer_types", f"is not stated; layer {index} may be a convolution or attention.")

    def is_moe(self, index: int) -> bool:
        """All but the first `num_dense_layers` layers route."""
        return index >= self.config.count("num_dense_layers", minimum=0)
