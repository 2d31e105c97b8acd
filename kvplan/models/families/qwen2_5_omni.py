"""Qwen 2.5-Omni and Qwen 3-Omni: the thinker (a language model that hears and sees) and the parts that speak.

What is cached is the thinker's; the talker runs as a model of its own, which a plan of the thinker does not include.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.families.qwen2 import Qwen2
from kvplan.models.families.qwen3 import Qwen3Moe
from kvplan.models.towers import Composed
from kvplan.weights.parts import Component, Part


class Qwen25OmniText(Qwen2):
    """The thinker's language model: Qwen 2.5."""

    model_types = ("qwen2_5_omni_text",)
    source = "transformers 5.18 modeling_qwen2_5_omni.py"


class Qwen3OmniMoeText(Qwen3Moe):
    """The thinker's language model: Qwen 3 with experts; its window is never used (`self.sliding_window = None`)."""

    model_types = ("qwen3_omni_moe_text",)
    source = "transformers 5.18 modeling_qwen3_omni_moe.py"

    @cached_property
    def window(self) -> None:
        """The attention sets its window to None."""
        self.config.raw("sliding_window", "use_sliding_window")


class Qwen25OmniThinker(Composed):
    """Qwen 2.5-Omni's thinker."""

    model_types = ("qwen2_5_omni_thinker",)
    architectures = ("Qwen2_5OmniThinkerForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen2_5_omni.py"
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "audio_config": "audio"}
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "qwen2_5_omni_vision_encoder",
        "audio_config": "qwen2_5_omni_audio_encoder",
        "text_config": "qwen2_5_omni_text",
    }


class Qwen3OmniMoeThinker(Qwen25OmniThinker):
    """Qwen 3-Omni's thinker."""

    model_types = ("qwen3_omni_moe_thinker",)
    architectures = ("Qwen3OmniMoeThinkerForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_omni_moe.py"
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "qwen3_omni_moe_vision_encoder",
        "audio_config": "qwen3_omni_moe_audio_encoder",
        "text_config": "qwen3_omni_moe_text",
    }


class Qwen25Omni(Composed):
    """Qwen 2.5-Omni, Qwen 3-Omni: the thinker stands under `thinker_config`."""

    model_types = ("qwen2_5_omni", "qwen3_omni_moe")
    architectures = ("Qwen2_5OmniForConditionalGeneration", "Qwen3OmniMoeForConditionalGeneration")
    source = "transformers 5.18 configuration_qwen2_5_omni.py, configuration_qwen3_omni_moe.py"
    text_key = "thinker_config"
    towers: ClassVar[dict[str, Component]] = {}

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The parts that speak are not counted by a rule here."""
        if self.config.flag("enable_audio_output", default=True):
            return "the talker and the vocoder (talker_config, token2wav_config, code2wav_config) are not counted yet"
        return self.text.unknown_parameters

    def outer(self) -> Iterator[Part]:
        """Return the thinker's outer parts."""
        return iter(self.text.outer())
