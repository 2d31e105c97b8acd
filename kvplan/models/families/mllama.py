"""Llama 3.2 Vision: a Llama whose cross-attention layers keep the image's keys and values instead of the text's."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.multimodal import Multimodal
from kvplan.models.towers import Tower, encoder_layer, patch_embedding, patch_grid, times
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class MllamaVision(Tower):
    """The tower: tiles of patches, positions gated by aspect ratio, ordinary layers and gated global ones."""

    model_types = ("mllama_vision_model",)
    source = "transformers 5.18 modeling_mllama.py, configuration_mllama.py max_aspect_ratio_id"

    @cached_property
    def patches(self) -> int:
        """Positions of a tile: its patches and the class token."""
        return patch_grid(self.config) + 1

    @cached_property
    def positions(self) -> int:
        """Positions of one image: every tile is kept, whether the image fills it or not."""
        return self.config.count("max_num_tiles") * self.patches

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on: several layers side by side."""
        return self.config.count("vision_output_dim")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config, width = self.config, self.width
        ratios = config.items("supported_aspect_ratios")
        rows = (8 if ratios is None else len(ratios)) + 1
        tiles = config.count("max_num_tiles")
        yield patch_embedding(config, width, bias=False)
        yield vector("class_embedding", width, component="vision")
        yield vector("gated_positional_embedding.embedding", self.patches, width, component="vision")
        yield embedding(
            "gated_positional_embedding.tile", rows, self.positions * width, component="vision", split="replicated"
        )
        yield embedding("pre_tile_positional_embedding", rows, tiles * width, component="vision", split="replicated")
        yield embedding("post_tile_positional_embedding", rows, tiles * width, component="vision", split="replicated")
        yield vector("positional_gates", 3, component="vision")
        yield norm("layernorm_pre", width, bias=True, component="vision")
        yield norm("layernorm_post", width, bias=True, component="vision")
        deep, above = self.depth, config.count("num_global_layers", minimum=0)
        yield from times(deep + above, encoder_layer(width, self.mlp, qkv_bias=False, output_bias=False))
        yield vector("global_transformer.gates", 2 * above, component="vision")


class MllamaText(Decoder):
    """The language model: the layers of `cross_attention_layers` read the image only."""

    model_types = ("mllama_text_model",)
    architectures = ("MllamaForCausalLM",)
    source = "transformers 5.18 modeling_mllama.py, configuration_mllama.py __post_init__"
    qkv_bias = False
    mlp_bias = False
    tied = False  # the classes tie nothing

    @cached_property
    def cross_layers(self) -> frozenset[int]:
        """`cross_attention_layers`, else every fifth from 3 to 38."""
        stated = self.config.counts("cross_attention_layers", minimum=0)
        return frozenset(range(3, 39, 5) if stated is None else stated)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads; the class reads no `head_dim`."""
        return self._derived_head_dim()

    @cached_property
    def has_encoder(self) -> bool:
        """Whether any layer reads an image."""
        return any(index in self.cross_layers for index in range(self.layer_count))

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the text's keys and values, or the image's."""
        if index in self.cross_layers:
            return (CrossAttention(heads=self.kv_heads, key_dim=self.head_dim, value_dim=self.head_dim),)
        return super().caches(index)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return attention; cross-attention has Q and K norms and two gates."""
        yield from blocks.attention(self.hidden_size, heads=self.heads, kv_heads=self.kv_heads, key_dim=self.head_dim)
        if index in self.cross_layers:
            yield norm("q_norm", self.head_dim)
            yield norm("k_norm", self.head_dim)
            yield vector("cross_attn_gates", 2, component="attention")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding, eight rows longer than the head."""
        yield embedding("embed_tokens", self.vocab_size + 8, self.hidden_size)


class Mllama(Multimodal):
    """Llama 3.2 Vision. `encoder_tokens` is one image: tiles x (patches + 1)."""

    model_types = ("mllama",)
    architectures = ("MllamaForConditionalGeneration",)
    source = "transformers 5.18 modeling_mllama.py"
    text_type = "mllama_text_model"
    has_encoder = True

    @cached_property
    def vision(self) -> MllamaVision:
        """The tower.

        Raises:
            UnsupportedArchitectureError: it is of another type.

        """
        family = self.nested("vision_config", "mllama_vision_model")
        if not isinstance(family, MllamaVision):
            raise self.refuse("vision_config", "is of another type.", "Use the type of the published files.")
        return family

    @cached_property
    def encoder_tokens(self) -> int:
        """Positions of one image."""
        return self.vision.positions

    def outer(self) -> Iterator[Part]:
        """Return the language model's outer parts, the tower and the projector."""
        yield from self.text.outer()
        yield from self.vision.outer()
        yield linear(
            "multi_modal_projector",
            self.hidden_size,
            self.vision.features,
            bias=True,
            component="projector",
            split="replicated",
        )
