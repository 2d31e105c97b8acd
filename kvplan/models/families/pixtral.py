"""Pixtral's tower and the models that use it: Mistral Small 3.1 and its kin, LightOnOCR."""

from collections.abc import Iterator
from typing import Any, ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, times
from kvplan.weights.parts import Part, norm


class PixtralVision(Tower):
    """A vision transformer of the Llama kind: rotary positions, gated MLP, RMSNorm, no biases."""

    model_types = ("pixtral",)
    source = "transformers 5.18 modeling_pixtral.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield patch_embedding(self.config, self.width, bias=False)
        yield norm("ln_pre", self.width, component="vision")
        layer = encoder_layer(
            self.width, self.mlp, qkv_bias=False, output_bias=False, gated=True, mlp_bias=False, norm_bias=False
        )
        yield from times(self.depth, layer)


_PIXTRAL = {"patch_size": 14, "image_size": 1540}


class Mistral3(Composed):
    """Mistral Small 3.1 and 3.2, Devstral Small 2, Ministral 3: patches merged 2 x 2, then two linears."""

    model_types = ("mistral3",)
    architectures = ("Mistral3ForConditionalGeneration",)
    source = "transformers 5.18 modeling_mistral3.py, configuration_mistral3.py __post_init__"
    # Mistral-Small-3.1-24B: 24,011,361,280 parameters, 5120 x 131072 of them the head, and no word on tying in its file.
    untied = True
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": _PIXTRAL,
        "text_config": {
            "head_dim": 128,
            "hidden_size": 5120,
            "intermediate_size": 32768,
            "max_position_embeddings": 131072,
            "num_attention_heads": 32,
            "num_hidden_layers": 40,
            "num_key_value_heads": 8,
            "sliding_window": None,
            "vocab_size": 131072,
        },
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm, the merger and the two linears, fed by one or several of the tower's layers."""
        vision = self.width_of("vision_config")
        merged = vision * self.config.count("spatial_merge_size") ** 2
        layers = self.config.raw("vision_feature_layer")
        features = len(layers) if isinstance(layers, list) else 1
        bias = self.config.flag("multimodal_projector_bias", default=False)
        yield norm("projector.norm", vision, component="projector")
        yield self.join("patch_merger.merging_layer", vision, merged, bias=False)
        yield self.join("linear_1", self.hidden_size, vision * features, bias=bias, split="column")
        yield self.join("linear_2", self.hidden_size, self.hidden_size, bias=bias, split="row")


class LightOnOcr(Mistral3):
    """LightOnOCR: the same in front of Qwen 3, without biases."""

    model_types = ("lighton_ocr",)
    architectures = ("LightOnOcrForConditionalGeneration",)
    source = "transformers 5.18 modeling_lighton_ocr.py, configuration_lighton_ocr.py __post_init__"
    untied = False
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": _PIXTRAL,
        "text_config": {
            "head_dim": 128,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "max_position_embeddings": 40960,
            "num_attention_heads": 16,
            "num_hidden_layers": 28,
            "num_key_value_heads": 8,
        },
    }
