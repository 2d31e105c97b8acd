"""Models that are Llama under a name of their own, or nearly: one flag or key name differs."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.decoder import Decoder, MoeDecoder
from kvplan.models.encoder_decoder import architecture, label_count
from kvplan.weights.parts import Part, linear, norm


class LlamaCopy(Decoder):
    """Yi, Aquila, XVERSE, TeleFLM, TeleChat 3, Solar Pro, IQuest Coder, Skywork 13B, KORMo, Apriel 5B."""

    model_types = (
        "Yi",
        "aquila",
        "xverse",
        "TeleFLM",
        "telechat3",
        "solar",
        "iquestcoder",
        "skywork",
        "kormo",
        "apriel",
    )
    architectures = (
        "YiForCausalLM",
        "AquilaForCausalLM",
        "AquilaModel",
        "XverseForCausalLM",
        "TeleFLMForCausalLM",
        "TeleChat3ForCausalLM",
        "SolarForCausalLM",
        "IQuestCoderForCausalLM",
        "SkyworkForCausalLM",
        "KORMoForCausalLM",
        "AprielForCausalLM",
    )
    source = (
        "vLLM 0.33 models/registry.py (LlamaForCausalLM), teleflm.py, solar.py; each model's published code;"
        " TensorRT-LLM (Skywork); total of Apriel-5B-Instruct on the hub"
    )


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


class Aquila3(Decoder):
    """Aquila 3: Llama with biases on Q, K and V."""

    model_types = ("aquila3",)
    architectures = ("Aquila3ForCausalLM",)
    source = "total of AquilaMed-RL on the hub, which is Llama's with these biases"
    qkv_bias = True
    output_bias = False
    mlp_bias = False


class Instella(Decoder):
    """Instella: a norm over all heads of Q and one over all heads of K."""

    model_types = ("instella",)
    architectures = ("InstellaForCausalLM",)
    source = "amd/Instella-3B modeling_instella.py (remote code), as its vLLM port has it; total on the hub"
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the two norms."""
        yield from super().attention_parts(index)
        yield norm("q_norm", self.heads * self.head_dim)
        yield norm("k_norm", self.kv_heads * self.head_dim)


class XverseMoe(MoeDecoder):
    """XVERSE MoE: experts in every layer, all `intermediate_size` wide, beside shared ones."""

    model_types = ("xverse_moe", "xversemoe")
    architectures = ("XverseMoeForCausalLM",)
    source = "SGLang models/xverse_moe.py"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_experts",)
    per_token_keys = ("moe_top_k",)

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side."""
        return self.intermediate_size * (self.config.optional_count("num_shared_experts", minimum=0) or 0)

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """Every layer, in files with experts."""
        return self.config.states("num_experts")


class Deci(Decoder):
    """DeciLM 6B and 7B: Llama with KV heads of each layer's own.

    vLLM repeats the heads of the layers that have fewer, and keeps the most that a layer has in every one.
    """

    model_types = ("deci", "deci_lm")
    source = "Deci/DeciLM-7B modeling_decilm.py (remote code); vLLM 0.4 models/decilm.py: num_key_value_heads_per_layer"
    qkv_bias = False
    mlp_bias = False

    @cached_property
    def kv_heads_by_layer(self) -> list[int]:
        """`num_key_value_heads_per_layer`.

        Raises:
            ConfigError: it is missing or has another length.

        """
        stated = self.config.counts("num_key_value_heads_per_layer") or []
        if len(stated) != self.layer_count:
            raise self.config.fail(
                "num_key_value_heads_per_layer", f"has {len(stated)} items for {self.layer_count} layers."
            )
        return stated

    @cached_property
    def kv_heads(self) -> int:
        """The most that a layer has; `num_key_value_heads` is not read."""
        self.config.overrule("num_key_value_heads")
        return max(self.kv_heads_by_layer)

    def kv_heads_at(self, index: int) -> int:
        """KV heads of layer `index`."""
        return self.kv_heads_by_layer[index]


class MegrezMoe(MoeDecoder):
    """Megrez MoE: Llama's attention; experts that neighbouring layers share."""

    model_types = ("megrez_moe",)
    architectures = ("MegrezMoeForCausalLM",)
    source = "Infinigence's SGLang port, models/megrez_moe.py: MegrezMoeDecoderLayer"
    unknown_parameters = "layers share experts, by a rule that no source at hand shows"
    expert_keys = ("n_routed_experts",)

    @property
    def qkv_bias(self) -> bool:
        """`qkv_bias`, else `attention_bias` or `bias`."""
        return self.config.flag("qkv_bias", default=self.config.flag("attention_bias", "bias", default=False))


class LlamaBidirectional(Decoder):
    """Llama made an embedding model: tokens attend both ways, and there is no head."""

    model_types = ("llama_bidirec",)
    architectures = ("LlamaBidirectionalModel", "LlamaBidirectionalForSequenceClassification")
    source = "vLLM 0.33 models/llama.py (LlamaBidirectionalModel); totals of NVIDIA's embedding models on the hub"
    cacheless = "tokens attend both ways: an embedding model"

    def caches(self, index: int) -> tuple[LayerCache, ...]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def head_parts(self) -> Iterator[Part]:
        """Return the classifier, which ranking models have: one value unless the file says more."""
        if architecture(self.config).endswith("ForSequenceClassification"):
            yield linear("score", label_count(self.config), self.hidden_size, component="head", split="replicated")
