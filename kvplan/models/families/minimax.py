"""MiniMax-Text-01 and M1: lightning attention with softmax attention every few layers, experts everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import RecurrentState
from kvplan.models.decoder import FULL, LINEAR, SLIDING, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mixer, lightning_state
from kvplan.weights.parts import Part, linear, norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Lightning:
    """Lightning attention: a decaying dim x dim state per head, a norm over all heads and a gate on the output."""

    hidden: int
    heads: int
    dim: int

    def cache(self) -> RecurrentState:
        """Return the state."""
        return lightning_state(self.heads, self.dim)

    def parts(self) -> Iterator[Part]:
        """Return the projections, the gate and the norm."""
        inner = self.heads * self.dim
        yield linear("qkv_proj", 3 * inner, self.hidden, component="mixer")
        yield linear("output_gate", inner, self.hidden, component="mixer")
        yield norm("norm", inner, component="mixer")
        yield linear("out_proj", self.hidden, inner, component="mixer", split="row")


class MiniMax(Hybrid, MoeDecoder):
    """MiniMax-Text-01 in transformers' form; a window, where one is stated, is on the softmax layers."""

    model_types = ("minimax",)
    architectures = ("MiniMaxForCausalLM",)
    source = "transformers 5.18 modeling_minimax.py, configuration_minimax.py __post_init__"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_local_experts",)
    per_token_keys = ("num_experts_per_tok",)

    @cached_property
    def mixer(self) -> Mixer:
        """The lightning attention: as many heads and as wide as the softmax layers' queries."""
        return Lightning(hidden=self.hidden_size, heads=self.heads, dim=self.head_dim)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's list, or the original's numbers: 0 lightning, 1 softmax; both must say the same."""
        attending = SLIDING if self.window else FULL
        words = [attending if word == FULL else word for word in super().layer_types]
        numbers = self.config.counts("attn_type_list", minimum=0)
        if numbers is None:
            return words
        if len(numbers) != self.layer_count or max(numbers, default=0) > 1:
            raise self.config.fail("attn_type_list", f"does not hold 0 or 1 for each of {self.layer_count} layers.")
        listed = [attending if number else LINEAR for number in numbers]
        if self.config.states("layer_types") and listed != words:
            raise self.config.fail("attn_type_list", "and layer_types do not say the same.")
        return listed

    def layer_type_rule(self, index: int) -> str:
        """Every other layer from the first attends."""
        return LINEAR if index % 2 else FULL


class MiniMaxRemote(MiniMax):
    """MiniMax-Text-01 and M1 as published: the original's list decides; a shared expert where its width is stated."""

    model_types = ("minimax_text_01", "minimax_m1")
    architectures = ("MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM")
    source = "MiniMax-Text-01 modeling_minimax_text_01.py (hub); same modules as transformers 5.18 modeling_minimax.py"

    def layer_type_rule(self, index: int) -> str:
        """Refuse a file without a list.

        Raises:
            ConfigError: always.

        """
        if self.config.states("attn_type_list"):
            return LINEAR
        raise self.config.fail("attn_type_list", f"is not stated; layer {index} may be lightning or softmax attention.")

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert; 0 in the published models."""
        return self.config.optional_count("shared_intermediate_size", minimum=0) or 0

    @cached_property
    def unknown_parameters(self) -> str | None:
        """A shared expert brings a coefficient of a form that no source at hand shows."""
        return "a shared expert (shared_intermediate_size) has no sourced rule" if self.shared_size else None
