"""Nemotron 4 and Minitron: a plain MLP and LayerNorm in the place of Llama's."""

from kvplan.models.decoder import Decoder


class Nemotron(Decoder):
    """Nemotron 4, Minitron, Nemotron Mini."""

    model_types = ("nemotron",)
    architectures = ("NemotronForCausalLM",)
    source = "transformers 5.18 modeling_nemotron.py"
    gated_mlp = False
    norm_bias = True
