"""Florence-2: a DaViT tower, a projector, and BART, which reads image and prompt through its encoder."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import EncoderDecoder
from kvplan.models.family import Family
from kvplan.models.multimodal import Multimodal
from kvplan.models.towers import Tower, feed_forward, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm


class FlorenceVision(Tower):
    """DaViT: stages of blocks, each block attending over windows and then over channels."""

    model_types = ("florence_vision",)
    source = "transformers 5.18 modeling_florence2.py Florence2VisionBackbone"
    cacheless = "a vision encoder"

    @cached_property
    def widths(self) -> list[int]:
        """Width of each stage.

        Raises:
            ConfigError: no stage is stated.

        """
        widths = self.config.counts("embed_dim") or []
        if not widths:
            raise self.config.fail("embed_dim", "does not state a stage.")
        return widths

    @cached_property
    def features(self) -> int:
        """Width of the last stage."""
        return self.widths[-1]

    def outer(self) -> Iterator[Part]:
        """Return all parameters.

        Raises:
            ConfigError: the lists of the stages do not go together.

        """
        config = self.config
        depths, patches = config.counts("depths", minimum=0) or [], config.counts("patch_size") or []
        first = config.items("patch_prenorm") or []
        if min(len(depths), len(patches), len(first)) < len(self.widths):
            raise config.fail("depths", "and its kin do not describe every stage.")
        ratio, bias = config.number("mlp_ratio"), config.flag("qkv_bias", default=True)
        source = config.count("in_channels")
        for index, width in enumerate(self.widths):
            patch = patches[index]
            yield convolution(
                f"convs.{index}", width, source, patch, patch, bias=True, component="vision", split="replicated"
            )
            yield norm(f"convs.{index}.norm", source if first[index] else width, bias=True, component="vision")
            yield from times(2 * depths[index], self._half_block(width, int(width * ratio), bias=bias))
            source = width

    def _half_block(self, width: int, mlp: int, *, bias: bool) -> Iterator[Part]:
        yield convolution("convs", width, 1, 3, 3, bias=True, component="vision", count=2, split="replicated")
        yield linear("qkv", 3 * width, width, bias=bias, component="vision")
        yield linear("proj", width, width, bias=True, component="vision", split="row")
        yield from feed_forward(width, mlp, component="vision")
        yield norm("norms", width, bias=True, component="vision", count=2)


class Florence2(Multimodal):
    """Florence-2. What cross-attention keeps are the image's and the prompt's positions, as many as the request has."""

    model_types = ("florence2",)
    architectures = ("Florence2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_florence2.py"
    text_type = "bart"
    has_encoder = True

    @cached_property
    def text(self) -> Family:
        """The language model, its tables tied as it says itself, its head as the whole file says.

        Raises:
            UnsupportedArchitectureError: it has no encoder.

        """
        text = super().text
        if not isinstance(text, EncoderDecoder):
            raise self.refuse("text_config", f"is of type {text.config.model_type!r}.", "BART was expected.")
        text.alone = False
        text.head_tied = self.config.flag("tie_word_embeddings", default=True)
        return text

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The language model's or the tower's."""
        return self.text.unknown_parameters or self.tower("vision_config").unknown_parameters

    def projector_parts(self) -> Iterator[Part]:
        """Return the projection with its norm and the tables of rows and columns."""
        vision = self.config.part("vision_config")
        width, out = (vision.counts("embed_dim") or [0])[-1], vision.count("projection_dim")
        yield linear("image_projection", out, width, component="projector", split="replicated")
        yield norm("image_proj_norm", out, bias=True, component="projector")
        yield embedding(
            "image_position_embed",
            vision.count("max_position_embeddings"),
            width,
            component="projector",
            split="replicated",
        )
