"""LongCat-Flash: each of `num_layers` blocks has two latent attentions and two dense MLPs around one layer of experts."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, vector


class LongcatFlash(LatentMoe):
    """LongCat-Flash, counted in attention sublayers: the even ones also hold the block's experts."""

    model_types = ("longcat_flash",)
    architectures = ("LongcatFlashForCausalLM",)
    source = "transformers 5.18 modeling_longcat_flash.py; vLLM 0.33 models/longcat_flash.py"
    per_token_keys = ("moe_topk", "num_experts_per_tok")

    @cached_property
    def layer_count(self) -> int:
        """Two sublayers for each block. A file's `num_hidden_layers` counts sublayers too."""
        layers = 2 * self.config.count("num_layers")
        stated = self.config.optional_count("num_hidden_layers")
        if stated not in (None, layers, layers // 2):
            raise self.config.fail("num_hidden_layers", f"is {stated}, but num_layers is {layers // 2}.")
        return layers

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the dense MLPs."""
        return self.config.count("ffn_hidden_size", "intermediate_size")

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.config.count("expert_ffn_hidden_size", "moe_intermediate_size")

    @cached_property
    def shared_size(self) -> int:
        """None."""
        return 0

    def is_moe(self, index: int) -> bool:
        """Whether the sublayer is the first of its block, which holds the experts."""
        return index % 2 == 0

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the dense MLP and the block's experts; the zero-computation experts only add rows to the router."""
        yield from self.dense_mlp(self.intermediate_size)
        if self.is_moe(index):
            rows = self.experts + (self.config.optional_count("zero_expert_num", minimum=0) or 0)
            bias = self.config.flag("router_bias", default=False)
            yield linear("router.classifier", rows, self.hidden_size, bias=bias, component="router", split="replicated")
            yield from blocks.experts(self.hidden_size, self.expert_size, self.experts)


class LongcatFlashNgram(LongcatFlash):
    """LongCat-Flash-Lite: tables of n-grams beside the token embedding, each with a projection of its own."""

    model_types = ("longcat_flash_ngram",)
    architectures = ("LongcatFlashNgramForCausalLM",)
    source = "vLLM 0.33 models/longcat_flash_ngram.py; LongCat-Flash-Lite's published 68.5 billion"

    def embedding_parts(self) -> Iterator[Part]:
        """Return the token embedding and the n-grams': table i has 2 x i + 1 rows more than ratio x vocabulary.

        Raises:
            ConfigError: there are more tables than the hidden size has elements.

        """
        yield from super().embedding_parts()
        if not self.config.states("ngram_vocab_size_ratio"):
            return
        rows = self.config.count("ngram_vocab_size_ratio") * self.vocab_size
        tables = self.config.count("emb_split_num") * (self.config.count("emb_neighbor_num", minimum=2) - 1)
        if tables > self.hidden_size:
            raise self.config.fail(
                "emb_split_num", f"and emb_neighbor_num make {tables} tables, too many to share a width."
            )
        width = self.hidden_size // tables
        # 1 + 3 + 5 + ... are the square of their number.
        yield embedding("ngram_embeddings.oe_embedder", tables * rows + tables**2, width)
        yield vector("ngram_embeddings.oe_projection", tables, width, self.hidden_size, component="embeddings")
