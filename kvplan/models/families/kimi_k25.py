"""Kimi-VL and Kimi K2.5: MoonViT in front of DeepSeek V3's kind of language model."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, cast

from kvplan.models.towers import Composed, Tower, encoder_layer, patch_embedding, times
from kvplan.weights.parts import Part, norm, vector


class MoonVit(Tower):
    """MoonViT: a table of positions that is interpolated, plain layers, a norm; the files of Kimi K2.5 prefix `vt_`."""

    model_types = ("moonvit", "kimi_k25_vision")
    source = "transformers 5.18 modeling_kimi_k25.py; vLLM 0.33 models/moonvit.py"

    @cached_property
    def width(self) -> int:
        """Width of the tower."""
        return self.config.count("vt_hidden_size", default=self.config.count("hidden_size", default=1152))

    @cached_property
    def depth(self) -> int:
        """Layers of the tower."""
        layers = self.config.count("num_hidden_layers", default=27, minimum=0)
        return self.config.count("vt_num_hidden_layers", default=layers, minimum=0)

    @cached_property
    def mlp(self) -> int:
        """Width of its MLP."""
        return self.config.count("vt_intermediate_size", default=self.config.count("intermediate_size", default=4304))

    @cached_property
    def features(self) -> int:
        """Width of the patches merged into one.

        Raises:
            ConfigError: `merge_kernel_size` is not two numbers.

        """
        merge = self.config.counts("merge_kernel_size") or [2, 2]
        if len(merge) != 2:
            raise self.config.fail("merge_kernel_size", f"has {len(merge)} numbers; two were expected.")
        return self.width * merge[0] * merge[1]

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        height = c.count("init_pos_emb_height", default=c.count("pos_emb_height", default=64))
        width = c.count("init_pos_emb_width", default=c.count("pos_emb_width", default=64))
        yield patch_embedding(c, self.width, bias=True)
        yield vector("pos_emb", height, width, self.width, component="vision")
        yield from times(self.depth, encoder_layer(self.width, self.mlp))
        yield norm("final_layernorm", self.width, bias=True, component="vision")


class KimiVL(Composed):
    """Kimi-VL and Kimi K2.5: a norm and two linears over the merged patches."""

    model_types = ("kimi_vl", "kimi_k25")
    architectures = ("KimiVLForConditionalGeneration", "KimiK25ForConditionalGeneration")
    source = "transformers 5.18 modeling_kimi_k25.py, configuration_kimi_k25.py; vLLM 0.33 models/kimi_vl.py"
    text_type = "deepseek_v3"
    untied = True
    fixed: ClassVar[dict[str, str]] = {"vision_config": "kimi_k25_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        tower = cast("MoonVit", self.tower("vision_config"))
        merged = tower.features
        yield norm(
            "pre_norm",
            self.config.count("projection_hidden_size", default=tower.width),
            bias=True,
            component="projector",
        )
        yield self.join("linear_1", merged, merged)
        yield self.join("linear_2", self.hidden_size, merged)
