"""VaultGemma: Gemma 2 with two norms."""

from kvplan.models.families.gemma2 import Gemma2


class VaultGemma(Gemma2):
    """VaultGemma 1B."""

    model_types = ("vaultgemma",)
    architectures = ("VaultGemmaForCausalLM",)
    source = "transformers 5.18 modeling_vaultgemma.py, configuration_vaultgemma.py __post_init__"
    norms_per_layer = 2
    mlp_bias = False
