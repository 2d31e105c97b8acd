"""Llama and the many models that are one: grouped-query attention everywhere, gated MLP, RMSNorm."""

from kvplan.models.decoder import Decoder


class Llama(Decoder):
    """Llama 1 to 3.3, and the copies that keep its `model_type`."""

    model_types = ("llama",)
    architectures = ("LlamaForCausalLM", "LLaMAForCausalLM")
    source = "transformers 5.18 modeling_llama.py; vLLM 0.33 models/llama.py"
