"""Mamba 2: state-space layers only; a convolution over inputs and groups, and a state of heads x head_dim x state."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache, RecurrentState, StateTensor
from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, convolution, linear, norm, vector


def mamba2_state(*, heads: int, head_dim: int, state: int, groups: int, taps: int) -> RecurrentState:
    """Return a Mamba-2 layer's state: conv (inner + 2 x groups x state) x taps, ssm heads x head_dim x state.

    transformers and the reference kernels keep the state in float32 whatever the model's own format. A single group's B and C are kept whole by every tensor-parallel rank (vLLM mamba_utils.py).
    """
    groups_width = 2 * groups * state
    return RecurrentState(
        style="mamba2",
        tensors=(
            StateTensor(
                name="conv",
                shape=(heads * head_dim + groups_width, taps),
                taps=True,
                replicated=groups_width if groups == 1 else 0,
            ),
            StateTensor(name="ssm", shape=(heads, head_dim, state), dtype="float32"),
        ),
    )


def mamba2_parts(
    hidden: int, *, heads: int, head_dim: int, state: int, groups: int, taps: int, bias: bool, conv_bias: bool
) -> Iterator[Part]:
    """Return a Mamba-2 mixer: in_proj to gate, conv channels and dt; conv; A, D, dt_bias; gated norm; out_proj."""
    inner = heads * head_dim
    channels = inner + 2 * groups * state
    yield linear("in_proj", inner + channels + heads, hidden, bias=bias, component="mixer")
    yield convolution("conv1d", channels, 1, taps, bias=conv_bias, component="mixer")
    yield vector("A_log", heads, component="mixer", split="column")
    yield vector("D", heads, component="mixer", split="column")
    yield vector("dt_bias", heads, component="mixer", split="column")
    yield norm("norm", inner, component="mixer")
    yield linear("out_proj", hidden, inner, bias=bias, component="mixer", split="row")


class Mamba2(Decoder):
    """Mamba 2 and Codestral Mamba."""

    model_types = ("mamba2",)
    architectures = ("Mamba2ForCausalLM",)
    source = "transformers 5.18 modeling_mamba2.py"

    @cached_property
    def _shape(self) -> dict[str, int]:
        config = self.config
        return {
            "heads": config.count("num_heads"),
            "head_dim": config.count("head_dim"),
            "state": config.count("state_size"),
            "groups": config.count("n_groups"),
            "taps": config.count("conv_kernel"),
        }

    @cached_property
    def max_context_tokens(self) -> None:
        """Nothing bounds the length."""

    def caches(self, index: int) -> tuple[LayerCache, ...]:  # noqa: ARG002
        """Return the state; transformers and the reference kernels keep it in float32."""
        return (mamba2_state(**self._shape),)

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the mixer."""
        yield from mamba2_parts(
            self.hidden_size,
            **self._shape,
            bias=self.config.flag("use_bias"),
            conv_bias=self.config.flag("use_conv_bias"),
        )

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing: there is no MLP."""
        return iter(())

    norms_per_layer = 1
