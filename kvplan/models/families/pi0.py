"""Pi 0: PaliGemma that sees and reads, and a smaller Gemma that reads PaliGemma's cache and acts."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.family import Family, as_component
from kvplan.models.towers import Composed
from kvplan.weights.parts import Component, Part

_ACTOR = {
    "hidden_size": 1024,
    "num_hidden_layers": 18,
    "intermediate_size": 4096,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 257152,
}
_SEES = {
    "model_type": "paligemma",
    "vision_config": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "vision_use_head": False,
        "model_type": "siglip_vision_model",
    },
}


class Pi0(Composed):
    """Pi 0: what is cached is PaliGemma's; the actor's own keys stay for one step."""

    model_types = ("pi0",)
    architectures = ("PI0ForConditionalGeneration",)
    source = "transformers 5.18 modeling_pi0.py, configuration_pi0.py __post_init__"
    text_key = "vlm_config"
    text_type = "paligemma"
    towers: ClassVar[dict[str, Component]] = {}
    absent: ClassVar[dict[str, dict[str, Any]]] = {"vlm_config": _SEES, "dit_config": _ACTOR}
    flat = False

    def _tied(self, text: Family) -> bool:
        return text.tied

    @cached_property
    def actor(self) -> Family:
        """The smaller Gemma."""
        return self.section("dit_config", "gemma")

    def outer(self) -> Iterator[Part]:
        """Return PaliGemma's outer parts, the actor and the linears between states, times and actions; no head."""
        parts = [*self.text.outer(), *as_component(self.actor.outer(), "other")]
        yield from (part for part in parts if part.component != "head" and part.name != "lm_head")
        for layer in self.actor.layers():
            yield from as_component(layer.parts, "other")
        width, actions = self.actor.hidden_size, self.config.count("max_action_dim")
        yield self.join("action_in_proj", width, actions)
        yield self.join("state_proj", width, self.config.count("max_state_dim"))
        yield self.join("action_time_mlp_in", width, 2 * width)
        yield self.join("action_time_mlp_out", width, width)
        yield self.join("action_out_proj", actions, width)
