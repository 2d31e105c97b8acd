"""Falcon 1 and 2: attention and MLP side by side, one KV head, or groups of them in the new decoder architecture."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class Falcon(Decoder):
    """Falcon 7B, 40B, 180B, 11B."""

    model_types = ("falcon",)
    architectures = ("FalconForCausalLM",)
    source = "transformers 5.18 modeling_falcon.py, configuration_falcon.py __post_init__"
    gated_mlp = False
    norm_bias = True

    @property
    def qkv_bias(self) -> bool:
        """`bias`, on every linear layer."""
        return self.config.flag("bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias

    @cached_property
    def hidden_size(self) -> int:
        """`n_embed` in old files."""
        return self.config.count("n_embed", "hidden_size")

    @cached_property
    def layer_count(self) -> int:
        """`n_layer` in old files."""
        return self.config.count("num_hidden_layers", "n_layer")

    @cached_property
    def heads(self) -> int:
        """`n_head` in old files."""
        return self.config.count("num_attention_heads", "n_head")

    @cached_property
    def new_decoder(self) -> bool:
        """Whether the layers have groups of KV heads, and two norms."""
        return self.config.flag("new_decoder_architecture", default=False)

    @cached_property
    def kv_heads(self) -> int:
        """`num_kv_heads` in the new architecture; in the old one, 1 for multi-query, else one per query head."""
        stated = self.config.optional_count("num_kv_heads") or self.heads
        if self.new_decoder:
            return stated
        return 1 if self.config.flag("multi_query", default=True) else self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_hidden_size`, else four times the hidden size."""
        return self.config.optional_count("ffn_hidden_size") or 4 * self.hidden_size

    @property
    def norms_per_layer(self) -> int:
        """One where attention and MLP run side by side, unless `num_ln_in_parallel_attn` (new form: 2) says two."""
        norms = self.config.optional_count("num_ln_in_parallel_attn") or 1 + self.new_decoder
        return 2 if norms == 2 or not self.config.flag("parallel_attn", default=True) else 1
