"""RWKV 4 to 7: no attention; each layer keeps the last token's input twice and a recurrent state."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState, StateTensor
from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mixer
from kvplan.weights.parts import Part, linear, norm, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMix4:
    """RWKV-4's time mixing: numerator, denominator and maximum per channel."""

    hidden: int
    width: int

    def cache(self) -> RecurrentState:
        """Return the two shifts in the model's own format and three float32 numbers per channel."""
        return RecurrentState(
            style="rwkv",
            tensors=(
                StateTensor(name="shift", shape=(2 * self.hidden,)),
                StateTensor(name="state", shape=(self.width, 3), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return decay, first, three mixes and four projections."""
        yield vector("time_decay", self.width, component="mixer")
        yield vector("time_first", self.width, component="mixer")
        yield vector("time_mix", self.hidden, component="mixer", count=3)
        for name in ("key", "value", "receptance"):
            yield linear(name, self.width, self.hidden, component="mixer")
        yield linear("output", self.hidden, self.width, component="mixer", split="row")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMix5:
    """RWKV-5's time mixing: a matrix per head, with a gate and a norm on the output."""

    hidden: int
    width: int
    head_dim: int

    def cache(self) -> RecurrentState:
        """Return the two shifts in the model's own format and a float32 matrix per head."""
        heads = self.width // self.head_dim
        return RecurrentState(
            style="rwkv",
            tensors=(
                StateTensor(name="shift", shape=(2 * self.hidden,)),
                StateTensor(name="state", shape=(heads, self.head_dim, self.head_dim), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return decay, bonus, four mixes, five projections and the norm per head."""
        yield vector("time_decay", self.width, component="mixer")
        yield vector("time_faaaa", self.width, component="mixer")
        yield vector("time_mix", self.hidden, component="mixer", count=4)
        for name in ("key", "value", "receptance", "gate"):
            yield linear(name, self.width, self.hidden, component="mixer")
        yield linear("output", self.hidden, self.width, component="mixer", split="row")
        yield norm("ln_x", self.width, bias=True, component="mixer")


class Rwkv(Recurrent):
    """RWKV-4."""

    model_types = ("rwkv",)
    source = "transformers 5.18 modeling_rwkv.py, configuration_rwkv.py __post_init__"
    norms_per_layer = 2
    norm_bias = True

    @cached_property
    def mixer(self) -> Mixer:
        """The time mixing."""
        width = self.config.optional_count("attention_hidden_size") or self.hidden_size
        return TimeMix4(hidden=self.hidden_size, width=width)

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the channel mixing: 4 x hidden size where not stated."""
        return self.config.optional_count("intermediate_size") or 4 * self.hidden_size

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the channel mixing: two mixes, key, receptance and value."""
        yield vector("time_mix", self.hidden_size, component="mlp", count=2)
        yield linear("key", self.intermediate_size, self.hidden_size, component="mlp")
        yield linear("receptance", self.hidden_size, self.hidden_size, component="mlp")
        yield linear("value", self.hidden_size, self.intermediate_size, component="mlp", split="row")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms; the first layer has one more."""
        yield from super().norm_parts(index)
        if index == 0:
            yield norm("pre_ln", self.hidden_size, bias=True)


class Rwkv5(Rwkv):
    """RWKV-5.2 (Eagle)."""

    model_types = ("rwkv5",)
    source = "RWKV/rwkv-5-world modeling_rwkv5.py (hub); its total for 1.5 B, 1,577,754,624, is met"

    @cached_property
    def mixer(self) -> Mixer:
        """The time mixing; the state is a head_size x head_size matrix per head."""
        config = self.config
        width = config.optional_count("attention_hidden_size") or self.hidden_size
        head_dim = config.count("head_size", "head_dim", default=64)
        if width % head_dim:
            raise config.fail("head_size", f"is {head_dim}, which does not divide {width} channels.")
        return TimeMix5(hidden=self.hidden_size, width=width, head_dim=head_dim)

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the channel mixing: 3.5 x hidden size in whole 32s where not stated."""
        stated = self.config.optional_count("intermediate_size")
        return stated or max(32, 7 * self.hidden_size // 64 * 32)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Versions before 5.2 have a decay per head and no gate."""
        version = self.config.text("model_version", default="5_2")
        return None if version == "5_2" else f"model_version is {version[:20]!r}; the rule is for 5_2"


class Rwkv6(Rwkv5):
    """RWKV-6 (Finch) and 7 (Goose): RWKV-5's state; their low-rank mixes are not counted."""

    model_types = ("rwkv6", "rwkv7")
    source = "RWKV/v6-Finch modeling_rwkv6.py (hub), flash-linear-attention rwkv7: the state; facts.md 2.8"
    unknown_parameters = "the low-rank time mixes of RWKV-6 and 7 have no sourced rule"

    @cached_property
    def mixer(self) -> Mixer:
        """The time mixing.

        Raises:
            UnsupportedArchitectureError: attention between the layers, or values of another width.

        """
        for key in ("attn", "value_dim"):
            if self.config.raw(key) is not None and not self._plain(key):
                raise self.refuse(key, "makes layers of another kind.", "Known are RWKV layers of one width.")
        return super().mixer

    def _plain(self, key: str) -> bool:
        value = self.config.raw(key)
        widths = value if isinstance(value, list) else [value]
        return key == "value_dim" and all(width == self.hidden_size for width in widths)
