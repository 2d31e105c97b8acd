"""MPT: ALiBi, no biases; DBRX after it: rotary positions, groups of KV heads, routed experts."""

from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.models.config import Config
from kvplan.models.decoder import MoeDecoder


class Mpt(Classic):
    """MPT 7B and 30B, Replit Code.

    `attn_config` can make the heads share keys and values; llm-foundry's own code follows it, transformers does not.
    """

    model_types = ("mpt",)
    architectures = ("MPTForCausalLM", "MptForCausalLM")
    source = "transformers 5.18 modeling_mpt.py; llm-foundry attention.py (kv_n_heads)"
    norm_bias = False
    qkv_bias = False
    output_bias = False
    mlp_bias = False

    @cached_property
    def attention(self) -> Config:
        """`attn_config`."""
        return self.config.part("attn_config")

    @cached_property
    def kv_heads(self) -> int:
        """One per query head, one for all, or `kv_n_heads`, by `attn_type`."""
        kind = self.attention.text("attn_type", default="multihead_attention")
        if kind == "multihead_attention":
            return self.attention.optional_count("kv_n_heads") or self.heads
        if kind == "multiquery_attention":
            return 1
        if kind == "grouped_query_attention":
            return self.attention.count("kv_n_heads")
        raise self.refuse(
            "attn_config.attn_type", f"is {kind!r}.", "Known are multihead, multiquery and grouped_query."
        )

    @cached_property
    def intermediate_size(self) -> int:
        """`expansion_ratio` times the hidden size."""
        return self.config.count("expansion_ratio", default=4) * self.hidden_size

    @property
    def unknown_parameters(self) -> str | None:
        """The options of llm-foundry that transformers builds no parameters for."""
        if not self.config.flag("no_bias", default=True):
            return "no_bias is false: transformers' MPT has no biases, llm-foundry's has"
        if self.attention.flag("qk_ln", default=False) or self.attention.flag("qk_gn", default=False):
            return "attn_config.qk_ln is true: transformers' MPT has no such norms, llm-foundry's has"
        if self.config.flag("learned_pos_emb", default=True) and not self.attention.flag("alibi", default=True):
            return "positions are learned: transformers' MPT has no table of them, llm-foundry's has"
        return None


class Dbrx(MoeDecoder):
    """DBRX: every layer routes over fine-grained experts."""

    model_types = ("dbrx",)
    architectures = ("DbrxForCausalLM",)
    source = "transformers 5.18 modeling_dbrx.py, configuration_dbrx.py __post_init__"
    qkv_bias = False

    @cached_property
    def kv_heads(self) -> int:
        """`attn_config.kv_n_heads`."""
        return self.config.part("attn_config").count("kv_n_heads", default=1)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def _ffn(self) -> Config:
        return self.config.part("ffn_config")

    @cached_property
    def experts(self) -> int:
        """`ffn_config.moe_num_experts`."""
        return self._ffn.count("moe_num_experts", default=4)

    @cached_property
    def experts_per_token(self) -> int:
        """`ffn_config.moe_top_k`."""
        return self._ffn.count("moe_top_k", default=1)

    @cached_property
    def expert_size(self) -> int:
        """`ffn_config.ffn_hidden_size`."""
        return self._ffn.count("ffn_hidden_size", default=3584)
