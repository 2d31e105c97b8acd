"""Mamba 2: state-space layers only; a convolution over inputs and groups, and a state of heads x head_dim x state."""

from functools import cached_property

from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mamba2, Mixer


class Mamba2Model(Recurrent):
    """Mamba 2 and Codestral Mamba."""

    model_types = ("mamba2",)
    architectures = ("Mamba2ForCausalLM",)
    source = "transformers 5.18 modeling_mamba2.py, configuration_mamba2.py validate_architecture"

    @cached_property
    def mixer(self) -> Mixer:
        """The mixer; its width is expand x hidden size, and must be what the heads add up to."""
        config = self.config
        heads, head_dim = config.count("num_heads"), config.count("head_dim")
        if heads * head_dim != (inner := config.count("expand") * self.hidden_size):
            raise config.fail("num_heads", f"x head_dim is {heads * head_dim}, but expand x hidden_size is {inner}.")
        return Mamba2(
            hidden=self.hidden_size,
            heads=heads,
            head_dim=head_dim,
            state=config.count("state_size"),
            groups=config.count("n_groups"),
            taps=config.count("conv_kernel"),
            bias=config.flag("use_bias"),
            conv_bias=config.flag("use_conv_bias"),
        )
