"""CodeShell, Refact and BTLM: GPT-2's form with rotary positions or ALiBi, and few KV heads."""

from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.models.decoder import Decoder


class CodeShell(Classic):
    """CodeShell 7B: GPT-2 with groups of KV heads and rotary positions."""

    model_types = ("codeshell",)
    architectures = ("CodeShellForCausalLM",)
    source = "WisdomShell/CodeShell modeling_codeshell.py (remote code), as its vLLM port has it"

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
        """`n_head`, which divides the hidden size.

        Raises:
            ConfigError: it does not.

        """
        heads = self.config.count("n_head", "num_attention_heads")
        if self.hidden_size % heads:
            raise self.config.fail("n_head", f"is {heads}, which does not divide n_embd ({self.hidden_size}).")
        return heads

    @cached_property
    def kv_heads(self) -> int:
        """`num_query_groups` where `group_query_attention` is on."""
        if not self.config.flag("group_query_attention", default=True):
            return self.heads
        return self.config.count("num_query_groups")

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)


class Refact(Decoder):
    """Refact 1.6B: one KV head, ALiBi, no biases, a gated MLP of two thirds of four times the width."""

    model_types = ("gpt_refact",)
    architectures = ("GPTRefactForCausalLM",)
    source = "smallcloudai/Refact-1_6B-fim modeling_gpt_refact.py (remote code), as its vLLM port has it"
    qkv_bias = False
    mlp_bias = False

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
    def kv_heads(self) -> int:
        """One."""
        return 1

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """8/3 of the hidden size, up to the next multiple of 256."""
        return -(-(8 * self.hidden_size // 3) // 256) * 256


class Btlm(Refact):
    """BTLM 3B: ALiBi, a KV head per query head."""

    model_types = ("btlm",)
    architectures = ("BTLMLMHeadModel", "BTLMForCausalLM")
    source = "cerebras/btlm-3b-8k-base modeling_btlm.py (remote code), as a vLLM port has it: BTLMAttention"
    unknown_parameters = "which of its linear layers have biases no source at hand shows"

    @cached_property
    def kv_heads(self) -> int:
        """One per query head."""
        return self.heads
