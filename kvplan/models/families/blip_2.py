"""BLIP-2, InstructBLIP, Granite Speech and Granite 4 Vision: a Q-Former between a tower and a language model."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

from kvplan.models.decoder import Decoder
from kvplan.models.family import Family
from kvplan.models.towers import Composed, Tower, encoder_layer, feed_forward, patch_grid, self_attention, sides, times
from kvplan.weights.parts import Component, Part, convolution, embedding, linear, norm, vector


class BlipVision(Tower):
    """EVA's vision transformer as BLIP-2 has it: three colours, a class token, a norm at the end."""

    model_types = ("blip_2_vision_model", "instructblip_vision_model", "instructblipvideo_vision_model")
    source = "transformers 5.18 modeling_blip_2.py, modeling_instructblip.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield vector("class_embedding", 1, 1, self.width, component="vision")
        yield convolution(
            "patch_embedding",
            self.width,
            3,
            *sides(self.config, "patch_size"),
            bias=True,
            component="vision",
            split="replicated",
        )
        yield embedding(
            "position_embedding", patch_grid(self.config) + 1, self.width, component="vision", split="replicated"
        )
        bias = self.config.flag("qkv_bias", default=True)
        yield from times(self.depth, encoder_layer(self.width, self.mlp, qkv_bias=bias))
        yield norm("post_layernorm", self.width, bias=True, component="vision")


class QFormer(Tower):
    """A BERT whose queries look at the image in every `cross_attention_frequency`-th layer."""

    model_types = ("blip_2_qformer", "instructblip_qformer", "instructblipvideo_qformer")
    source = "transformers 5.18 modeling_blip_2.py, modeling_instructblip.py"

    @property
    def reads_text(self) -> bool:
        """Whether instructions go through it too: then it has an embedding and a second MLP per layer."""
        return self.config.model_type != "blip_2_qformer" or self.config.flag("use_qformer_text_input", default=False)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        return self.parts(self.config.count("encoder_hidden_size"))

    def parts(self, source: int) -> Iterator[Part]:
        """Return all parameters; `source` is the width of what it looks at."""
        c = self.config
        width, every = self.width, c.count("cross_attention_frequency")
        if c.model_type != "blip_2_qformer":
            yield embedding("word_embeddings", c.count("vocab_size"), width, component="projector")
            yield embedding(
                "position_embeddings",
                c.count("max_position_embeddings"),
                width,
                component="projector",
                split="replicated",
            )
        yield norm("layernorm", width, bias=True, component="projector")
        mlp = (
            *feed_forward(width, self.mlp, component="projector"),
            norm("norm", width, bias=True, component="projector"),
        )
        looks = (
            *self_attention(width, source=source, component="projector"),
            norm("crossattention.norm", width, bias=True, component="projector"),
        )
        yield from times(self.depth, self_attention(width, component="projector"))
        yield from times(self.depth, [norm("attention.norm", width, bias=True, component="projector")])
        yield from times(-(-self.depth // every), looks)
        yield from times(self.depth * (1 + self.reads_text), mlp)


class Blip2(Composed):
    """BLIP-2 and InstructBLIP: the language model may be a decoder (OPT) or have an encoder (T5)."""

    model_types = ("blip-2", "instructblip", "instructblipvideo")
    architectures = (
        "Blip2ForConditionalGeneration",
        "InstructBlipForConditionalGeneration",
        "InstructBlipVideoForConditionalGeneration",
    )
    source = "transformers 5.18 modeling_blip_2.py, configuration_blip_2.py __post_init__"

    @property
    def fixed(self) -> dict[str, str]:
        """The classes of tower and Q-Former are fixed."""
        kind = self.config.model_type.replace("-", "_")
        return {"vision_config": f"{kind}_vision_model", "qformer_config": f"{kind}_qformer"}

    def _tied(self, text: Family) -> bool:
        """Return the language model's own rule: it is a whole model here."""
        return text.tied

    @cached_property
    def encoder_tokens(self) -> int | None:
        """The language model's."""
        return self.text.encoder_tokens

    @cached_property
    def has_encoder(self) -> bool:
        """The language model's."""
        return self.text.has_encoder

    def projector_parts(self) -> Iterator[Part]:
        """Return the queries, the Q-Former over the tower's width and the projection."""
        former = cast("QFormer", self.section("qformer_config"))
        queries = self.config.count("num_query_tokens")
        yield vector("query_tokens", 1, queries, former.width, component="projector")
        yield from former.parts(self.width_of("vision_config"))
        yield self.join("language_projection", self.hidden_size, former.width)


class GraniteSpeechEncoder(Tower):
    """Granite Speech's Conformer with its CTC head."""

    model_types = ("granite_speech_encoder", "granite_speech_plus_encoder")
    source = "transformers 5.18 modeling_granite_speech.py"

    @cached_property
    def width(self) -> int:
        """Width of the tower."""
        return self.config.count("hidden_dim")

    @cached_property
    def depth(self) -> int:
        """Layers of the tower."""
        return self.config.count("num_layers", minimum=0)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        heads = c.count("num_heads")
        head = c.optional_count("dim_head") or width // heads
        wide, out = width * c.count("conv_expansion_factor"), c.count("output_dim")
        block = (
            *times(2, feed_forward(width, width * c.count("feedforward_mult"), component="audio")),
            *self_attention(width, component="audio", inner=heads * head, qkv_bias=False),
            embedding("attn.rel_pos_emb", 2 * c.count("max_pos_emb") + 1, head, component="audio", split="replicated"),
            convolution("conv.up_conv", 2 * wide, width, 1, bias=True, component="audio", split="replicated"),
            convolution("conv.depth_conv", wide, 1, c.count("conv_kernel_size"), component="audio", split="replicated"),
            norm("conv.batch_norm", wide, bias=True, component="audio"),
            convolution("conv.down_conv", width, wide, 1, bias=True, component="audio", split="replicated"),
            norm("norms", width, bias=True, component="audio", count=5),
        )
        yield linear("input_linear", width, c.count("input_dim"), bias=True, component="audio")
        yield from times(self.depth, block)
        yield linear("out", out, width, bias=True, component="audio")
        yield linear("out_mid", width, out, bias=True, component="audio")


class GraniteSpeech(Composed):
    """Granite Speech: windows of sound into a few queries each; its LoRA adapter is a file of its own and not counted."""

    model_types = ("granite_speech", "granite_speech_plus")
    architectures = ("GraniteSpeechForConditionalGeneration", "GraniteSpeechPlusForConditionalGeneration")
    source = "transformers 5.18 modeling_granite_speech.py, modeling_granite_speech_plus.py"
    towers: ClassVar[dict[str, Component]] = {"encoder_config": "audio"}

    @property
    def fixed(self) -> dict[str, str]:
        """The encoder's class is fixed."""
        return {"encoder_config": f"{self.config.model_type}_encoder"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the queries, the Q-Former and the linear.

        Raises:
            UnsupportedArchitectureError: `projector_config` is no Q-Former.

        """
        former = self.section("projector_config", "blip_2_qformer")
        if not isinstance(former, QFormer):
            raise self.refuse("projector_config", "is not a Q-Former.", "Use the published file.")
        queries = self.config.count("window_size") // self.config.count("downsample_rate")
        yield vector("query", 1, queries, former.width, component="projector")
        yield from former.outer()
        yield self.join("linear", self.hidden_size, former.width)


class Granite4VisionText(Decoder):
    """Granite 4 Vision's language model: Granite 3, whose multipliers are no parameters."""

    model_types = ("granite4_vision_text",)
    source = "transformers 5.18 modeling_granite4_vision.py"


class Granite4Vision(Composed):
    """Granite 4 Vision: a Q-Former over windows of patches for each depth of the tower, and four for the fine grid."""

    model_types = ("granite4_vision",)
    architectures = ("Granite4VisionForConditionalGeneration",)
    source = "transformers 5.18 modeling_granite4_vision.py, configuration_granite4_vision.py __post_init__"

    @cached_property
    def absent(self) -> dict[str, dict[str, Any]]:
        """What the configuration class puts in where the file has no such part."""
        vision = self.config.values.get("vision_config")
        stated = vision.get("hidden_size") if isinstance(vision, Mapping) else None
        width = stated if isinstance(stated, int) else 768
        former = {
            "num_hidden_layers": 1,
            "intermediate_size": 3072,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
            "hidden_size": width,
            "encoder_hidden_size": width,
        }
        return {"vision_config": {"model_type": "siglip_vision_model"}, "qformer_config": former}

    def projector_parts(self) -> Iterator[Part]:
        """Return the row's end and the Q-Formers, each with a norm, queries, positions of its window and a linear.

        Raises:
            ConfigError: `downsample_rate` is not "queries/window".
            UnsupportedArchitectureError: `qformer_config` is no Q-Former.

        """
        former = self.section("qformer_config", "blip_2_qformer")
        if not isinstance(former, QFormer):
            raise self.refuse("qformer_config", "is not a Q-Former.", "Use the published file.")
        rate = self.config.text("downsample_rate").split("/")
        if len(rate) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 5 for side in rate):
            raise self.config.fail(
                "downsample_rate", f"is {'/'.join(rate)[:40]!r}; two numbers as '4/8' were expected."
            )
        queries, window = int(rate[0]) ** 2, int(rate[1]) ** 2
        width = self.width_of("vision_config")
        one = (
            *former.outer(),
            norm("norm", width, bias=True, component="projector"),
            vector("query", 1, queries, width, component="projector"),
            vector("image_positions", 1, window, width, component="projector"),
            self.join("out_linear", self.hidden_size, width),
        )
        yield from times(len(self.config.items("deepstack_layer_map") or ()) + 4, one)
        yield vector("image_newline", self.hidden_size, component="projector")
