"""Solar Open 2: Kimi's delta attention, every fourth layer grouped-query attention with a gate; experts everywhere."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.families.kimi_linear import DeltaHybrid
from kvplan.models.listed import ListedMoe
from kvplan.models.mixers import DeltaAttention, Mixer
from kvplan.weights.parts import Part, linear


class SolarOpen2(DeltaHybrid, ListedMoe):
    """Solar Open 2 250B."""

    model_types = ("solar_open2",)
    architectures = ("SolarOpen2ForCausalLM",)
    source = "Upstage's vLLM port, transformers_utils/configs/solar_open2.py; llama.cpp conversion (solar_open2); total on the hub"
    expert_keys = ("n_routed_experts", "num_local_experts")
    shared_keys = ("n_shared_experts",)
    router_correction = True

    @cached_property
    def qk_norm(self) -> bool:
        """`use_qk_norm`."""
        return self.config.flag("use_qk_norm", default=False)

    @cached_property
    def mixer(self) -> Mixer:
        """The delta attention, as wide as the attention where the file has no section on it.

        Raises:
            UnsupportedArchitectureError: KV heads of its own, which no published model has.

        """
        section = self.linear_config
        if section.states("num_kv_heads"):
            raise self.refuse("linear_attn_config.num_kv_heads", "is stated.", "Open an issue with the configuration.")
        full = self.config.flag("kda_use_full_proj", default=False)
        return DeltaAttention(
            hidden=self.hidden_size,
            heads=section.count("num_heads", default=self.heads),
            dim=section.count("head_dim", default=self.head_dim),
            taps=section.count("short_conv_kernel_size", default=4),
            low_rank_forget=not full,
            low_rank_gate=not full,
        )

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The list, else `gqa_layers` (from 0), else every `gqa_interval`-th layer attends.

        Raises:
            ConfigError: the two lists disagree.

        """
        attending = self.config.counts("gqa_layers", minimum=0)
        interval = self.config.count("gqa_interval", default=4)
        if self.config.states("layer_types"):
            kinds = super().layer_types
        elif attending is not None:
            kinds = [FULL if i in attending else LINEAR for i in range(self.layer_count)]
        else:
            kinds = [LINEAR if (i + 1) % interval else FULL for i in range(self.layer_count)]
        if attending is not None and sorted(attending) != [i for i, kind in enumerate(kinds) if kind == FULL]:
            raise self.config.fail("gqa_layers", "and layer_types do not name the same layers.")
        return kinds

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or attention and the gate on its output."""
        yield from super().attention_parts(index)
        if not self.is_recurrent(index) and self.config.flag("use_gqa_gate", default=True):
            bias = self.config.flag("use_gqa_gate_bias", default=False)
            yield linear("g_proj", self.heads * self.head_dim, self.hidden_size, bias=bias, component="attention")
