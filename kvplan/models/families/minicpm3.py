"""Dense models with latent attention: MiniCPM 3, Youtu-LLM."""

from functools import cached_property

from kvplan.models.families.deepseek_v3 import LatentDecoder


class MiniCpm3(LatentDecoder):
    """MiniCPM 3: value heads as wide as hidden size / heads where the file does not say."""

    model_types = ("minicpm3",)
    architectures = ("MiniCPM3ForCausalLM",)
    source = (
        "transformers 5.18 modeling_minicpm3.py, configuration_minicpm3.py __post_init__; vLLM 0.33 models/minicpm3.py"
    )

    @cached_property
    def value_dim(self) -> int:
        """Width of a value head."""
        return self.config.optional_count("v_head_dim") or self._derived_head_dim()


class Youtu(LatentDecoder):
    """Youtu-LLM."""

    model_types = ("youtu", "youtu_llm")
    architectures = ("YoutuForCausalLM",)
    source = "transformers 5.18 modeling_youtu.py"
    mlp_bias = False
