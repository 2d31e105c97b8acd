"""ShieldGemma 2: Gemma 3 that answers yes or no."""

from kvplan.models.families.gemma3 import Gemma3


class ShieldGemma2(Gemma3):
    """ShieldGemma 2: one step of Gemma 3, of which two words' scores are read."""

    model_types = ("shieldgemma2",)
    architectures = ("ShieldGemma2ForImageClassification",)
    source = "transformers 5.18 modeling_shieldgemma2.py, configuration_shieldgemma2.py __post_init__"
