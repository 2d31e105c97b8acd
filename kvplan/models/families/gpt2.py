"""GPT-2 and its kin with learned positions: GPT-SW3, GPT-BigCode (StarCoder, SantaCoder), GPT-1, BioGPT, Jais."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from kvplan.caches import CrossAttention, LayerCache
from kvplan.models.classic import Classic
from kvplan.weights import blocks
from kvplan.weights.parts import Part, norm


class Gpt2(Classic):
    """GPT-2, GPT-SW3."""

    model_types = ("gpt2", "gpt-sw3")
    architectures = ("GPT2LMHeadModel",)
    source = "transformers 5.18 modeling_gpt2.py"
    learned_positions = 0

    @cached_property
    def has_encoder(self) -> bool:
        """Whether each layer also reads an encoder: `add_cross_attention`."""
        return self.config.flag("add_cross_attention", default=False)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the layer's own keys and values, and the encoder's."""
        own = (self.full_attention(index),)
        if not self.has_encoder:
            return own
        return (*own, CrossAttention(heads=self.heads, key_dim=self.head_dim, value_dim=self.head_dim))

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, and those of cross-attention with its norm."""
        yield from super().attention_parts(index)
        if self.has_encoder:
            yield from super().attention_parts(index)
            yield norm("ln_cross_attn", self.hidden_size, bias=True)


class GptBigCode(Classic):
    """StarCoder, SantaCoder: GPT-2 with one KV head."""

    model_types = ("gpt_bigcode",)
    architectures = ("GPTBigCodeForCausalLM",)
    source = "transformers 5.18 modeling_gpt_bigcode.py"
    learned_positions = 0

    @cached_property
    def kv_heads(self) -> int:
        """One for multi-query, else one per query head."""
        return 1 if self.config.flag("multi_query", default=True) else self.heads

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return the MLP, whole on every rank: vLLM 0.33 runs transformers' class, which has no plan to split it."""
        return (replace(part, split="replicated") for part in super().dense_mlp(width))


class OpenAiGpt(Classic):
    """GPT-1: norms after attention and MLP, none at the end."""

    model_types = ("openai-gpt",)
    architectures = ("OpenAIGPTLMHeadModel",)
    source = "transformers 5.18 modeling_openai.py"
    learned_positions = 0

    def outer(self) -> Iterator[Part]:
        """Return embeddings and head."""
        yield from self.embedding_parts()
        yield from self.head_parts()


class BioGpt(Classic):
    """BioGPT: two more rows of positions."""

    model_types = ("biogpt",)
    architectures = ("BioGptForCausalLM",)
    source = "transformers 5.18 modeling_biogpt.py"
    learned_positions = 2

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size`."""
        return self.config.count("intermediate_size")


class Jais(Classic):
    """Jais 13B and 30B: GPT-2 with ALiBi in the place of positions and a gated MLP, both as the file says."""

    model_types = ("jais",)
    architectures = ("JAISLMHeadModel",)
    source = "inceptionai/jais-13b modeling_jais.py (remote code); vLLM 0.10 models/jais.py"
    learned_positions = 0

    @cached_property
    def hidden_size(self) -> int:
        """`n_embd`."""
        return self.config.count("n_embd", "hidden_size")

    @cached_property
    def layer_count(self) -> int:
        """`n_layer`."""
        return self.config.count("n_layer", "num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """`n_head`."""
        return self.config.count("n_head", "num_attention_heads")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return the MLP, gated where the activation is SwiGLU."""
        form = blocks.gated_mlp if self.config.text("activation_function") == "swiglu" else blocks.plain_mlp
        return form(self.hidden_size, width, bias=True)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the token embedding, and positions unless ALiBi stands for them."""
        parts = super().embedding_parts()
        yield next(parts)
        if self.config.text("position_embedding_type", default="learned") != "alibi":
            yield from parts
