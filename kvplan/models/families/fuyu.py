"""Fuyu: patches go through one linear into Persimmon."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.towers import Composed
from kvplan.weights.parts import Component, Part


class Fuyu(Composed):
    """Fuyu 8B; its files have Persimmon's keys at the top level."""

    model_types = ("fuyu",)
    architectures = ("FuyuForCausalLM",)
    source = "transformers 5.18 modeling_fuyu.py, configuration_fuyu.py __post_init__"
    towers: ClassVar[dict[str, Component]] = {}
    text_type = "persimmon"
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "vocab_size": 262144,
            "hidden_size": 4096,
            "intermediate_size": 16384,
            "num_hidden_layers": 36,
            "num_attention_heads": 64,
            "max_position_embeddings": 16384,
            "qk_layernorm": True,
        }
    }

    @cached_property
    def flat(self) -> bool:
        """Whether there is no `text_config`."""
        return not self.config.states("text_config")

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear of the patches."""
        patch, channels = self.config.count("patch_size"), self.config.count("num_channels")
        yield self.join("vision_embed_tokens", self.config.count("hidden_size"), patch * patch * channels)
