"""Phi 4 multimodal and Phi 3 vision: Phi 3 with towers inside."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.config import Config
from kvplan.models.families.clip import ClipVision
from kvplan.models.families.phi3 import Phi3
from kvplan.models.families.siglip import SiglipVision
from kvplan.models.family import as_component
from kvplan.models.towers import Tower, feed_forward, head_width, replicated, self_attention, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector


class Phi4MultimodalVision(SiglipVision):
    """SigLIP with its pooling head, though only an inner layer is read."""

    model_types = ("phi4_multimodal_vision",)
    source = "transformers 5.18 modeling_phi4_multimodal.py"
    pooled = True


class Phi4MultimodalAudio(Tower):
    """A Conformer behind strided convolutions, with a table of biases by distance."""

    model_types = ("phi4_multimodal_audio",)
    source = "transformers 5.18 modeling_phi4_multimodal.py, configuration_phi4_multimodal.py __post_init__"

    @cached_property
    def depth(self) -> int:
        """Layers of the tower."""
        return self.config.count("num_blocks", minimum=0)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        halvings = c.count("time_reduction").bit_length() - 1
        channels, bins = c.count("nemo_conv_channels"), c.count("input_size")
        for index in range(halvings):
            yield convolution(
                f"embed.conv.{index}", channels, 1, 3, 3, bias=True, component="audio", split="replicated"
            )
            if index:
                yield convolution(
                    f"embed.conv.{index}.point",
                    channels,
                    channels,
                    1,
                    1,
                    bias=True,
                    component="audio",
                    split="replicated",
                )
            bins = (bins + 1) // 2
        bins = c.optional_count("nemo_final_size") or bins
        yield linear("embed.out", width, channels * bins, bias=True, component="audio")
        heads = c.count("num_attention_heads")
        buckets = c.count("bias_max_distance") * (1 if c.flag("bias_symmetric", default=False) else 2)
        yield embedding("relative_attention_bias", buckets, heads, component="audio")
        yield from times(self.depth, self._layer(heads))

    def _layer(self, heads: int) -> Iterator[Part]:
        c, width = self.config, self.width
        head = c.optional_count("head_dim", minimum=0) or head_width(c, width, heads)
        out = c.count("ext_pw_out_channel")
        wide = width * c.count("depthwise_multiplier")
        yield from times(2, feed_forward(width, self.mlp, component="audio", gated=True))
        yield from self_attention(width, component="audio", inner=heads * head)
        yield convolution("glu.ext_pw_conv_1d", 2 * out, width, 1, bias=True, component="audio", split="replicated")
        yield vector("glu.b", 1, out, 1, component="audio", count=2)
        yield convolution("dw_conv", wide, 1, c.count("kernel_size"), bias=True, component="audio", split="replicated")
        yield convolution(
            "pw_conv",
            c.count("depthwise_separable_out_channel"),
            wide,
            1,
            bias=True,
            component="audio",
            split="replicated",
        )
        yield convolution("ext_pw_conv_1d", out, width, 1, bias=True, component="audio", split="replicated")
        yield norm("layer_norms", width, bias=True, component="audio", count=5)


class Phi4Multimodal(Phi3):
    """Phi 4 multimodal; its LoRA adapters for sight and hearing are files of their own and not counted."""

    model_types = ("phi4_multimodal", "phi4mm")
    architectures = ("Phi4MultimodalForCausalLM", "Phi4MMForCausalLM")
    source = "transformers 5.18 modeling_phi4_multimodal.py; vLLM 0.33 models/phi4mm.py"

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The original repository's files hold the towers in another form, with their adapters inside."""
        if self.config.model_type == "phi4mm":
            return "the original repository's form describes its towers in code and has LoRA adapters inside"
        return None

    def outer(self) -> Iterator[Part]:
        """Return Phi 3's outer parts, the towers and their projections."""
        yield from super().outer()
        if self.unknown_parameters:
            return
        hidden = self.hidden_size
        vision = Phi4MultimodalVision(self._section("vision_config", "phi4_multimodal_vision"))
        audio = Phi4MultimodalAudio(self._section("audio_config", "phi4_multimodal_audio"))
        yield from vision.outer()
        yield from replicated(audio.outer())
        yield vector("feature_extensors", vision.width, component="projector", count=2)
        yield self._join("img_projection_up", hidden, vision.width)
        yield self._join("img_projection_down", hidden, hidden)
        sound = audio.width * audio.config.count("downsample_rate", default=1)
        for name in ("speech", "vision_speech"):
            yield self._join(f"up_proj_for_{name}", hidden, sound)
            yield self._join(f"down_proj_for_{name}", hidden, hidden)

    def _section(self, key: str, model_type: str) -> Config:
        stated = self.config.part(key)
        part = Config(stated.values, where=stated.where, path=stated.path, model_type=model_type)
        self.config.parts[-1] = part
        return part

    def _join(self, name: str, out: int, source: int) -> Part:
        return linear(name, out, source, bias=True, component="projector", split="replicated")


class Phi3Vision(Phi3):
    """Phi 3 and 3.5 vision: CLIP large at 336 pixels, four patches merged, two linears."""

    model_types = ("phi3_v",)
    architectures = ("Phi3VForCausalLM",)
    source = "vLLM 0.33 models/phi3v.py (CLIP_VIT_LARGE_PATCH14_336_CONFIG, Phi3HDImageEmbedding); its 4,146,621,440 parameters"
    clip: ClassVar[dict[str, Any]] = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "image_size": 336,
        "patch_size": 14,
    }

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Only the one published tower is known."""
        tower = self.config.raw("img_processor")
        if isinstance(tower, dict) and tower.get("model_name") not in (None, "openai/clip-vit-large-patch14-336"):
            return "img_processor names a vision tower that the file does not describe"
        return None

    def outer(self) -> Iterator[Part]:
        """Return Phi 3's outer parts, the tower, two separators and the two linears."""
        yield from super().outer()
        tower = Config(self.clip, where=self.config.where, path="img_processor.", model_type="clip_vision_model")
        yield from as_component(ClipVision(tower).outer(), "vision")
        merged = 4 * 1024
        yield vector("separators", merged, component="projector", count=2)
        yield linear("img_projection.0", self.hidden_size, merged, bias=True, component="projector", split="replicated")
        yield linear(
            "img_projection.2", self.hidden_size, self.hidden_size, bias=True, component="projector", split="replicated"
        )
