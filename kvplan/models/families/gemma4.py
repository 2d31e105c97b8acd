"""Gemma 4: wider, fewer KV heads on the full layers, V that is K there, shared caches; experts beside the MLP; towers."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.families.gemma3n import SharedCache
from kvplan.models.family import Family
from kvplan.models.listed import layer_overrides
from kvplan.models.spec import Layer, Moe
from kvplan.models.towers import Composed, Tower, replicated, times
from kvplan.weights import blocks
from kvplan.weights.parts import Component, Part, convolution, embedding, linear, norm, vector


class Gemma4Text(SharedCache):
    """Gemma 4's language model. V of a full layer may be K unprojected: that saves weights, the cache holds both."""

    model_types = ("gemma4_text",)
    architectures = ("Gemma4ForCausalLM",)
    source = "transformers 5.18 modeling_gemma4.py, configuration_gemma4.py __post_init__; vLLM 0.33 models/gemma4.py"
    qk_norm = True
    norms_per_layer = 4

    # -- what each layer attends to ----------------------------------------------------------------------------------

    @cached_property
    def bidirectional(self) -> bool:
        """Whether all tokens attend both ways (`all`); `vision` is about image tokens in the prompt only."""
        return self.config.text("use_bidirectional_attention") == "all"

    @cached_property
    def cacheless(self) -> str | None:
        """An embedding model keeps nothing."""
        return "tokens attend both ways: an embedding model" if self.bidirectional else None

    @cached_property
    def layer_types(self) -> list[str]:
        """Every sixth layer is full without a list; the last always."""
        return [*super().layer_types[:-1], FULL]

    def layer_type_rule(self, index: int) -> str:
        """Five sliding layers, then a full one."""
        return SLIDING if (index + 1) % 6 else FULL

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the layer's cache; none where attention goes both ways."""
        caches = super().caches(index)
        return () if self.bidirectional else caches

    # -- heads -------------------------------------------------------------------------------------------------------

    @cached_property
    def overrides(self) -> Mapping[int, Mapping[str, int]]:
        """What single layers have of their own: stated, else the `global_` keys for every full layer."""
        if self.config.states("per_layer_config"):
            self.config.read.update(("global_head_dim", "num_global_key_value_heads"))
            return layer_overrides(self, ("head_dim", "num_key_value_heads"))
        full = {"head_dim": self.config.count("global_head_dim", default=512)}
        heads = self.config.optional_count("num_global_key_value_heads")
        if heads is not None and self.values_are_keys:
            full["num_key_value_heads"] = heads
        return {i: full for i, kind in enumerate(self.layer_types) if kind == FULL}

    @cached_property
    def values_are_keys(self) -> bool:
        """Whether full layers have no V projection."""
        return self.config.flag("attention_k_eq_v", default=False)

    def kv_heads_at(self, index: int) -> int:
        """KV heads of layer `index`."""
        return self.overrides.get(index, {}).get("num_key_value_heads", self.kv_heads)

    def key_dim_at(self, index: int) -> int:
        """Head width of layer `index`."""
        return self.overrides.get(index, {}).get("head_dim", self.head_dim)

    def value_dim_at(self, index: int) -> int:
        """As the key's."""
        return self.key_dim_at(index)

    # -- parameters --------------------------------------------------------------------------------------------------

    @cached_property
    def routes(self) -> bool:
        """Whether every layer has experts beside its MLP."""
        return self.config.flag("enable_moe_block", default=False)

    @cached_property
    def experts(self) -> int:
        """Routed experts of a layer."""
        return self.config.count("num_experts")

    @cached_property
    def moe(self) -> Moe | None:
        """The experts."""
        if not self.routes:
            return None
        return Moe(
            experts=self.experts,
            experts_per_token=self.config.count("top_k_experts"),
            intermediate_size=self.config.count("moe_intermediate_size"),
        )

    @cached_property
    def per_layer(self) -> int:
        """Width of the input that each layer has of its own; 0: none."""
        return self.config.optional_count("hidden_size_per_layer_input", minimum=0) or 0

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return projections and norms: no V where it is K, no K and V where they are another layer's."""
        full = self.layer_types[index] == FULL
        for part in self.own_parts(index, super().attention_parts(index)):
            if not (part.name == "v_proj" and full and self.values_are_keys):
                yield part

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, twice as wide where a sharing layer says so, the experts and the layer's own input."""
        hidden = self.hidden_size
        wide = self.config.flag("use_double_wide_mlp", default=False) and self.shares(index) and self.owners > 0
        yield from self.dense_mlp(self.intermediate_size * (2 if wide else 1))
        if self.per_layer:
            yield linear("per_layer_input_gate", self.per_layer, hidden, component="mlp", split="replicated")
            yield linear("per_layer_projection", hidden, self.per_layer, component="mlp", split="replicated")
            yield norm("post_per_layer_input_norm", hidden)
        if self.routes:
            yield from blocks.router(hidden, self.experts)
            yield vector("router.scale", hidden, component="router")
            yield vector("router.per_expert_scale", self.experts, component="router")
            yield from blocks.experts(hidden, self.config.count("moe_intermediate_size"), self.experts)
            yield norm("moe_norms", hidden, count=3)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and, where layers have an input of their own, theirs."""
        yield from super().embedding_parts()
        if self.per_layer:
            width = self.layer_count * self.per_layer
            yield embedding("embed_tokens_per_layer", self.config.count("vocab_size_per_layer_input"), width)
            yield linear(
                "per_layer_model_projection", width, self.hidden_size, component="embeddings", split="replicated"
            )
            yield norm("per_layer_projection_norm", self.per_layer)


class Gemma4UnifiedText(Gemma4Text):
    """The language model of the model without towers: no experts, no inputs of the layers' own."""

    model_types = ("gemma4_unified_text",)
    architectures = ("Gemma4UnifiedForCausalLM",)
    source = "transformers 5.18 modeling_gemma4_unified.py"
    per_layer = 0
    routes = False


class Gemma4Vision(Tower):
    """The vision tower: patches, a table of positions for each axis, layers of gated MLPs and four norms."""

    model_types = ("gemma4_vision",)
    source = "transformers 5.18 modeling_gemma4.py"
    # Written by transformers' own class but unused in a tower.
    ignored: ClassVar[dict[str, str]] = {
        "layer_types": "modeling_gemma4.py Gemma4VisionEncoder: all layers see everything"
    }

    def outer(self) -> Iterator[Part]:
        """Return all parameters; the standardisation and the clipping are buffers."""
        c, width = self.config, self.width
        heads, dim = c.count("num_attention_heads"), c.count("head_dim")
        yield linear("input_proj", width, 3 * c.count("patch_size") ** 2, component="vision", split="replicated")
        yield vector("position_embedding_table", 2, c.count("position_embedding_size"), width, component="vision")
        layer = (
            *blocks.attention(
                width, heads=heads, kv_heads=c.count("num_key_value_heads"), key_dim=dim, component="vision"
            ),
            *blocks.gated_mlp(width, self.mlp, component="vision"),
            norm("qk_norms", dim, component="vision", count=2),
            norm("layer_norms", width, component="vision", count=4),
        )
        yield from times(self.depth, replicated(layer))


class Gemma4Audio(Tower):
    """The audio tower: two convolutions that halve time and frequency, then conformer layers."""

    model_types = ("gemma4_audio",)
    source = "transformers 5.18 modeling_gemma4.py"
    ignored: ClassVar[dict[str, str]] = {"attention_chunk_size": "the encoder's attention window; it keeps no cache"}

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on."""
        return self.config.count("output_proj_dims")

    def outer(self) -> Iterator[Part]:
        """Return all parameters; what clips the linears are buffers."""
        c, width = self.config, self.width
        heads = c.count("num_attention_heads")
        if heads > width:
            raise c.fail("num_attention_heads", f"is {heads}, more than the width ({width}).")
        channels = c.counts("subsampling_conv_channels") or []
        if len(channels) != 2:
            raise c.fail("subsampling_conv_channels", "does not hold two numbers.")
        inner = width // heads * heads
        for out, before in zip(channels, (1, channels[0]), strict=True):
            yield convolution("subsample.conv", out, before, 3, 3, component="audio", split="replicated")
            yield norm("subsample.norm", out, component="audio")
        # 128 mel bins, a quarter of them after two convolutions of stride 2; the projection takes channels[0] // 4 rows.
        yield linear("input_proj_linear", width, channels[0] // 4 * channels[1], component="audio", split="replicated")
        layer = (
            linear("self_attn.qkv_and_positions", inner, width, component="audio", count=4),
            linear("self_attn.post", width, width, component="audio"),
            vector("self_attn.per_dim_scale", width // heads, component="audio"),
            linear("feed_forward.ffw_layer_1", 4 * width, width, component="audio", count=2),
            linear("feed_forward.ffw_layer_2", width, 4 * width, component="audio", split="row", count=2),
            linear("lconv1d.linear_start", 2 * width, width, component="audio"),
            convolution(
                "lconv1d.depthwise_conv1d", width, 1, c.count("conv_kernel_size"), component="audio", split="replicated"
            ),
            linear("lconv1d.linear_end", width, width, component="audio"),
            norm("norms", width, component="audio", count=9),
        )
        yield from times(self.depth, replicated(layer))
        yield linear("output_proj", self.features, width, bias=True, component="audio", split="replicated")


class Gemma4(Composed):
    """Gemma 4 with the towers that its file has."""

    model_types = ("gemma4",)
    architectures = ("Gemma4ForConditionalGeneration",)
    source = "transformers 5.18 modeling_gemma4.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "gemma4_text"}

    @cached_property
    def towers(self) -> dict[str, Component]:
        """Those that are not null."""
        known: dict[str, Component] = {"vision_config": "vision", "audio_config": "audio"}
        return {key: component for key, component in known.items() if self.config.states(key)}

    def projector_parts(self) -> Iterator[Part]:
        """Return a projection for each tower; its norm has no weight."""
        for key, component in self.towers.items():
            yield self.join(f"embed_{component}.embedding_projection", self.hidden_size, self.width_of(key), bias=False)


class Gemma4UnifiedVision(Tower):
    """What stands for a vision tower: patches between norms, and a table of positions."""

    model_types = ("gemma4_unified_vision",)
    source = "transformers 5.18 modeling_gemma4_unified.py"

    @cached_property
    def features(self) -> int:
        """Width of what is handed on."""
        return self.config.count("output_proj_dims")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        width, side = c.count("mm_embed_dim"), c.count("patch_size") * c.count("pooling_kernel_size")
        yield norm("patch_ln1", 3 * side * side, bias=True, component="vision")
        yield linear("patch_dense", width, 3 * side * side, bias=True, component="vision", split="replicated")
        yield vector("pos_embedding", c.count("mm_posemb_size"), 2, width, component="vision")
        yield norm("norms", width, bias=True, component="vision", count=2)


class Gemma4UnifiedAudio(Tower):
    """What stands for an audio tower: raw frames, projected at once."""

    model_types = ("gemma4_unified_audio",)
    source = "transformers 5.18 modeling_gemma4_unified.py"

    @cached_property
    def features(self) -> int:
        """Width of one frame."""
        return self.config.count("audio_embed_dim")


class Gemma4Unified(Gemma4):
    """Gemma 4 without towers."""

    model_types = ("gemma4_unified",)
    architectures = ("Gemma4UnifiedForConditionalGeneration",)
    source = "transformers 5.18 modeling_gemma4_unified.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "gemma4_unified_text"}


class Gemma4Assistant(Composed):
    """A small Gemma 4 that drafts for a large one: all its layers read the large one's cache."""

    model_types = ("gemma4_assistant", "gemma4_unified_assistant")
    architectures = ("Gemma4AssistantForCausalLM", "Gemma4UnifiedAssistantForCausalLM")
    source = "transformers 5.18 modeling_gemma4_assistant.py, configuration_gemma4_assistant.py __post_init__"
    cacheless = "a draft model that reads its target's cache"
    towers: ClassVar[dict[str, Component]] = {}

    @cached_property
    def text(self) -> Family:
        """The small model, whose layers all share."""
        unified = self.config.model_type == "gemma4_unified_assistant"
        text = self.section("text_config", "gemma4_unified_text" if unified else "gemma4_text")
        if not isinstance(text, Gemma4Text):
            raise self.refuse("text_config.model_type", "is not Gemma 4.", "Use the published configuration.")
        if text.config.optional_count("num_kv_shared_layers", minimum=0) in (None, 0, text.layer_count):
            text.owners = 0
            text.borrows = True
        if self.config.states("tie_word_embeddings"):
            text.tied = self.config.flag("tie_word_embeddings")
        return text

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; a file whose own layers keep something is not this model."""
        layers = self.text.layers()
        if any(layer.caches for layer in layers):
            raise self.refuse("text_config.num_kv_shared_layers", "leaves layers with a cache.", "Share all layers.")
        return layers

    def projector_parts(self) -> Iterator[Part]:
        """Return the projections from and to the large model, and the centroids of the vocabulary."""
        backbone = self.config.count("backbone_hidden_size")
        yield self.join("pre_projection", self.hidden_size, 2 * backbone, bias=False)
        yield self.join("post_projection", backbone, self.hidden_size, bias=False)
        if self.config.flag("use_ordered_embeddings", default=False):
            yield linear(
                "centroids", self.config.count("num_centroids"), self.hidden_size, component="head", split="replicated"
            )
