"""ModernBERT as a decoder: every third layer full, the others in half of `local_attention`."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.models.classic import BiasedHead
from kvplan.models.decoder import FULL, SLIDING
from kvplan.weights.parts import Part, linear, norm


class ModernBertDecoder(BiasedHead):
    """Ettin decoders."""

    model_types = ("modernbert-decoder",)
    architectures = ("ModernBertDecoderForCausalLM",)
    source = "transformers 5.18 modeling_modernbert_decoder.py, configuration_modernbert_decoder.py __post_init__"
    ignored: ClassVar[dict[str, str]] = {
        "sliding_window": "overwritten with local_attention // 2, configuration_modernbert_decoder.py __post_init__"
    }

    @property
    def head_bias(self) -> bool:
        """`decoder_bias`."""
        return self.config.flag("decoder_bias", default=True)

    @property
    def norm_bias(self) -> bool:
        """`norm_bias`."""
        return self.config.flag("norm_bias", default=False)

    @cached_property
    def kv_heads(self) -> int:
        """One per query head."""
        return self.heads

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads."""
        return self._derived_head_dim()

    @cached_property
    def window(self) -> int | None:
        """Half of `local_attention`."""
        return (self.config.optional_count("local_attention", minimum=0) or 0) // 2 or None

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """As listed or by the rule."""
        self.config.read.add("local_attention")
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:
        """Every `global_attn_every_n_layers`-th (3) from the first on."""
        return SLIDING if index % self.config.count("global_attn_every_n_layers", default=3) else FULL

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms; the first layer has none before attention."""
        yield norm("layer_norms", self.hidden_size, bias=self.norm_bias, count=2 if index else 1)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and its norm."""
        yield from super().embedding_parts()
        yield norm("embeddings.norm", self.hidden_size, bias=self.norm_bias)

    def head_parts(self) -> Iterator[Part]:
        """Return a dense layer, a norm, and the head."""
        bias = self.config.flag("classifier_bias", default=False)
        yield linear(
            "lm_head.dense", self.hidden_size, self.hidden_size, bias=bias, component="head", split="replicated"
        )
        yield norm("lm_head.norm", self.hidden_size, bias=self.norm_bias, component="head")
        yield from super().head_parts()
