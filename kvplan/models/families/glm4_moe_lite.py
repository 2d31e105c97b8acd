"""GLM-4.7-Flash: latent attention, one dense layer, then experts."""

from kvplan.models.families.deepseek_v3 import LatentMoe


class Glm4MoeLite(LatentMoe):
    """GLM-4.7-Flash."""

    model_types = ("glm4_moe_lite",)
    architectures = ("Glm4MoeLiteForCausalLM",)
    source = (
        "transformers 5.18 modeling_glm4_moe_lite.py, configuration_glm4_moe_lite.py; vLLM 0.33 models/glm4_moe_lite.py"
    )
    first_dense = 1
