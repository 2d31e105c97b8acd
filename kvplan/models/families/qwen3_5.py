"""Qwen 3.5 to 3.8: Qwen 3-Next's layers, densely or with experts, alone or behind Qwen 3-VL's tower."""

from functools import cached_property
from typing import ClassVar

from kvplan.models.families.qwen3_next import GatedDelta, GatedDeltaMoe
from kvplan.models.families.qwen3_vl import Qwen3VLVision
from kvplan.models.towers import Composed


class Qwen35Text(GatedDelta):
    """The dense language model."""

    model_types = ("qwen3_5_text",)
    architectures = ("Qwen3_5ForCausalLM",)
    source = "transformers 5.18 modeling_qwen3_5.py, configuration_qwen3_5.py __post_init__"
    mlp_bias = False
    draft_keys = ("mtp_num_hidden_layers",)


class Qwen35MoeText(GatedDeltaMoe):
    """The language model with experts in every layer."""

    model_types = ("qwen3_5_moe_text",)
    architectures = ("Qwen3_5MoeForCausalLM",)
    source = "transformers 5.18 modeling_qwen3_5_moe.py, configuration_qwen3_5_moe.py __post_init__"
    draft_keys = ("mtp_num_hidden_layers",)


class Qwen35Vision(Qwen3VLVision):
    """Qwen 3-VL's tower with the last merger only."""

    model_types = ("qwen3_5_vision", "qwen3_5_moe_vision", "qwen4_exp_vision")
    source = "transformers 5.18 modeling_qwen3_5.py (Qwen3_5VisionModel), modeling_qwen4_exp.py"

    @cached_property
    def deep_mergers(self) -> int:
        """None, whatever `deepstack_visual_indexes` says."""
        return 0


class Qwen35(Composed):
    """Qwen 3.5, dense, with its tower."""

    model_types = ("qwen3_5",)
    architectures = ("Qwen3_5ForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_5.py, configuration_qwen3_5.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen3_5_vision", "text_config": "qwen3_5_text"}


class Qwen35Moe(Qwen35):
    """Qwen 3.5 with experts and tower."""

    model_types = ("qwen3_5_moe",)
    architectures = ("Qwen3_5MoeForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_5_moe.py, configuration_qwen3_5_moe.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen3_5_moe_vision", "text_config": "qwen3_5_moe_text"}


class InternS2Preview(Qwen35Moe):
    """Intern-S2 Preview and Mobius: Qwen 3.5's layers, a tower for time series, Mobius' experts in blocks of their own."""

    model_types = ("intern_s2_preview", "interns2_mobius")
    architectures = ("InternS2PreviewForConditionalGeneration", "InternS2MobiusForConditionalGeneration")
    source = "vLLM 0.33 models/interns2_preview.py, interns2_mobius.py (the same attention and delta nets)"
    unknown_parameters = "no rule covers its tower for time series"
