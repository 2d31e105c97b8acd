"""Seed-OSS: Llama with biases on Q, K and V and a switch of its own for O's."""

from kvplan.models.decoder import Decoder


class SeedOss(Decoder):
    """Seed-OSS 36B."""

    model_types = ("seed_oss",)
    architectures = ("SeedOssForCausalLM",)
    source = "transformers 5.18 modeling_seed_oss.py"

    @property
    def output_bias(self) -> bool:
        """`attention_out_bias`."""
        return self.config.flag("attention_out_bias", default=False)
