"""MiniCPM-V 4.6 and later in transformers' form, and MiniCPM-V/-o in the original repository's form."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.config import Config
from kvplan.models.families.siglip import SiglipVision
from kvplan.models.family import Family, family_of
from kvplan.models.towers import Composed, self_attention
from kvplan.weights.parts import Component, Part, linear, norm


class MiniCPMV46Vision(SiglipVision):
    """SigLIP without its head, with a layer in the middle that merges windows of patches."""

    model_types = ("minicpmv4_6_vision", "minicpmv4_7_vision")
    source = "transformers 5.18 modeling_minicpmv4_6.py, modeling_minicpmv4_7.py"
    pooled = False

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from super().outer()
        window = self.config.counts("window_kernel_size") or [2, 2]
        if len(window) != 2:
            raise self.config.fail("window_kernel_size", f"has {len(window)} numbers; two were expected.")
        area = window[0] * window[1]
        yield from self_attention(self.width, component="vision")
        yield norm("vit_merger.layer_norm1", self.width, bias=True, component="vision")
        yield norm("vit_merger.pre_norm", area * self.width, bias=True, component="vision")
        yield linear("vit_merger.linear_1", area * self.mlp, area * self.width, bias=True, component="vision")
        yield linear("vit_merger.linear_2", self.width, area * self.mlp, bias=True, component="vision", split="row")


class MiniCPMV46(Composed):
    """MiniCPM-V 4.6 and 4.7: mergers of four patches each, the last into the language model's width."""

    model_types = ("minicpmv4_6", "minicpmv4_7")
    architectures = ("MiniCPMV4_6ForConditionalGeneration", "MiniCPMV4_7ForConditionalGeneration")
    source = "transformers 5.18 modeling_minicpmv4_6.py, configuration_minicpmv4_6.py __post_init__"

    @property
    def fixed(self) -> dict[str, str]:
        """The tower's class is fixed."""
        return {"vision_config": f"{self.config.model_type}_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the mergers."""
        width = self.width_of("vision_config")
        steps = self.config.count("merger_times", default=1)
        for index in range(steps):
            out = self.hidden_size if index == steps - 1 else width
            yield norm(f"merger.{index}.pre_norm", 4 * width, bias=True, component="projector")
            yield self.join(f"merger.{index}.linear_1", 4 * width, 4 * width)
            yield self.join(f"merger.{index}.linear_2", out, 4 * width)


class MiniCPMV(Composed):
    """MiniCPM-V 2 to 4.5 and MiniCPM-o: the language model's keys at the top level, its kind by the version."""

    model_types = ("minicpmv", "minicpmo")
    architectures = ("MiniCPMV", "MiniCPMO")
    source = "vLLM 0.33 models/minicpmv.py (init_llm of each version), models/minicpmo.py"
    towers: ClassVar[dict[str, Component]] = {}
    unknown_parameters = "the original repository's tower and resampler are not counted by a rule here"
    kinds: ClassVar[dict[str, str]] = {"2.0": "minicpm", "2.5": "llama", "2.6": "qwen2", "4.0": "llama", "4.5": "qwen3"}

    @cached_property
    def text(self) -> Family:
        """The family that the version names.

        Raises:
            UnsupportedArchitectureError: a version without a rule.

        """
        version = self.config.raw("version")
        kind = self.kinds.get(str(version)) or (
            "qwen2" if self.config.model_type == "minicpmo" and not version else None
        )
        if kind is None:
            raise self.refuse(
                "version",
                f"is {str(version)[:40]!r}; known: {', '.join(self.kinds)}.",
                "State the version, or give the language model's own configuration.",
            )
        part = Config(self.config.values, where=self.config.where, path=self.config.path, model_type=kind)
        part.read = self.config.read
        self.config.parts.append(part)
        return family_of(part)
