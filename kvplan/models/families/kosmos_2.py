"""Kosmos-2 and 2.5: a decoder with norms inside attention and MLP; the image enters as a prefix of latent queries."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.families.clip import ClipVision
from kvplan.models.family import Family
from kvplan.models.multimodal import Multimodal
from kvplan.models.towers import Tower, encoder_layer, self_attention, times
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class KosmosVision(ClipVision):
    """CLIP's tower."""

    model_types = ("kosmos_2_vision_model", "git_vision_model")
    source = "transformers 5.18 modeling_kosmos2.py, modeling_git.py"


class Kosmos25Vision(Tower):
    """Pix2Struct's tower with heads of a stated width."""

    model_types = ("kosmos_2_5_vision_model",)
    source = "transformers 5.18 modeling_kosmos2_5.py"
    cacheless = "a vision encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        yield linear("patch_projection", width, config.count("patch_embed_hidden_size"), bias=True, component="vision")
        yield embedding("row_and_column_embedder", 2 * config.count("max_num_patches"), width, component="vision")
        layer = encoder_layer(
            width,
            self.mlp,
            inner=config.count("num_attention_heads") * config.count("head_dim"),
            qkv_bias=False,
            output_bias=False,
            gated=True,
            mlp_bias=False,
            norm_bias=False,
        )
        yield from times(self.depth, layer)
        yield norm("layernorm", width, component="vision")


class KosmosText(Decoder):
    """The language model; cross-attention where `add_cross_attention` says so is refused, no published file has it."""

    model_types = ("kosmos_2_text_model", "kosmos_2_5_text_model")
    source = "transformers 5.18 modeling_kosmos2.py, modeling_kosmos2_5.py"
    gated_mlp = False
    norm_bias = True
    qkv_bias = True
    output_bias = True
    mlp_bias = True

    @cached_property
    def kv_heads(self) -> int:
        """As many as query heads."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_dim`."""
        return self.config.count("ffn_dim")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return attention; Kosmos-2 has a norm before O.

        Raises:
            UnsupportedArchitectureError: the layers also read an encoder.

        """
        if self.config.flag("add_cross_attention", default=False):
            raise self.refuse("add_cross_attention", "is true.", "Open an issue with the configuration.")
        yield from super().attention_parts(index)
        if self.config.model_type == "kosmos_2_text_model":
            yield norm("inner_attn_ln", self.hidden_size, bias=True)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP with a norm before its last linear."""
        yield from super().mlp_parts(index)
        yield norm("ffn_layernorm", self.intermediate_size, bias=True)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tokens' table; Kosmos-2.5 has one for the two kinds of segment."""
        yield from super().embedding_parts()
        if self.config.model_type == "kosmos_2_5_text_model":
            yield embedding("segment_emb", 2, self.hidden_size, split="replicated")


class Kosmos2(Multimodal):
    """Kosmos-2, Kosmos-2.5."""

    model_types = ("kosmos-2", "kosmos-2.5")
    architectures = ("Kosmos2ForConditionalGeneration", "Kosmos2_5ForConditionalGeneration")
    source = "transformers 5.18 modeling_kosmos2.py, modeling_kosmos2_5.py ImageToTextProjection"

    @cached_property
    def text(self) -> Family:
        """The language model, its head tied where it says so itself; in Kosmos-2 also where the whole file does."""
        text = super().text
        if self.config.model_type == "kosmos-2":
            text.tied = text.tied or self.config.flag("tie_word_embeddings", default=True)
        return text

    def projector_parts(self) -> Iterator[Part]:
        """Return queries, their attention over the image, and the projection."""
        width = self.hidden_size
        vision = self.config.part("vision_config").count("hidden_size")
        yield linear("dense", width, vision, bias=True, component="projector", split="replicated")
        yield vector("latent_query", self.config.count("latent_query_num"), width, component="projector")
        yield from self_attention(width, component="projector")
