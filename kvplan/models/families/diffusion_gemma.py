"""DiffusionGemma: Gemma 4 with experts as an encoder that fills the cache and, tied to it, a decoder that only reads it."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.families.gemma4 import Gemma4, Gemma4Text
from kvplan.models.family import Family
from kvplan.weights import blocks
from kvplan.weights.parts import Component, Part, norm


class DiffusionGemmaText(Gemma4Text):
    """The language model: experts everywhere, V is K on every full layer, no shared caches."""

    model_types = ("diffusion_gemma_text",)
    source = "transformers 5.18 modeling_diffusion_gemma.py"
    per_layer = 0
    routes = True
    values_are_keys = True

    @cached_property
    def owners(self) -> int:
        """All layers: the reference knows no sharing."""
        return self.layer_count


class DiffusionGemma(Gemma4):
    """Encoder and decoder have one set of weights; the tokens being denoised are not cached."""

    model_types = ("diffusion_gemma",)
    architectures = ("DiffusionGemmaForBlockDiffusion",)
    source = "transformers 5.18 modeling_diffusion_gemma.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "diffusion_gemma_text"}
    absent: ClassVar[dict[str, dict[str, str]]] = {"vision_config": {"model_type": "gemma4_vision"}}

    @cached_property
    def towers(self) -> dict[str, Component]:
        """A vision tower."""
        return {"vision_config": "vision"}

    def tower(self, key: str) -> Family:
        """Return Gemma 4's tower where the file does not say."""
        return self.section(key, "gemma4_vision")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """No published model has untied halves or biases, which are not tied."""
        if not self.text.tied or self.text.config.flag("attention_bias", default=False):
            return "encoder and decoder do not share all their weights here"
        return super().unknown_parameters

    def projector_parts(self) -> Iterator[Part]:
        """Return the vision projection and the self-conditioning MLP."""
        yield from super().projector_parts()
        yield norm("self_conditioning.pre_norm", self.hidden_size)
        yield from blocks.gated_mlp(
            self.hidden_size, self.text.config.count("intermediate_size"), component="mlp", prefix="self_conditioning."
        )
