"""Ultravox: Whisper's encoder and a projector in front of a language model that the file names."""

from functools import cached_property
from typing import ClassVar

from kvplan.models.family import Family
from kvplan.models.towers import Composed
from kvplan.weights.parts import Component


class Ultravox(Composed):
    """Ultravox: only files that describe the language model (`text_config`) say what is cached."""

    model_types = ("ultravox",)
    architectures = ("UltravoxModel",)
    source = "vLLM 0.33 models/ultravox.py, transformers_utils/configs/ultravox.py"
    towers: ClassVar[dict[str, Component]] = {}
    unknown_parameters = "the audio tower is named by audio_model_id and not described by the file"

    @cached_property
    def text(self) -> Family:
        """The family of the language model.

        Raises:
            UnsupportedArchitectureError: it is only named.

        """
        stated = self.config.values.get("text_config")
        if not isinstance(stated, dict) or "model_type" not in stated:
            raise self.refuse(
                "text_model_id",
                f"names a language model ({str(self.config.raw('text_model_id'))[:60]}) that the file does not describe.",
                "Put that model's configuration under text_config.",
            )
        return super().text
