"""XLNet: keeps hidden states of earlier positions instead of keys and values."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.caches import FullAttention, LayerCache, SlidingWindow
from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import architecture
from kvplan.models.spec import Layer
from kvplan.weights.parts import Part, embedding, linear, vector


class XlNet(Decoder):
    """XLNet with its language-model head: one hidden state per layer and position, the last `mem_len` of them.

    Source: XLNetModel.cache_mem; without `mem_len` all are kept, without `use_mems_eval` none.
    """

    model_types = ("xlnet",)
    architectures = ("XLNetLMHeadModel", "XLNetModel")
    source = "transformers 5.18 modeling_xlnet.py"
    gated_mlp = False
    norm_bias = True
    mlp_bias = True
    qkv_bias = False

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Other heads are not counted."""
        name = architecture(self.config)
        known = not name or name in ("XLNetLMHeadModel", "XLNetModel")
        return None if known else f"the class {name} is not one that is counted"

    @cached_property
    def cacheless(self) -> str | None:
        """Without memories every step computes everything anew."""
        return None if self.config.flag("use_mems_eval", default=True) else "use_mems_eval is false: nothing is kept"

    @cached_property
    def max_context_tokens(self) -> None:
        """Positions are relative: nothing bounds the length."""

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    @cached_property
    def head_dim(self) -> int:
        """`d_head`, hidden size / heads."""
        return self.config.optional_count("d_head") or self._derived_head_dim()

    @cached_property
    def intermediate_size(self) -> int:
        """`d_inner`."""
        return self.config.count("d_inner")

    def caches(self, index: int) -> tuple[LayerCache, ...]:  # noqa: ARG002
        """Return the memories of a layer: one vector of the hidden size per position."""
        kept = self.config.optional_count("mem_len", minimum=0)
        if kept:
            return (SlidingWindow(heads=1, key_dim=self.hidden_size, value_dim=0, window=kept),)
        return (FullAttention(heads=1, key_dim=self.hidden_size, value_dim=0),)

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; where nothing is kept they count outside."""
        return () if self.cacheless else super().layers()

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return Q, K, V, O and R, three biases and the segments' embedding, all of heads x d_head."""
        inner = self.heads * self.head_dim
        for name in ("q", "k", "v", "r"):
            yield linear(name, inner, self.hidden_size, component="attention")
        yield linear("o", self.hidden_size, inner, component="attention", split="row")
        yield vector("biases", 3, inner, component="attention")
        yield vector("seg_embed", 2, inner, component="attention")

    def outer(self) -> Iterator[Part]:
        """Return table, mask, an idle model's layers, and the head with its bias."""
        yield embedding("word_embedding", self.vocab_size, self.hidden_size)
        yield vector("mask_emb", self.hidden_size, component="embeddings")
        if self.cacheless:
            for index in range(self.layer_count):
                yield from self.parts(index)
        if architecture(self.config) != "XLNetModel":
            if not self.tied:
                yield linear("lm_loss", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
            yield vector("lm_loss.bias", self.vocab_size, component="head", split="vocabulary")
