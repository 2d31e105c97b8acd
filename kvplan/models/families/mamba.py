"""Mamba 1 and Falcon-Mamba: state-space layers only."""

from functools import cached_property

from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mamba1, Mixer, count_or_auto


class Mamba(Recurrent):
    """Mamba 1; Falcon-Mamba's norms on dt, B and C have no weight, so it counts the same."""

    model_types = ("mamba", "falcon_mamba")
    architectures = ("MambaForCausalLM", "FalconMambaForCausalLM")
    source = "transformers 5.18 modeling_mamba.py, modeling_falcon_mamba.py and their configurations' __post_init__"

    @cached_property
    def mixer(self) -> Mixer:
        """The mixer; its width is stated as `intermediate_size` or is expand x hidden size."""
        config = self.config
        expand = config.count("expand")
        return Mamba1(
            hidden=self.hidden_size,
            inner=config.optional_count("intermediate_size") or expand * self.hidden_size,
            state=config.count("state_size"),
            taps=config.count("conv_kernel"),
            rank=count_or_auto(config, "time_step_rank", -(-self.hidden_size // 16)),
            bias=config.flag("use_bias"),
            conv_bias=config.flag("use_conv_bias"),
        )
