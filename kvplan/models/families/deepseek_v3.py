"""DeepSeek V2 and V3 and the models built on them: latent attention, shared and routed experts, next-token layers."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.caches import MLA, LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.listed import ListedMoe, next_token_layers, with_bias
from kvplan.models.spec import Layer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding


class LatentDecoder(Decoder):
    """A decoder whose attention caches MLA latents."""

    @cached_property
    def latent_dim(self) -> int:
        """Width of the KV latent."""
        return self.config.count("kv_lora_rank")

    @cached_property
    def rope_dim(self) -> int:
        """Width of the shared rotary key; 0 in models without one."""
        return self.config.count("qk_rope_head_dim", minimum=0)

    @cached_property
    def nope_dim(self) -> int:
        """Width of a query head's part without rotation."""
        return self.config.count("qk_nope_head_dim", minimum=0)

    @cached_property
    def value_dim(self) -> int:
        """Width of a value head."""
        return self.config.count("v_head_dim")

    @cached_property
    def query_rank(self) -> int | None:
        """Width of the query latent; None where queries are projected straight."""
        return self.config.optional_count("q_lora_rank")

    @cached_property
    def head_dim(self) -> int:
        """Width of a query head. `head_dim` in these files is a decoy (the rope or the nope part)."""
        return self.nope_dim + self.rope_dim

    def latent(self, index: int) -> MLA:
        """Return the latent cache of layer `index`."""
        return MLA(
            latent_dim=self.latent_dim,
            rope_dim=self.rope_dim,
            heads=self.heads_at(index),
            expanded_key_dim=self.head_dim,
        )

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the latent cache."""
        if self.layer_types[index] != "full_attention":
            raise self.unknown_layer_type(index)
        return (self.latent(index),)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections of latent attention."""
        yield from blocks.latent_attention(
            self.hidden_size,
            heads=self.heads_at(index),
            q_lora_rank=self.query_rank,
            kv_lora_rank=self.latent_dim,
            nope_dim=self.nope_dim,
            rope_dim=self.rope_dim,
            value_dim=self.value_dim,
            bias=self.qkv_bias,
        )


class LatentMoe(LatentDecoder, ListedMoe):
    """Latent attention and, after the first dense layers, routed experts beside shared ones."""

    mlp_bias = False
    # Whether the files hold copies of embedding and head for each next-token layer (V3, R1, V3.2; GLM's do not).
    draft_tables: ClassVar[bool] = False

    @cached_property
    def unknown_parameters(self) -> str | None:
        """`moe_layer_freq` other than 1: vLLM and DeepSeek's own code skip layers, transformers does not."""
        every = self.config.raw("moe_layer_freq", default=1)
        return None if every == 1 else f"moe_layer_freq is {str(every)[:20]}, which implementations read differently"

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers, built as the last layer."""
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        return next_token_layers(self, self.draft_layer(last), count)

    def draft_layer(self, last: int) -> Layer:
        """Return what a next-token layer has in common with the last layer."""
        tables = (self.draft_table("embed_tokens"), self.draft_table("shared_head.head")) if self.draft_tables else ()
        return Layer(caches=self.caches(last), parts=(*self.parts(last), *tables))

    def draft_table(self, name: str) -> Part:
        """Return a copy of the embedding or the head."""
        return embedding(name, self.vocab_size, self.hidden_size, component="draft")


class DeepseekV3(LatentMoe):
    """DeepSeek V3, R1, Kimi K2."""

    model_types = ("deepseek_v3", "kimi_k2")
    architectures = ("DeepseekV3ForCausalLM",)
    source = "transformers 5.18 modeling_deepseek_v3.py; vLLM 0.33 models/deepseek_v2.py"
    draft_tables = True


class DeepseekV2(LatentMoe):
    """DeepSeek V2: biases in the MLPs where `mlp_bias` says so, not in the routed experts."""

    model_types = ("deepseek_v2",)
    architectures = ("DeepseekV2ForCausalLM",)
    source = "transformers 5.18 modeling_deepseek_v2.py; vLLM 0.33 models/deepseek_v2.py"
    mlp_bias = LatentDecoder.mlp_bias

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP or the experts."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts
