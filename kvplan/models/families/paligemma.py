"""PaliGemma and ShieldGemma 2: SigLIP and one linear in front of Gemma; and the retrieval models built on such models."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.family import Family
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, linear

_GEMMA_2B = {
    "hidden_size": 2048,
    "num_hidden_layers": 18,
    "intermediate_size": 16384,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "vocab_size": 257152,
}


class PaliGemma(Composed):
    """PaliGemma 1 and 2."""

    model_types = ("paligemma",)
    architectures = ("PaliGemmaForConditionalGeneration",)
    source = "transformers 5.18 modeling_paligemma.py, configuration_paligemma.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": {
            "intermediate_size": 4096,
            "hidden_size": 1152,
            "patch_size": 14,
            "image_size": 224,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "vision_use_head": False,
        },
        "text_config": _GEMMA_2B,
    }

    @cached_property
    def flat(self) -> bool:
        """The top level's `hidden_size` is not the language model's."""
        return False

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear."""
        yield self.join("linear", self.config.count("projection_dim"), self.width_of("vision_config"))


class Retrieval(Family):
    """A model that embeds pages instead of writing: a multimodal model under `vlm_config` and a linear; no head, no cache."""

    model_types = ("colpali", "colqwen2")
    architectures = ("ColPaliForRetrieval", "ColQwen2ForRetrieval")
    source = "transformers 5.18 modeling_colpali.py, modeling_colqwen2.py"
    cacheless = "a retrieval model: it embeds in one pass and writes nothing"

    @cached_property
    def model(self) -> Composed:
        """The multimodal model.

        Raises:
            UnsupportedArchitectureError: `vlm_config` describes none.

        """
        default = "paligemma" if self.config.model_type == "colpali" else "qwen2_vl"
        family = self.nested("vlm_config", default)
        if not isinstance(family, Composed):
            raise self.refuse("vlm_config", "is not a multimodal model.", "Use the published file.")
        return family

    @cached_property
    def hidden_size(self) -> int:
        """The language model's."""
        return self.model.hidden_size

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The multimodal model's reason."""
        return self.model.unknown_parameters

    def outer(self) -> Iterator[Part]:
        """Return the multimodal model without its head, its layers' parameters, and the linear."""
        for layer in self.model.layers():
            yield from layer.parts
        yield from (part for part in self.model.outer() if part.component != "head")
        dim = self.config.count("embedding_dim", default=128)
        yield linear("embedding_proj_layer", dim, self.hidden_size, bias=True, component="projector")


class ModernVBert(Family):
    """SigLIP in front of ModernBERT: an encoder, with or without ColBERT's embeddings."""

    model_types = ("modernvbert", "colmodernvbert")
    architectures = ("ModernVBertModel", "ModernVBertForMaskedLM", "ColModernVBertForRetrieval")
    source = "transformers 5.18 modeling_modernvbert.py, modeling_colmodernvbert.py"
    cacheless = "an encoder: it reads in one pass and writes nothing"
    unknown_parameters = "ModernVBERT's parameters are not counted by a rule here"
