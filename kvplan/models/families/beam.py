"""Beam and Flint: experts under listed windows and full attention, with a gate on its output or sinks."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, SLIDING, MoeDecoder
from kvplan.models.listed import ListedMoe
from kvplan.weights.parts import Part, linear, norm, vector


class Beam(ListedMoe):
    """Beam: all layers slide and route where the file has no lists; four norms, gates with a bias for each head."""

    model_types = ("beam",)
    architectures = ("BeamForCausalLM",)
    source = "vLLM 0.33 models/beam/nvidia, transformers_utils/configs/beam.py"
    qk_norm = True
    norms_per_layer = 4
    qkv_bias = False
    mlp_bias = False
    router_correction = True
    expert_keys = ("num_experts",)

    @cached_property
    def shared_size(self) -> int:
        """None."""
        return 0

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """All slide."""
        return SLIDING

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, the norms and the gate."""
        yield from super().attention_parts(index)
        yield linear("output_gate_proj", self.heads * self.head_dim, self.hidden_size, component="attention")
        yield vector("gate_bias", self.heads, component="attention", split="column")


class Flint(MoeDecoder):
    """Flint: all layers are full where the file has no list; a sink for each head, dense layers by their numbers."""

    model_types = ("flint",)
    architectures = ("FlintForCausalLM",)
    source = "vLLM 0.33 models/flint/model.py, models/flint/configs.py"
    output_bias = False
    mlp_bias = False
    expert_keys = ("num_experts",)

    @cached_property
    def window(self) -> int | None:
        """`sliding_window`, which counts the current token; none where `use_sliding_window` is false."""
        stated = super().window
        return stated if self.config.flag("use_sliding_window", default=True) else None

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The list decides; the window is the sliding layers' alone."""
        self.config.read.update(("sliding_window", "use_sliding_window"))
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """All are full."""
        return FULL

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("shared_expert_intermediate_size")

    def is_moe(self, index: int) -> bool:
        """All but `mlp_only_layers`."""
        return index not in (self.config.counts("mlp_only_layers", minimum=0) or ())

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, the norms of Q and K and the sinks."""
        yield from super().attention_parts(index)
        yield norm("qk_norm", self.head_dim, count=2)
        yield vector("softmax_offset", self.heads, component="attention", split="column")
