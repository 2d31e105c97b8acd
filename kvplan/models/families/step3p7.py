"""Step 3.7: a vision transformer halved twice, in front of Step 3.5."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, patch_grid, scaled, times
from kvplan.weights.parts import Part, convolution, embedding, norm, vector


class Step3p7Vision(Tower):
    """The tower; its published keys are `width`, `layers` and `heads`."""

    model_types = ("step3p5_vision",)
    source = "transformers 5.18 modeling_step3p7.py, configuration_step3p7.py __post_init__"

    @cached_property
    def width(self) -> int:
        """Width of the tower: `width` wins."""
        return self.config.optional_count("width") or self.config.count("hidden_size")

    @cached_property
    def depth(self) -> int:
        """Layers of the tower: `layers` wins."""
        stated = self.config.optional_count("layers", minimum=0)
        return self.config.count("num_hidden_layers", minimum=0) if stated is None else stated

    @cached_property
    def features(self) -> int:
        """Four times the width: each halving doubles it."""
        return 4 * self.width

    def outer(self) -> Iterator[Part]:
        """Return all parameters; the MLP's width comes from `mlp_ratio`, whatever `intermediate_size` says."""
        width = self.width
        mlp = scaled(self.config, "mlp_ratio", width)
        yield patch_embedding(self.config, width, bias=False)
        yield embedding("position_embedding", patch_grid(self.config), width, component="vision", split="replicated")
        yield norm("pre_layernorm", width, bias=True, component="vision")
        yield from times(
            self.depth, (*encoder_layer(width, mlp), vector("layer_scale", width, component="vision", count=2))
        )
        yield convolution("downsampler1", 2 * width, width, 3, 3, bias=True, component="vision", split="replicated")
        yield convolution("downsampler2", 4 * width, 2 * width, 3, 3, bias=True, component="vision", split="replicated")


class Step3p7(Composed):
    """Step 3.7: one linear."""

    model_types = ("step3p7",)
    architectures = ("Step3p7ForConditionalGeneration", "Step3p7FlashForCausalLM")
    source = "transformers 5.18 modeling_step3p7.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "step3p5_vision", "text_config": "step3p5"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear."""
        bias = self.config.flag("projector_bias", default=False)
        vision = self.width_of("vision_config")
        yield self.join("multi_modal_projector", self.hidden_size, vision, bias=bias, split="column")
