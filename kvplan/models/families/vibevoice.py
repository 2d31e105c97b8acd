"""VibeVoice: Qwen 2 that hears through convolutional encoders and speaks through a diffusion head."""

from typing import ClassVar

from kvplan.models.family import Family
from kvplan.models.towers import Composed
from kvplan.weights.parts import Component


class VibeVoice(Composed):
    """VibeVoice and VibeVoice-ASR."""

    model_types = ("vibevoice", "vibevoice_asr")
    architectures = ("VibeVoiceForConditionalGeneration", "VibeVoiceAsrForConditionalGeneration")
    source = "transformers 5.18 modeling_vibevoice.py, modeling_vibevoice_asr.py"
    text_type = "qwen2"
    towers: ClassVar[dict[str, Component]] = {}
    unknown_parameters = "the acoustic and semantic tokenizers and the diffusion head are not counted by a rule here"

    def _tied(self, text: Family) -> bool:
        """Return the language model's word; VibeVoice-ASR's head is its own (`_tied_weights_keys` names none)."""
        return text.tied and self.config.model_type == "vibevoice"
