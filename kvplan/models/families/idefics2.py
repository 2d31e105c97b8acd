"""Idefics 2 and 3, SmolVLM: SigLIP in front of Mistral or Llama."""

from collections.abc import Iterator
from typing import Any, ClassVar, cast

from kvplan.models.towers import Composed, Tower, feed_forward, self_attention, times
from kvplan.weights.parts import Part, norm, vector


class Idefics2Perceiver(Tower):
    """Idefics 2's resampler: latents that attend to the image, as deep as `resampler_depth`."""

    model_types = ("idefics2_perceiver",)
    source = "transformers 5.18 modeling_idefics2.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters at the width that the file states."""
        return self.at_width(self.width)

    def at_width(self, width: int) -> Iterator[Part]:
        """Return all parameters at the language model's width, which the configuration class puts in."""
        c = self.config
        head = c.count("resampler_head_dim")
        yield vector("latents", c.count("resampler_n_latents"), width, component="projector")
        yield from times(
            c.count("resampler_depth", minimum=0),
            (
                *self_attention(
                    width,
                    component="projector",
                    inner=c.count("resampler_n_heads") * head,
                    kv_inner=c.count("num_key_value_heads") * head,
                    qkv_bias=False,
                    output_bias=False,
                ),
                *feed_forward(width, 4 * width, component="projector", gated=True, bias=False),
                norm("norms", width, component="projector", count=3),
            ),
        )
        yield norm("norm", width, component="projector")


class Idefics2(Composed):
    """Idefics 2."""

    model_types = ("idefics2",)
    architectures = ("Idefics2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_idefics2.py, configuration_idefics2.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "idefics2_vision", "perceiver_config": "idefics2_perceiver"}
    absent: ClassVar[dict[str, dict[str, Any]]] = {"text_config": {"max_position_embeddings": 32768}}

    def projector_parts(self) -> Iterator[Part]:
        """Return the gated projection into the language model's width and the resampler."""
        inner = self.text.config.count("intermediate_size")
        vision = self.width_of("vision_config")
        yield self.join("modality_projection.gate_proj", inner, vision, bias=False)
        yield self.join("modality_projection.up_proj", inner, vision, bias=False)
        yield self.join("modality_projection.down_proj", self.hidden_size, inner, bias=False)
        perceiver = cast("Idefics2Perceiver", self.section("perceiver_config"))
        yield from perceiver.at_width(self.hidden_size)


class Idefics3(Composed):
    """Idefics 3 and SmolVLM: neighbouring patches side by side through one linear."""

    model_types = ("idefics3", "smolvlm")
    architectures = ("Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration")
    source = "transformers 5.18 modeling_idefics3.py, modeling_smolvlm.py"

    @property
    def fixed(self) -> dict[str, str]:
        """The tower's class is fixed."""
        return {"vision_config": "smolvlm_vision" if self.config.model_type == "smolvlm" else "idefics3_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear."""
        merged = self.width_of("vision_config") * self.config.count("scale_factor") ** 2
        yield self.join("modality_projection.proj", self.hidden_size, merged, bias=False)
