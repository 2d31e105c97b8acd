"""Gemma 3: five layers in a window, then one that sees everything; Q/K norms; a SigLIP tower with one projection."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.families.gemma2 import Gemma
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, norm, vector


class Gemma3Text(Gemma):
    """Gemma 3's language model."""

    model_types = ("gemma3_text",)
    architectures = ("Gemma3ForCausalLM",)
    source = "transformers 5.18 modeling_gemma3.py, configuration_gemma3.py __post_init__"
    qk_norm = True
    norms_per_layer = 4

    @cached_property
    def bidirectional(self) -> bool:
        """Whether tokens attend both ways (EmbeddingGemma)."""
        return self.config.flag("use_bidirectional_attention", default=False)

    @cached_property
    def cacheless(self) -> str | None:
        """An embedding model keeps nothing."""
        return "tokens attend both ways: an embedding model" if self.bidirectional else None

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """A list decides; `sliding_window_pattern` counts only where there is none."""
        self.config.read.add("sliding_window_pattern")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every sixth layer is full."""
        period = self.config.count("sliding_window_pattern", default=6)
        return SLIDING if self.window and (index + 1) % period else FULL

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the layer's cache; none where attention goes both ways."""
        caches = super().caches(index)
        return () if self.bidirectional else caches


class Gemma3(Composed):
    """Gemma 3 with its vision tower."""

    model_types = ("gemma3",)
    architectures = ("Gemma3ForConditionalGeneration",)
    source = "transformers 5.18 modeling_gemma3.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "gemma3_text", "vision_config": "siglip_vision_model"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the projection."""
        vision = self.width_of("vision_config")
        yield vector("mm_input_projection_weight", vision, self.hidden_size, component="projector")
        yield norm("mm_soft_emb_norm", vision, component="projector")
