"""OPT: learned positions from the second row on, and in the 350M model embeddings narrower than the layers."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.classic import Classic
from kvplan.weights.parts import Part, embedding, linear, norm


class Opt(Classic):
    """OPT, Galactica."""

    model_types = ("opt",)
    architectures = ("OPTForCausalLM",)
    source = "transformers 5.18 modeling_opt.py"

    @property
    def qkv_bias(self) -> bool:
        """`enable_bias`."""
        return self.config.flag("enable_bias", default=True)

    @property
    def output_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias

    @property
    def mlp_bias(self) -> bool:
        """As `qkv_bias`."""
        return self.qkv_bias

    @cached_property
    def intermediate_size(self) -> int:
        """`ffn_dim`."""
        return self.config.count("ffn_dim", "intermediate_size")

    @cached_property
    def embedding_width(self) -> int:
        """`word_embed_proj_dim`, else the hidden size."""
        return self.config.optional_count("word_embed_proj_dim") or self.hidden_size

    @property
    def affine(self) -> bool:
        """Whether the norms have parameters."""
        return self.config.flag("layer_norm_elementwise_affine", default=True)

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms, unless they have no parameters."""
        if self.affine:
            yield from super().norm_parts(index)

    def outer(self) -> Iterator[Part]:
        """Return embeddings, the projections between their width and the layers', a last norm, and the head."""
        yield embedding("embed_tokens", self.vocab_size, self.embedding_width)
        yield embedding(
            "embed_positions", self.config.count("max_position_embeddings") + 2, self.hidden_size, split="replicated"
        )
        if self.embedding_width != self.hidden_size:
            for name, out, source in (
                ("project_in", self.hidden_size, self.embedding_width),
                ("project_out", self.embedding_width, self.hidden_size),
            ):
                yield linear(name, out, source, component="embeddings", split="replicated")
        last = self.config.flag("do_layer_norm_before", default=True) and not self.config.flag(
            "_remove_final_layer_norm", default=False
        )
        if last and self.affine:
            yield norm("final_layer_norm", self.hidden_size, bias=True)
        if not self.tied:
            yield linear("lm_head", self.vocab_size, self.embedding_width, component="head", split="vocabulary")
