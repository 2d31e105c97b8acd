"""Models that put a tower of the Qwen kind, or a plain one, in front of a language model of another family.

EXAONE 4.5, HyperCLOVA X SEED Vision, Cosmos 3, Cohere Compass, VideoLLaMA 3.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from kvplan.models.config import Config
from kvplan.models.decoder import Decoder
from kvplan.models.families.siglip import Siglip2Vision, SiglipVision
from kvplan.models.towers import Composed, patch_embedding
from kvplan.weights.parts import Component, Part, norm


class Exaone45(Composed):
    """EXAONE 4.5: the tower's own merger is the projector; its files call the language model `exaone4_5_text`."""

    model_types = ("exaone4_5",)
    architectures = ("Exaone4_5_ForConditionalGeneration",)
    source = "transformers 5.18 modeling_exaone4_5.py, configuration_exaone4_5.py __post_init__"
    renamed: ClassVar[dict[str, str]] = {"exaone4_5_text": "exaone4"}

    def _part(self, key: str, model_type: str | None) -> Config:
        """Return the part under the type that the configuration class makes of the stated one."""
        part = super()._part(key, model_type)
        if part.model_type not in self.renamed:
            return part
        self.config.parts.remove(part)
        renamed = Config(part.values, where=part.where, path=part.path, model_type=self.renamed[part.model_type])
        self.config.parts.append(renamed)
        return renamed


class HyperClovaXVision(Exaone45):
    """HyperCLOVA X SEED Vision: one linear behind the tower's merger."""

    model_types = ("hyperclovax_vision_v2",)
    architectures = ("HyperCLOVAXVisionV2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_hyperclovax_vision_v2.py, configuration_hyperclovax_vision_v2.py __post_init__"
    renamed: ClassVar[dict[str, str]] = {"qwen2_5_vl": "qwen2_5_vl_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear."""
        yield self.join("projector", self.hidden_size, self.width_of("vision_config"))


class Cosmos3Omni(Exaone45):
    """Cosmos 3 (reasoning part): Qwen 3-VL's parts."""

    model_types = ("cosmos3_omni",)
    architectures = ("Cosmos3OmniForConditionalGeneration",)
    source = "transformers 5.18 modeling_cosmos3_omni.py, configuration_cosmos3_omni.py __post_init__"
    renamed: ClassVar[dict[str, str]] = {"qwen3_vl": "qwen3_vl_vision"}


class CohereCompass(Composed):
    """Cohere Compass: Qwen 3-VL's tower in front of Command R."""

    model_types = ("cohere_compass",)
    architectures = ("CohereCompassForConditionalGeneration",)
    source = "transformers 5.18 modeling_cohere_compass.py"
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "cohere_compass_vision",
        "text_config": "cohere_compass_text",
    }


class Cosmos3EdgeVision(Siglip2Vision):
    """Cosmos 3 Edge's tower: SigLIP 2 without its head."""

    model_types = ("cosmos3_edge_vision",)
    source = "transformers 5.18 modeling_cosmos3_edge.py"
    pooled = False


class Cosmos3EdgeText(Decoder):
    """Cosmos 3 Edge's language model: a Llama without a gate."""

    model_types = ("cosmos3_edge_text",)
    source = "transformers 5.18 modeling_cosmos3_edge.py"
    gated_mlp = False


class Cosmos3Edge(Composed):
    """Cosmos 3 Edge: neighbouring patches normed and merged by two linears; the head is never tied."""

    model_types = ("cosmos3_edge",)
    architectures = ("Cosmos3EdgeForConditionalGeneration",)
    source = "transformers 5.18 modeling_cosmos3_edge.py"
    never_tied = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "cosmos3_edge_vision", "text_config": "cosmos3_edge_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        width, inner = self.width_of("vision_config"), self.config.count("projector_hidden_size")
        merge = self.tower("vision_config").config.count("spatial_merge_size")
        yield norm("projector.norm", width, bias=True, component="projector")
        yield self.join("linear_fc1", inner, width * merge**2)
        yield self.join("linear_fc2", self.hidden_size, inner)


class VideoLlama3Vision(SiglipVision):
    """VideoLLaMA 3's tower: SigLIP with computed positions and without its head."""

    model_types = ("video_llama_3_vision",)
    source = "transformers 5.18 modeling_video_llama_3.py"
    pooled = False

    def embedding_parts(self) -> Iterator[Part]:
        """Return the patch convolution."""
        yield patch_embedding(self.config, self.width, bias=True)


class VideoLlama3(Composed):
    """VideoLLaMA 3: two linears in front of Qwen 2."""

    model_types = ("video_llama_3",)
    architectures = ("VideoLlama3ForConditionalGeneration",)
    source = "transformers 5.18 modeling_video_llama_3.py, configuration_video_llama_3.py __post_init__"
    text_type = "qwen2"
    tie_either = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "video_llama_3_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        yield self.join("readout.0", self.hidden_size, self.width_of("vision_config"))
        yield self.join("readout.2", self.hidden_size, self.hidden_size)


class TimmTower(Composed):
    """Perception LM: two linears behind a tower of timm, which the file names but does not describe."""

    model_types = ("perception_lm",)
    architectures = ("PerceptionLMForConditionalGeneration",)
    source = "transformers 5.18 modeling_perception_lm.py"
    towers: ClassVar[dict[str, Component]] = {}
    tie_either = True
    unknown_parameters = "the vision tower is a model of the timm library, named and not described by the file"


class FastVlm(TimmTower):
    """FastVLM: the same form; a silent file has the language model of the 7B."""

    model_types = ("fast_vlm",)
    architectures = ("FastVlmForConditionalGeneration",)
    source = "transformers 5.18 modeling_fast_vlm.py, configuration_fast_vlm.py __post_init__"
    absent: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text_config": {
            "model_type": "qwen2",
            "hidden_size": 3584,
            "vocab_size": 152_128,
            "intermediate_size": 18_944,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "num_hidden_layers": 28,
        }
    }
