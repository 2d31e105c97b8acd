"""Molmo and Molmo 2: a vision transformer read at several depths, pooled by attention, in front of Qwen's kind of model."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import Decoder
from kvplan.models.towers import Composed, Tower, encoder_layer, sides, times
from kvplan.weights.parts import Part, embedding, linear, norm


class Molmo2Vision(Tower):
    """SigLIP without norm and head; as published, only the layers up to the deepest one that is read."""

    model_types = ("molmo2_vision",)
    source = "transformers 5.23 modeling_molmo2.py, configuration_molmo2.py __post_init__"

    @cached_property
    def width(self) -> int:
        """Width of the tower."""
        return self.config.count("hidden_size", default=1152)

    @cached_property
    def heads_width(self) -> int:
        """Width of all heads."""
        return self.config.count("num_attention_heads", default=16) * self.config.count("head_dim", default=72)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        patch = c.count("patch_size", "image_patch_size", default=14)
        image = (
            sides(c, "image_size", "image_default_input_size")
            if c.states("image_size", "image_default_input_size")
            else (378, 378)
        )
        positions = c.count(
            "num_position_embeddings", "image_num_pos", default=max(1, (image[0] // patch) * (image[1] // patch))
        )
        kv_inner = c.count("num_key_value_heads", default=16) * c.count("head_dim", default=72)
        bias = c.flag("attention_bias", default=True)
        yield embedding("positional_embedding", positions, width, component="vision", split="replicated")
        source = patch * patch * c.count("num_channels", default=3)
        yield linear("patch_embedding", width, source, bias=True, component="vision", split="replicated")
        layer = encoder_layer(
            width,
            c.count("intermediate_size", default=4304),
            inner=self.heads_width,
            kv_inner=kv_inner,
            qkv_bias=bias,
            output_bias=bias,
        )
        yield from times(c.count("num_hidden_layers", default=25, minimum=0), layer)


class Molmo2Text(Decoder):
    """Qwen 3's layers (or norms over whole heads), with rows of the embedding that the head has not."""

    model_types = ("molmo2_text",)
    source = "transformers 5.23 modeling_molmo2.py"
    output_bias = False
    mlp_bias = False

    @property
    def qkv_bias(self) -> bool:
        """Biases on Q, K and V."""
        return self.config.flag("attention_bias", "qkv_bias", default=False)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the norms on Q and K."""
        yield from super().attention_parts(index)
        per_head = self.config.text("qk_norm_type", default="qwen3") == "qwen3"
        yield norm("q_norm", self.head_dim if per_head else self.heads * self.head_dim)
        yield norm("k_norm", self.head_dim if per_head else self.kv_heads * self.head_dim)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and its additional rows."""
        rows = self.vocab_size + self.config.count("additional_vocab_size", default=128, minimum=0)
        yield embedding("embed_tokens", rows, self.hidden_size)


class Molmo2(Composed):
    """Molmo 2: attention over the read depths side by side, then a gated MLP into the language model."""

    model_types = ("molmo2",)
    architectures = ("Molmo2ForConditionalGeneration",)
    source = "transformers 5.23 modeling_molmo2.py, configuration_molmo2.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "molmo2_vision", "text_config": "molmo2_text"}

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The older files leave it to the code which of the tower's layers are kept."""
        if self.config.states("vit_config"):
            return "the older form (vit_config) leaves it to the code which of the tower's layers are kept"
        return super().unknown_parameters

    def projector_parts(self) -> Iterator[Part]:
        """Return the adapter."""
        adapter = self.config.part("adapter_config", "molmo2_adapter")
        width = adapter.count("hidden_size", default=1152)
        head = adapter.count("head_dim", default=72)
        heads, kv_heads = (
            adapter.count("num_attention_heads", default=16),
            adapter.count("num_key_value_heads", default=16),
        )
        depths = len(adapter.items("vision_feature_layer", "vit_layers") or (24, 18))
        bias, mlp_bias = adapter.flag("attention_bias", default=True), adapter.flag("mlp_bias", default=False)
        inner = adapter.count("intermediate_size", default=18944)
        yield from _pooling(width, depths * width, heads * head, kv_heads * head, bias=bias)
        yield self.join("image_projector.gate_proj", inner, width, bias=mlp_bias, split="column")
        yield self.join("image_projector.up_proj", inner, width, bias=mlp_bias, split="column")
        out = adapter.count("text_hidden_size", default=3584)
        yield self.join("image_projector.down_proj", out, inner, bias=False, split="row")


def _pooling(width: int, source: int, inner: int, kv_inner: int, *, bias: bool) -> Iterator[Part]:
    """Return attention from the mean of some patches to these patches: all of Q, K and V read the wide features."""
    for name, out in (("q_proj", inner), ("k_proj", kv_inner), ("v_proj", kv_inner)):
        yield linear(name, out, source, bias=bias, component="projector")
    yield linear("o_proj", width, inner, bias=bias, component="projector", split="row")


class Molmo(Decoder):
    """Molmo 1 (remote code): OLMo's key names over a Qwen 2 or OLMo; the tower is fixed in the code."""

    model_types = ("molmo",)
    architectures = ("MolmoForCausalLM",)
    source = "vLLM 0.33 models/molmo.py"
    unknown_parameters = "the vision tower is fixed in the original repository's code and not counted by a rule here"

    @property
    def qkv_bias(self) -> bool:
        """`qkv_bias`."""
        return self.config.flag("qkv_bias", default=False)

    output_bias = False
    mlp_bias = False

    @cached_property
    def tied(self) -> bool:
        """`weight_tying`."""
        return self.config.flag("weight_tying", "tie_word_embeddings", default=False)
