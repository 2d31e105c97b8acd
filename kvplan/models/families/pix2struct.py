"""Pix2Struct: an image encoder over flattened patches and a T5 decoder."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import named
from kvplan.models.family import Family
from kvplan.models.multimodal import Multimodal
from kvplan.models.towers import Tower, encoder_layer, self_attention, times
from kvplan.weights.parts import Part, embedding, linear, norm


class Pix2StructVision(Tower):
    """The encoder: rows and columns have tables of their own; nothing but the projection has a bias."""

    model_types = ("pix2struct_vision_model",)
    source = "transformers 5.18 modeling_pix2struct.py"
    cacheless = "a vision encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        yield linear("patch_projection", width, config.count("patch_embed_hidden_size"), bias=True, component="vision")
        yield embedding("row_and_column_embedder", 2 * config.count("seq_len"), width, component="vision")
        layer = encoder_layer(
            width,
            config.count("d_ff"),
            inner=config.count("num_attention_heads") * config.count("d_kv"),
            qkv_bias=False,
            output_bias=False,
            gated=True,
            mlp_bias=False,
            norm_bias=False,
        )
        yield from times(self.depth, layer)
        yield norm("layernorm", width, component="vision")


class Pix2StructText(Decoder):
    """The decoder: T5 1.1's layers, whose heads divide the width whatever `d_kv` says."""

    model_types = ("pix2struct_text_model",)
    source = "transformers 5.18 modeling_pix2struct.py Pix2StructTextAttention"
    qkv_bias = False
    mlp_bias = False
    norms_per_layer = 3
    max_context_tokens = None  # positions are relative

    @cached_property
    def head_dim(self) -> int:
        """`d_kv`: the reference reshapes to it, so it has to fit.

        Raises:
            ConfigError: heads x d_kv is not the width.

        """
        size = self.config.count("d_kv")
        if size * self.heads != self.hidden_size:
            raise self.config.fail("d_kv", f"is {size}: {self.heads} heads of it are not {self.hidden_size} wide.")
        return size

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def intermediate_size(self) -> int:
        """`d_ff`."""
        return self.config.count("d_ff")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return self-attention's keys and values and the image's."""
        cross = CrossAttention(heads=self.heads, key_dim=self.head_dim, value_dim=self.head_dim)
        return (*super().caches(index), cross)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return both attentions; the first layer has the relative positions."""
        for prefix in ("self_attention.", "encoder_decoder_attention."):
            yield from named(
                prefix,
                self_attention(self.hidden_size, component="attention", qkv_bias=False, output_bias=False),
            )
        if index == 0:
            buckets = self.config.count("relative_attention_num_buckets")
            yield embedding("relative_attention_bias", buckets, self.heads, split="replicated")


class Pix2Struct(Multimodal):
    """Pix2Struct, DePlot, MatCha. How many patches an image has is the request's affair (`max_patches`)."""

    model_types = ("pix2struct",)
    architectures = ("Pix2StructForConditionalGeneration",)
    source = "transformers 5.18 modeling_pix2struct.py"
    has_encoder = True

    @cached_property
    def text(self) -> Family:
        """The decoder, its head tied as the whole file says."""
        text = super().text
        text.tied = self.config.flag("tie_word_embeddings", default=False)
        return text
