"""Vision transformers on their own or in front of a text decoder: ViT and DeiT, Swin and Donut's Swin."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.encoder_decoder import architecture, label_count
from kvplan.models.towers import (
    Tower,
    encoder_layer,
    feed_forward,
    patch_embedding,
    patch_grid,
    self_attention,
    sides,
    times,
)
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class ImageEncoder(Tower):
    """An image encoder whose class name says what follows it: nothing, a pooler, a classifier."""

    cacheless = "a vision model"

    @cached_property
    def name(self) -> str:
        """The class that the file names; a composite model clears it."""
        return architecture(self.config)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Other heads are not counted."""
        known = not self.name or self.name.endswith(("Model", "ForImageClassification"))
        return None if known else f"the class {self.name} is not one that is counted"

    @property
    def positions(self) -> int | None:
        """Positions that the encoder gives; None: unknown."""
        return None

    def classifier_parts(self) -> Iterator[Part]:
        """Return the classifier where the class has one."""
        if self.name.endswith("ForImageClassification"):
            yield linear("classifier", label_count(self.config), self.features, bias=True, component="head")


class Vit(ImageEncoder):
    """ViT: a class token, learned positions, a pooler in the bare class."""

    model_types = ("vit",)
    architectures = ("ViTModel", "ViTForImageClassification")
    source = "transformers 5.18 modeling_vit.py"
    tokens: ClassVar[int] = 1

    @property
    def positions(self) -> int:
        """Patches and tokens."""
        return patch_grid(self.config) + self.tokens

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        heads = config.count("num_attention_heads")
        inner = heads * (config.optional_count("head_dim", minimum=0) or width // heads)
        yield vector("tokens", self.tokens, width, component="vision")
        yield patch_embedding(config, width, bias=True)
        yield vector("position_embeddings", self.positions, width, component="vision")
        layer = encoder_layer(width, self.mlp, inner=inner, qkv_bias=config.flag("qkv_bias", default=True))
        yield from times(self.depth, layer)
        yield norm("layernorm", width, bias=True, component="vision")
        if not self.name or self.name.endswith("Model"):
            pooled = config.optional_count("pooler_output_size", minimum=0) or width
            yield linear("pooler", pooled, width, bias=True, component="vision")
        yield from self.classifier_parts()


class Deit(Vit):
    """DeiT: ViT with a second token."""

    model_types = ("deit",)
    architectures = ("DeiTModel", "DeiTForImageClassification")
    source = "transformers 5.18 modeling_deit.py"
    tokens = 2


class DonutSwin(ImageEncoder):
    """Swin in front of Donut's decoder: stages of windows, each half as fine and twice as wide; no norm at the end."""

    model_types = ("donut-swin",)
    architectures = ("DonutSwinModel",)
    source = "transformers 5.18 modeling_donut_swin.py, configuration_donut_swin.py __post_init__"
    last_norm: ClassVar[bool] = False

    @cached_property
    def stages(self) -> list[tuple[int, int, int]]:
        """Width, layers and heads of each stage.

        Raises:
            ConfigError: `depths` and `num_heads` do not go together.

        """
        depths = self.config.counts("depths", minimum=0) or []
        heads = self.config.counts("num_heads") or []
        if not depths or len(heads) < len(depths) or len(depths) > 16 or max(depths) > 4000:
            raise self.config.fail("depths", "and num_heads do not describe stages.")
        width = self.config.count("embed_dim")
        return [(width * 2**i, depth, count) for i, (depth, count) in enumerate(zip(depths, heads, strict=False))]

    @cached_property
    def features(self) -> int:
        """Width of the last stage."""
        return self.stages[-1][0]

    @property
    def positions(self) -> int:
        """Patches, halved in both directions after each stage but the last."""
        height, width = (image // patch for image, patch in zip(*self._sides(), strict=True))
        for _ in self.stages[1:]:
            height, width = -(-height // 2), -(-width // 2)
        return height * width

    def _sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return sides(self.config, "image_size"), sides(self.config, "patch_size")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config = self.config
        width, window = config.count("embed_dim"), config.count("window_size")
        ratio, bias = config.number("mlp_ratio"), config.flag("qkv_bias", default=True)
        yield patch_embedding(config, width, bias=True)
        yield norm("embeddings.norm", width, bias=True, component="vision")
        if config.flag("use_absolute_embeddings", default=False):
            yield vector("position_embeddings", patch_grid(config) + self.extra_rows, width, component="vision")
        for index, (width, depth, heads) in enumerate(self.stages):
            yield from times(depth, self._layer(width, heads, int(ratio * width), window, bias=bias))
            if index + 1 < len(self.stages):
                yield linear("downsample.reduction", 2 * width, 4 * width, component="vision")
                yield norm("downsample.norm", 4 * width, bias=True, component="vision")
        if self.last_norm:
            yield norm("layernorm", self.features, bias=True, component="vision")
        yield from self.classifier_parts()

    extra_rows: ClassVar[int] = 1

    def _layer(self, width: int, heads: int, mlp: int, window: int, *, bias: bool) -> Iterator[Part]:
        yield from self_attention(width, component="vision", qkv_bias=bias)
        yield embedding(
            "relative_position_bias_table", (2 * window - 1) ** 2, heads, component="vision", split="replicated"
        )
        yield from feed_forward(width, mlp, component="vision")
        yield norm("layernorms", width, bias=True, component="vision", count=2)


class Swin(DonutSwin):
    """Swin."""

    model_types = ("swin",)
    architectures = ("SwinModel", "SwinForImageClassification")
    source = "transformers 5.18 modeling_swin.py"
    last_norm = True
    extra_rows = 0
