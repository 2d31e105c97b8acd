"""xLSTM (7B): matrix memories only, each head with a state of key x value, its normaliser and its maximum."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState, StateTensor
from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mixer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixMemory:
    """An mLSTM cell with its projections.

    Attributes:
        hidden, heads: width of the model, heads.
        key_width, value_width: of all heads together.
        key_dim, value_dim: of one head's state.
        bias: on the projections; the gates always have one.

    """

    hidden: int
    heads: int
    key_width: int
    value_width: int
    key_dim: int
    value_dim: int
    bias: bool

    def cache(self) -> RecurrentState:
        """Return the memory, its normaliser and its maximum per head, in the model's own format.

        Source: transformers 5.18 modeling_xlstm.py xLSTMCache; the file's `inference_state_dtype` is the kernels' own.
        """
        return RecurrentState(
            style="mlstm",
            tensors=(
                StateTensor(name="c", shape=(self.heads, self.key_dim, self.value_dim)),
                StateTensor(name="n", shape=(self.heads, self.key_dim)),
                StateTensor(name="m", shape=(self.heads, 1)),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return queries, keys, values, the three gates, the norm over heads and the output."""
        yield linear("q", self.key_width, self.hidden, bias=self.bias, component="mixer")
        yield linear("k", self.key_width, self.hidden, bias=self.bias, component="mixer")
        yield linear("v", self.value_width, self.hidden, bias=self.bias, component="mixer")
        yield linear("ogate_preact", self.value_width, self.hidden, bias=self.bias, component="mixer")
        yield linear("ifgate_preact", 2 * self.heads, self.hidden, bias=True, component="mixer")
        normed = self.value_width // self.heads * self.heads
        yield norm("multihead_norm", normed, bias=self.bias, component="mixer")
        yield linear("out_proj", self.hidden, self.value_width, bias=self.bias, component="mixer", split="row")


class XLstm(Recurrent):
    """xLSTM."""

    model_types = ("xlstm",)
    architectures = ("xLSTMForCausalLM",)
    source = "transformers 5.18 modeling_xlstm.py, configuration_xlstm.py"
    norms_per_layer = 2
    tied = False  # transformers ties nothing here, whatever the file says

    @cached_property
    def hidden_size(self) -> int:
        """Width; `embedding_dim` is another name."""
        return self.config.count("hidden_size", "embedding_dim")

    @cached_property
    def layer_count(self) -> int:
        """Layers; `num_blocks` is another name."""
        layers = self.config.count("num_hidden_layers", "num_blocks")
        return self.config.checked_count("num_hidden_layers", layers)

    @cached_property
    def mlp_bias(self) -> bool:
        """Biases everywhere: `use_bias`."""
        return self.config.flag("use_bias")

    @cached_property
    def norm_bias(self) -> bool:
        """As `mlp_bias`."""
        return self.mlp_bias

    def _scaled(self, key: str) -> float:
        width = self.hidden_size * self.config.number(key)
        if not 1 <= width <= 10_000_000:
            raise self.config.fail(key, f"makes a width of {width:.0f}.")
        return width

    @cached_property
    def mixer(self) -> Mixer:
        """The matrix memory; the state's widths are rounded up to whole 64s."""
        heads = self.config.count("num_heads")
        key, value = self._scaled("qk_dim_factor"), self._scaled("v_dim_factor")
        if min(key, value) < heads:
            raise self.config.fail("num_heads", f"is {heads}, more than a head is wide.")
        return MatrixMemory(
            hidden=self.hidden_size,
            heads=heads,
            key_width=int(key),
            value_width=int(value),
            key_dim=_whole(key, 64) // heads,
            value_dim=_whole(value, 64) // heads,
            bias=self.mlp_bias,
        )

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the gated MLP."""
        width = _whole(self._scaled("ffn_proj_factor"), self.config.count("ffn_round_up_to_multiple_of"))
        yield from blocks.gated_mlp(self.hidden_size, width, bias=self.mlp_bias)

    def outer(self) -> Iterator[Part]:
        """Return embeddings, final norm (without a bias) and head."""
        yield from self.embedding_parts()
        yield norm("out_norm", self.hidden_size)
        yield from self.head_parts()


def _whole(width: float, multiple: int) -> int:
    """Return the width rounded up to a multiple, as the reference's floating-point division has it."""
    return int((width + multiple - 1) // multiple * multiple)
