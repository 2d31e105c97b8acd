"""Mistral Small 4: latent attention and experts in every layer."""

from kvplan.models.families.deepseek_v3 import LatentMoe


class Mistral4(LatentMoe):
    """Mistral Small 4."""

    model_types = ("mistral4",)
    architectures = ("Mistral4ForCausalLM",)
    source = "transformers 5.18 modeling_mistral4.py"
