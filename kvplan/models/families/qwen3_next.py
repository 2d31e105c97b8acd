"""Qwen 3-Next: three gated delta nets, then one gated attention; experts with a gated shared one."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import FULL, LINEAR, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.listed import next_token_layers
from kvplan.models.mixers import GatedDeltaNet, Mixer
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, linear


class GatedDelta(Hybrid):
    """A decoder of gated delta nets and gated attention under Qwen's `linear_` keys."""

    draft_keys: ClassVar[tuple[str, ...]] = ("num_nextn_predict_layers",)
    qk_norm = True

    @cached_property
    def mixer(self) -> Mixer:
        """The gated delta net."""
        config = self.config
        return GatedDeltaNet(
            hidden=self.hidden_size,
            key_heads=config.count("linear_num_key_heads"),
            value_heads=config.count("linear_num_value_heads"),
            key_dim=config.count("linear_key_head_dim"),
            value_dim=config.count("linear_value_head_dim"),
            taps=config.count("linear_conv_kernel_dim"),
        )

    @cached_property
    def interval(self) -> int:
        """Every how many layers one attends, where the file has no list."""
        return self.config.count("full_attention_interval", default=4)

    def layer_type_rule(self, index: int) -> str:
        """Every `full_attention_interval`-th layer attends."""
        return LINEAR if (index + 1) % self.interval else FULL

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or attention whose queries carry a gate of their own width."""
        self.config.read.add("full_attention_interval")  # no say where the file lists the layers
        yield from super().attention_parts(index)
        if not self.is_recurrent(index):
            width = self.heads * self.head_dim
            yield linear("q_proj.gate", width, self.hidden_size, bias=self.qkv_bias, component="attention")

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: whole layers of attention. One where the file does not say.

        Source: vLLM 0.33 models/qwen3_next_mtp.py, qwen3_5_mtp.py.
        """
        count = self.config.count(*self.draft_keys, default=1, minimum=0)
        attention = next((i for i in range(self.layer_count) if not self.is_recurrent(i)), None)
        if attention is None:
            return ()
        layer = Layer(caches=self.caches(attention), parts=tuple(self.parts(attention)))
        return next_token_layers(self, layer, count)


class GatedDeltaMoe(GatedDelta, MoeDecoder):
    """The same with experts and a shared expert behind a gate."""

    mlp_bias = False
    shared_expert_gate = True
    expert_keys = ("num_experts",)
    per_token_keys = ("num_experts_per_tok",)

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("shared_expert_intermediate_size")


class Qwen3Next(GatedDeltaMoe):
    """Qwen 3-Next: every `decoder_sparse_step`-th layer routes but those in `mlp_only_layers`."""

    model_types = ("qwen3_next",)
    architectures = ("Qwen3NextForCausalLM",)
    source = "transformers 5.18 modeling_qwen3_next.py, configuration_qwen3_next.py __post_init__"

    @cached_property
    def experts(self) -> int:
        """Routed experts; 0: a dense model."""
        return self.config.count(*self.expert_keys, minimum=0)

    def is_moe(self, index: int) -> bool:
        """Whether layer `index` routes."""
        dense = self.config.counts("mlp_only_layers", minimum=0) or []
        return self.experts > 0 and index not in dense and (index + 1) % self.config.count("decoder_sparse_step") == 0
