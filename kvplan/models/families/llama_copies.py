"""Models that are Llama under a name of their own, or nearly: one flag or key name differs."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class LlamaCopy(Decoder):
    """Yi, Aquila, XVERSE, TeleFLM, TeleChat 3, Solar Pro, IQuest Coder."""

    model_types = ("Yi", "aquila", "xverse", "TeleFLM", "telechat3", "solar", "iquestcoder")
    architectures = (
        "YiForCausalLM",
        "AquilaForCausalLM",
        "AquilaModel",
        "XverseForCausalLM",
        "TeleFLMForCausalLM",
        "TeleChat3ForCausalLM",
        "SolarForCausalLM",
        "IQuestCoderForCausalLM",
    )
    source = "vLLM 0.33 models/registry.py (LlamaForCausalLM), teleflm.py, solar.py; each model's published code"


class InternLm(Decoder):
    """InternLM 1: a switch for biases on Q, K, V and O."""

    model_types = ("internlm",)
    architectures = ("InternLMForCausalLM",)
    source = "internlm/internlm-chat-7b modeling_internlm.py (remote code)"
    mlp_bias = False

    @property
    def qkv_bias(self) -> bool:
        """`bias`."""
        return self.config.flag("bias", default=True)


class InternLm2(InternLm):
    """InternLM 2 and 2.5: the same without biases."""

    model_types = ("internlm2",)
    architectures = ("InternLM2ForCausalLM",)
    source = "vLLM 0.33 models/internlm2.py"

    @property
    def qkv_bias(self) -> bool:
        """`bias`."""
        return self.config.flag("bias", default=False)


class InternLm3(Decoder):
    """InternLM 3: `qkv_bias` for Q, K and V, `bias` for the rest."""

    model_types = ("internlm3",)
    architectures = ("InternLM3ForCausalLM",)
    source = "transformers 5.23 configuration_internlm3.py; vLLM 0.33 models/llama.py"

    @property
    def qkv_bias(self) -> bool:
        """`qkv_bias`."""
        return self.config.flag("qkv_bias", "attention_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """`bias`."""
        return self.mlp_bias

    @property
    def mlp_bias(self) -> bool:
        """`bias`."""
        return self.config.flag("bias", "mlp_bias", default=False)


class Baichuan(Decoder):
    """Baichuan 1 and 2: one KV head per query head, a head of its own."""

    model_types = ("baichuan",)
    architectures = ("BaichuanForCausalLM", "BaiChuanForCausalLM")
    source = "baichuan-inc modeling_baichuan.py (remote code): W_pack, no key for KV heads or biases"
    qkv_bias = False
    mlp_bias = False


class Orion(Decoder):
    """Orion: LayerNorm in the place of RMSNorm."""

    model_types = ("orion",)
    architectures = ("OrionForCausalLM",)
    source = "vLLM 0.33 models/orion.py"
    norm_bias = True
    qkv_bias = False
    mlp_bias = False


class Step1(Decoder):
    """Step 1: ALiBi; KV heads under another name, one where the file states none."""

    model_types = ("step1",)
    architectures = ("Step1ForCausalLM",)
    source = "vLLM 0.33 models/step1.py"

    @cached_property
    def kv_heads(self) -> int:
        """`num_attention_groups`, else `num_key_value_heads`, else 1."""
        return self.config.optional_count("num_attention_groups", "num_key_value_heads", minimum=0) or 1

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()


class TeleChat(Decoder):
    """TeleChat 1 and 2: biases on the two output projections only, GPT-2's key names."""

    model_types = ("telechat",)
    architectures = ("TelechatForCausalLM", "TeleChat2ForCausalLM")
    source = "vLLM 0.33 models/telechat2.py"
    qkv_bias = False
    output_bias = True

    @cached_property
    def layer_count(self) -> int:
        """`n_layer`."""
        return self.config.count("n_layer", "num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """`n_head`."""
        return self.config.count("n_head", "num_attention_heads")

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_hidden_size`."""
        return self.config.count("ffn_hidden_size", "intermediate_size")
