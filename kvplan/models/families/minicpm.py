"""MiniCPM 1, 2 and 4: Llama with scaled residuals and a tied head; with routed experts where the file states them."""

from functools import cached_property

from kvplan.models.decoder import MoeDecoder


class MiniCpm(MoeDecoder):
    """MiniCPM 2B, MoE 8x2B, MiniCPM 4."""

    model_types = ("minicpm",)
    architectures = ("MiniCPMForCausalLM",)
    source = "vLLM 0.33 models/minicpm.py; openbmb configuration_minicpm.py (tie_word_embeddings: true)"
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_experts",)

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def layer_count(self) -> int:
        """Layers.

        Raises:
            UnsupportedArchitectureError: MiniCPM 4.1's sparse attention, which keeps compressed keys too.

        """
        if self.config.raw("sparse_config"):
            raise self.refuse(
                "sparse_config",
                "asks for sparse attention (InfLLM), which keeps compressed keys beside the cache.",
                "Remove sparse_config to plan for dense attention, as engines without InfLLM run it.",
            )
        return self.config.count("num_hidden_layers")

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """Every layer where the file states experts."""
        return bool(self.config.optional_count("num_experts", minimum=0))

    @cached_property
    def expert_size(self) -> int:
        """`intermediate_size`."""
        return self.intermediate_size
