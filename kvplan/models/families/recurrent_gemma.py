"""RecurrentGemma (Griffin): gated linear recurrences with attention in a window every third layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState, StateTensor
from kvplan.models.decoder import LINEAR, SLIDING
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mixer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, convolution, linear, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class RgLru:
    """A gated linear recurrence behind a convolution; its two gates are block-diagonal over the heads."""

    hidden: int
    width: int
    heads: int
    taps: int

    def cache(self) -> RecurrentState:
        """Return the convolution's past inputs and one float32 number per channel."""
        return RecurrentState(
            style="rg_lru",
            tensors=(
                StateTensor(name="conv", shape=(self.width, self.taps - 1)),
                StateTensor(name="ssm", shape=(self.width,), dtype="float32"),
            ),
        )

    def parts(self) -> Iterator[Part]:
        """Return the two branches, conv, the recurrence with its gates, and the output."""
        block = self.width // self.heads
        yield linear("linear_y", self.width, self.hidden, bias=True, component="mixer")
        yield linear("linear_x", self.width, self.hidden, bias=True, component="mixer")
        yield linear("linear_out", self.hidden, self.width, bias=True, component="mixer", split="row")
        yield convolution("conv_1d", self.width, 1, self.taps, bias=True, component="mixer")
        yield vector("rg_lru.recurrent_param", self.width, component="mixer", split="column")
        yield vector("rg_lru.gate_weight", self.heads, block, block, component="mixer", split="column", count=2)
        yield vector("rg_lru.gate_bias", self.heads, block, component="mixer", split="column", count=2)


class RecurrentGemma(Hybrid):
    """RecurrentGemma."""

    model_types = ("recurrent_gemma",)
    architectures = ("RecurrentGemmaForCausalLM",)
    source = "transformers 5.18 modeling_recurrent_gemma.py, configuration_recurrent_gemma.py"
    output_bias = True
    mlp_bias = True

    @cached_property
    def max_context_tokens(self) -> int | None:
        """Nothing bounds the length."""
        return self.config.optional_count("max_position_embeddings")

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The words of `block_types`, over and over."""
        cycle = self.config.items("block_types") or ["recurrent", "recurrent", "attention"]
        for i, word in enumerate(cycle):
            if word not in ("recurrent", "attention"):
                raise self.refuse(f"block_types[{i}]", f"is {str(word)[:40]!r}.", "Known are recurrent and attention.")
        return [LINEAR if cycle[i % len(cycle)] == "recurrent" else SLIDING for i in range(self.layer_count)]

    @cached_property
    def mixer(self) -> Mixer:
        """The recurrence, as wide as `lru_width` or the model."""
        width = self.config.optional_count("lru_width") or self.hidden_size
        if width < self.heads:
            raise self.config.fail("lru_width", f"is {width}, less than the {self.heads} heads.")
        return RgLru(hidden=self.hidden_size, width=width, heads=self.heads, taps=self.config.count("conv1d_width"))

    @cached_property
    def window(self) -> int | None:
        """Positions of the window."""
        return self.config.count("attention_window_size", "sliding_window")

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the MLP; the stated width is of gate and up together."""
        yield from blocks.gated_mlp(self.hidden_size, max(1, self.intermediate_size // 2), bias=True)
