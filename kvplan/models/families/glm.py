"""GLM 4: few KV heads, biases on Q, K and V; the 0414 models with two more norms; ChatGLM's own form of the same."""

from functools import cached_property

from kvplan.models.decoder import Decoder


class Glm(Decoder):
    """GLM 4 9B in transformers' form, GLM Edge."""

    model_types = ("glm",)
    architectures = ("GlmForCausalLM",)
    source = "transformers 5.18 modeling_glm.py"
    output_bias = False
    mlp_bias = False


class Glm4(Glm):
    """GLM 4 and Z1 0414: norms before and after."""

    model_types = ("glm4",)
    architectures = ("Glm4ForCausalLM",)
    source = "transformers 5.18 modeling_glm4.py"
    norms_per_layer = 4


class ChatGlm(Decoder):
    """ChatGLM 2 and 3, GLM 4 9B as first published."""

    model_types = ("chatglm",)
    architectures = ("ChatGLMModel", "ChatGLMForConditionalGeneration")
    source = "vLLM 0.33 models/chatglm.py, transformers_utils/configs/chatglm.py (the defaults)"

    @cached_property
    def unknown_parameters(self) -> str | None:
        """GLM-4V 9B's tower is not counted."""
        return "no rule covers the tower under vision_config" if self.config.states("vision_config") else None

    @property
    def qkv_bias(self) -> bool:
        """`add_qkv_bias`, or all biases."""
        return self.output_bias or self.config.flag("add_qkv_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """`add_bias_linear`."""
        return self.config.flag("add_bias_linear", default=False)

    @property
    def mlp_bias(self) -> bool:
        """As `output_bias`."""
        return self.output_bias

    @property
    def norm_bias(self) -> bool:
        """LayerNorm unless `rmsnorm`."""
        return not self.config.flag("rmsnorm", default=True)

    @cached_property
    def hidden_size(self) -> int:
        """Width.

        Raises:
            UnsupportedArchitectureError: the first ChatGLM, which shares the model type but not its form.

        """
        if self.config.states("inner_hidden_size", "position_encoding_2d"):
            raise self.refuse("inner_hidden_size", "marks the first ChatGLM.", "Use ChatGLM 2 or later.")
        return self.config.count("hidden_size")

    @cached_property
    def vocab_size(self) -> int:
        """`padded_vocab_size`: rows of embedding and head."""
        if self.config.states("padded_vocab_size"):
            return self.config.count("padded_vocab_size")
        return self.config.count("vocab_size")

    @cached_property
    def layer_count(self) -> int:
        """`num_layers`."""
        return self.config.count("num_layers", "num_hidden_layers")

    @cached_property
    def kv_heads(self) -> int:
        """`multi_query_group_num` where `multi_query_attention` is true, else one per query head."""
        if self.config.flag("multi_query_attention", default=False):
            return self.config.count("multi_query_group_num", default=1)
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """`kv_channels`, else hidden size / heads."""
        return self.config.optional_count("kv_channels") or self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_hidden_size`."""
        return self.config.count("ffn_hidden_size")

    @cached_property
    def max_context_tokens(self) -> int | None:
        """`seq_length`."""
        return self.config.optional_count("seq_length", "max_position_embeddings")
