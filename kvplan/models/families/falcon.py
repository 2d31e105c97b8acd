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


class RefinedWeb(Falcon):
    """Falcon's files from before transformers 4.33: other names, and the 40B known by its width alone."""

    model_types = ("RefinedWeb", "RefinedWebModel")
    architectures = ("RWForCausalLM",)
    source = "vLLM 0.33 transformers_utils/configs/falcon.py (RWConfig), models/falcon.py"

    @cached_property
    def new_decoder(self) -> bool:
        """As stated; a width of 8192 is Falcon 40B, whose file does not say."""
        return self.hidden_size == 8192 or super().new_decoder

    @cached_property
    def kv_heads(self) -> int:
        """`n_head_kv`, 1 where the file does not say, in the new form; else 1 for multi-query, or one per query head."""
        stated = self.config.optional_count("n_head_kv", "num_kv_heads") or 1
        if self.new_decoder:
            return stated
        return 1 if self.config.flag("multi_query", default=True) else self.heads

    @property
    def norms_per_layer(self) -> int:
        """Two in the new form, and where attention and MLP do not run side by side."""
        return 2 if self.new_decoder or not self.config.flag("parallel_attn", default=False) else 1

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)
