"""Recurrent mixers: what one state-space or linear-attention layer keeps for a request, and its parameters.

Each is a small value object with two answers, `cache()` and `parts()`; families fill it from their own keys.
Convolution states count all taps (engines keep all or one less); recurrent states are float32 in transformers and in
the reference kernels whatever the model's own format (engines may keep another: vLLM's mamba_ssm_cache_dtype).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from kvplan.caches import LayerCache, RecurrentState, StateTensor
from kvplan.models.config import Config
from kvplan.weights.parts import Part, convolution, linear, norm, vector


class Mixer(Protocol):
    """What takes the place of attention in a recurrent layer."""

    def cache(self) -> LayerCache:
        """Return what the layer keeps."""

    def parts(self) -> Iterator[Part]:
        """Return the mixer's parameters."""


def count_or_auto(config: Config, key: str, auto: int) -> int:
    """Return a whole number, or `auto` where the file says "auto" (or null).

    Raises:
        ConfigError: neither.

    """
    value = config.raw(key, default="auto")
    return auto if value == "auto" else config.checked_count(key, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba1:
    """A Mamba mixer: inner channels, each with a state vector; the step size comes from a low rank.

    Attributes:
        hidden, inner, state, taps, rank: widths.
        bias: on in_proj and out_proj.
        conv_bias: on the convolution.
        norms: norms on dt, B and C that are parameters (Jamba; Falcon-Mamba's have no weight).

    """

    hidden: int
    inner: int
    state: int
    taps: int
    rank: int
    bias: bool
    conv_bias: bool
    norms: bool = False

    def cache(self) -> RecurrentState:
        """Return conv inner x taps and ssm inner x state."""
        return RecurrentState(
            style="mamba1",
            tensors=(
                StateTensor(name="conv", shape=(self.inner, self.taps), taps=True),
                StateTensor(name="ssm", shape=(self.inner, self.state), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return in_proj to input and gate, conv, the projections of dt, B and C, A, D and out_proj."""
        yield linear("in_proj", 2 * self.inner, self.hidden, bias=self.bias, component="mixer")
        yield convolution("conv1d", self.inner, 1, self.taps, bias=self.conv_bias, component="mixer")
        yield linear("x_proj", self.rank + 2 * self.state, self.inner, component="mixer", split="row")
        yield linear("dt_proj", self.inner, self.rank, bias=True, component="mixer")
        yield vector("A_log", self.inner, self.state, component="mixer", split="column")
        yield vector("D", self.inner, component="mixer", split="column")
        yield linear("out_proj", self.hidden, self.inner, bias=self.bias, component="mixer", split="row")
        if self.norms:
            yield norm("dt_layernorm", self.rank, component="mixer")
            yield norm("b_layernorm", self.state, component="mixer")
            yield norm("c_layernorm", self.state, component="mixer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    """A Mamba-2 mixer: heads with a state of head_dim x state; B and C are shared by the heads of a group.

    Attributes:
        hidden, heads, head_dim, state, groups, taps: widths; inner is heads x head_dim.
        bias: on in_proj.
        output_bias: on out_proj; None: as `bias`.
        conv_bias: on the convolution.
        gated_norm: whether the norm before out_proj has a weight.

    """

    hidden: int
    heads: int
    head_dim: int
    state: int
    groups: int
    taps: int
    bias: bool
    conv_bias: bool
    output_bias: bool | None = None
    gated_norm: bool = True

    @property
    def inner(self) -> int:
        """Channels of all heads."""
        return self.heads * self.head_dim

    @property
    def groups_width(self) -> int:
        """Channels of B and C."""
        return 2 * self.groups * self.state

    def cache(self) -> RecurrentState:
        """Return conv (inner + 2 x groups x state) x taps and ssm heads x head_dim x state.

        A single group's B and C are kept whole by every tensor-parallel rank (vLLM 0.33 mamba_utils.py).
        """
        return RecurrentState(
            style="mamba2",
            tensors=(
                StateTensor(
                    name="conv",
                    shape=(self.inner + self.groups_width, self.taps),
                    taps=True,
                    replicated=self.groups_width if self.groups == 1 else 0,
                ),
                StateTensor(name="ssm", shape=(self.heads, self.head_dim, self.state), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return in_proj to gate, conv channels and dt; conv; A, D, dt_bias; gated norm; out_proj."""
        width = self.groups_width
        output_bias = self.bias if self.output_bias is None else self.output_bias
        yield linear("in_proj", 2 * self.inner + self.heads, self.hidden, bias=self.bias, component="mixer")
        yield linear("in_proj.groups", width, self.hidden, bias=self.bias, component="mixer", units=self.groups)
        # B and C of a group stay whole: a single group's are on every rank (vLLM 0.33 mamba_mixer2.py).
        yield convolution("conv1d", self.inner, 1, self.taps, bias=self.conv_bias, component="mixer")
        shared = convolution("conv1d.groups", width, 1, self.taps, bias=self.conv_bias, component="mixer")
        yield replace(shared, units=self.groups)
        yield vector("A_log", self.heads, component="mixer", split="column")
        yield vector("D", self.heads, component="mixer", split="column")
        yield vector("dt_bias", self.heads, component="mixer", split="column")
        if self.gated_norm:
            yield vector("norm", self.inner, component="mixer", split="column")
        yield linear("out_proj", self.hidden, self.inner, bias=output_bias, component="mixer", split="row")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """A gated delta net: key and value heads behind one convolution, a state of key_dim x value_dim per value head.

    Attributes:
        hidden, key_heads, value_heads, key_dim, value_dim, taps: widths.

    """

    hidden: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    taps: int

    @property
    def channels(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    def cache(self) -> RecurrentState:
        """Return conv channels x taps and one key_dim x value_dim state per value head."""
        return RecurrentState(
            style="gated_delta_net",
            tensors=(
                StateTensor(name="conv", shape=(self.channels, self.taps), taps=True),
                StateTensor(name="ssm", shape=(self.value_heads, self.value_dim, self.key_dim), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return the projections to queries, keys, values, gate and decays; conv; A, dt_bias; norm; out_proj."""
        inner = self.value_heads * self.value_dim
        yield linear("in_proj_qkv", self.channels, self.hidden, component="mixer")
        yield linear("in_proj_z", inner, self.hidden, component="mixer")
        yield linear("in_proj_b", self.value_heads, self.hidden, component="mixer")
        yield linear("in_proj_a", self.value_heads, self.hidden, component="mixer")
        yield convolution("conv1d", self.channels, 1, self.taps, component="mixer")
        yield vector("A_log", self.value_heads, component="mixer", split="column")
        yield vector("dt_bias", self.value_heads, component="mixer", split="column")
        yield norm("norm", self.value_dim, component="mixer")
        yield linear("out_proj", self.hidden, inner, component="mixer", split="row")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaAttention:
    """Kimi's delta attention: queries, keys and values of equal heads, a forget gate per channel, a gate on the output.

    Attributes:
        hidden, heads, dim, taps: widths.
        low_rank_forget, low_rank_gate: whether forget gate and output gate go through `dim` channels.

    """

    hidden: int
    heads: int
    dim: int
    taps: int
    low_rank_forget: bool = True
    low_rank_gate: bool = True

    def cache(self) -> RecurrentState:
        """Return conv (3 x heads x dim) x taps and ssm heads x dim x dim."""
        return RecurrentState(
            style="kda",
            tensors=(
                StateTensor(name="conv", shape=(3 * self.heads * self.dim, self.taps), taps=True),
                StateTensor(name="ssm", shape=(self.heads, self.dim, self.dim), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return the projections, conv, both gates, A, dt_bias, norm and o_proj."""
        inner = self.heads * self.dim
        for name in ("q_proj", "k_proj", "v_proj"):
            yield linear(name, inner, self.hidden, component="mixer")
        yield convolution("conv1d", 3 * inner, 1, self.taps, component="mixer")
        yield from self._gate("f", inner, low_rank=self.low_rank_forget)
        yield from self._gate("g", inner, low_rank=self.low_rank_gate)
        yield linear("b_proj", self.heads, self.hidden, component="mixer")
        yield vector("A_log", self.heads, component="mixer", split="column")
        yield vector("dt_bias", inner, component="mixer", split="column")
        yield norm("o_norm", self.dim, component="mixer")
        yield linear("o_proj", self.hidden, inner, component="mixer", split="row")

    def _gate(self, name: str, inner: int, *, low_rank: bool) -> Iterator[Part]:
        if low_rank:
            yield linear(f"{name}_a_proj", self.dim, self.hidden, component="mixer", split="replicated")
            yield linear(f"{name}_b_proj", inner, self.dim, component="mixer")
        else:
            yield linear(f"{name}_proj", inner, self.hidden, component="mixer")


def lightning_state(heads: int, dim: int) -> RecurrentState:
    """Return what lightning attention keeps: a dim x dim state per head, in the model's own format, no convolution."""
    return RecurrentState(style="lightning", tensors=(StateTensor(name="state", shape=(heads, dim, dim)),))
