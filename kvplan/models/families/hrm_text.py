"""HRM-Text: two stacks of layers that run in cycles; every run of a layer keeps keys and values of its own."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, linear, vector


class HrmText(Decoder):
    """HRM-Text: H_cycles x (L_cycles runs of the low stack + one of the high stack)."""

    model_types = ("hrm_text",)
    architectures = ("HrmTextForCausalLM",)
    source = "transformers 5.18 modeling_hrm_text.py HrmTextModel.forward, configuration_hrm_text.py __post_init__"

    @cached_property
    def stack(self) -> int:
        """Layers of one stack: `num_layers_per_stack`; where it is not stated `num_hidden_layers` is that number."""
        return self.config.optional_count("num_layers_per_stack") or self.config.count("num_hidden_layers")

    @cached_property
    def low_cycles(self) -> int:
        """Runs of the low stack before each of the high one."""
        return self.config.count("L_cycles")

    @cached_property
    def layer_count(self) -> int:
        """Runs of layers.

        Raises:
            ConfigError: the file states another total.

        """
        runs = self.config.checked_count(
            "num_hidden_layers", self.stack * self.config.count("H_cycles") * (self.low_cycles + 1)
        )
        if self.config.states("num_layers_per_stack") and self.config.count("num_hidden_layers") != runs:
            raise self.config.fail(
                "num_hidden_layers", f"is not num_layers_per_stack x H_cycles x (L_cycles + 1) = {runs}."
            )
        return runs

    @cached_property
    def kv_heads(self) -> int:
        """One per query head."""
        return self.heads

    def layers(self) -> tuple[Layer, ...]:
        """Return the runs; the parameters stand with the first run of each stack."""
        first_high = self.low_cycles * self.stack
        return tuple(
            Layer(
                caches=self.caches(i),
                parts=tuple(self.parts(i)) if i < self.stack or first_high <= i < first_high + self.stack else (),
            )
            for i in range(self.layer_count)
        )

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the gate."""
        yield from super().attention_parts(index)
        width = self.heads * self.head_dim
        yield linear("gate_proj", width, self.hidden_size, bias=self.qkv_bias, component="attention")

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return nothing: the norms have no parameters."""
        return iter(())

    def outer(self) -> Iterator[Part]:
        """Return embedding, the low stack's first state, and the head."""
        yield from self.embedding_parts()
        yield vector("z_L_init", self.hidden_size, component="other")
        yield from self.head_parts()
