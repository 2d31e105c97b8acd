"""DeepSeek V2 and V3 and the models built on them: latent attention, shared and routed experts, next-token layers."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import MLA, LayerCache
from kvplan.models.decoder import MoeDecoder
from kvplan.models.spec import Layer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm


class LatentDecoder(MoeDecoder):
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
            expanded_value_dim=self.value_dim,
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
            q_lora_rank=self.config.optional_count("q_lora_rank"),
            kv_lora_rank=self.latent_dim,
            nope_dim=self.nope_dim,
            rope_dim=self.rope_dim,
            value_dim=self.value_dim,
            bias=self.config.flag("attention_bias", default=False),
        )


class DeepseekV3(LatentDecoder):
    """DeepSeek V2, V3, R1, Kimi K2: the first layers dense, then routed experts beside shared ones."""

    model_types = ("deepseek_v2", "deepseek_v3", "kimi_k2")
    architectures = ("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM")
    source = "transformers 5.18 modeling_deepseek_v2.py and modeling_deepseek_v3.py; vLLM 0.33 models/deepseek_v2.py"
    expert_keys = ("n_routed_experts", "num_experts", "num_local_experts")

    def is_moe(self, index: int) -> bool:
        """All but the first `first_k_dense_replace` layers route."""
        return index >= self.config.count("first_k_dense_replace", default=0, minimum=0)

    @cached_property
    def shared_size(self) -> int:
        """`n_shared_experts` experts side by side."""
        return self.expert_size * (self.config.optional_count("n_shared_experts", minimum=0) or 0)

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: a whole layer each, with two norms and a projection of the two inputs.

        Source: vLLM 0.33 models/deepseek_mtp.py (enorm, hnorm, eh_proj).
        """
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        last = self.layer_count - 1
        extra = (
            norm("enorm", self.hidden_size, component="draft"),
            norm("hnorm", self.hidden_size, component="draft"),
            linear("eh_proj", self.hidden_size, 2 * self.hidden_size, component="draft", split="replicated"),
        )
        return tuple(Layer(caches=self.caches(last), parts=(*self.parts(last), *extra)) for _ in range(count))
