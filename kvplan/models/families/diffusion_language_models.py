"""Language models that write by diffusion: tokens attend both ways, so nothing is kept for good between the steps."""

from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.decoder import Decoder
from kvplan.models.families.bailing_moe import BailingMoe
from kvplan.models.families.qwen2 import Qwen2


class Diffusion(Decoder):
    """A model that computes the whole sequence anew at every step."""

    cacheless = "a diffusion language model: tokens attend both ways, and each step computes the whole sequence anew"

    def caches(self, index: int) -> tuple[LayerCache, ...]:  # noqa: ARG002
        """Return nothing."""
        return ()


class Dream(Diffusion, Qwen2):
    """Dream 7B, Dream-Coder, CADD: Qwen 2.5 with its mask taken off."""

    model_types = ("Dream",)
    architectures = ("DreamModel",)
    source = "Dream-org/Dream-v0-Instruct-7B modeling_dream.py (remote code); total of CADD-Base-7B on the hub"


class Llada(Diffusion):
    """LLaDA 8B: Llama with OLMo's key names, and its mask taken off."""

    model_types = ("llada",)
    architectures = ("LLaDAModelLM",)
    source = "GSAI-ML/LLaDA-8B-Instruct configuration_llada.py (remote code); llama.cpp convert (LLaDAModel)"
    unknown_parameters = "its biases, norms and head are set by a dozen switches that no rule here covers"

    @cached_property
    def hidden_size(self) -> int:
        """`d_model`; LLaDA-MoE has `hidden_size`."""
        return self.config.count("d_model", "hidden_size")

    @cached_property
    def layer_count(self) -> int:
        """`n_layers`."""
        return self.config.count("n_layers", "num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """`n_heads`."""
        return self.config.count("n_heads", "num_attention_heads")

    @cached_property
    def kv_heads(self) -> int:
        """`n_kv_heads`."""
        return self.config.optional_count("n_kv_heads", "num_key_value_heads") or self.heads

    @cached_property
    def intermediate_size(self) -> int:
        """`mlp_hidden_size`."""
        return self.config.count("mlp_hidden_size", "intermediate_size", "dense_intermediate_size")


class Llada2Moe(BailingMoe):
    """LLaDA 2: Ling 2.0 that writes block by block; finished blocks are kept like any prompt.

    The remote code computes everything anew at every step; SGLang serves it with a cache of all finished blocks.
    """

    model_types = ("llada2_moe",)
    architectures = ("LLaDA2MoeModelLM",)
    source = "inclusionAI/LLaDA2.0 modeling_llada2_moe.py (remote code); SGLang models/llada2.py; totals on the hub"
    first_dense = 1
