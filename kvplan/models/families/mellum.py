"""Mellum 2: Q/K norms, experts without a shared one, listed windows."""

from kvplan.models.listed import ListedMoe


class Mellum(ListedMoe):
    """Mellum 2."""

    model_types = ("mellum",)
    architectures = ("MellumForCausalLM",)
    source = "transformers 5.18 modeling_mellum.py, configuration_mellum.py __post_init__"
    qk_norm = True
    mlp_bias = False
    shared_keys = ()
    expert_keys = ("num_local_experts", "num_experts")

    @property
    def shared_size(self) -> int:
        """None."""
        return 0
