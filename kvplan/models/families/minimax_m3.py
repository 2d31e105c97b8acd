"""MiniMax M3: grouped-query attention that an indexer makes sparse in most layers, dense layers first, experts."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.caches import LayerCache, SparseIndex
from kvplan.models.config import Config
from kvplan.models.decoder import FULL
from kvplan.models.listed import DENSE, SPARSE, ListedMoe
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm

INDEXED = "minimax_m3_sparse"


class MiniMaxM3Text(ListedMoe):
    """MiniMax M3's language model. A sparse layer keeps all keys and values and, beside them, one index key per position."""

    model_types = ("minimax_m3_vl_text", "minimax_m3")
    architectures = ("MiniMaxM3ForCausalLM", "MiniMaxM3SparseForCausalLM")
    source = "transformers 5.18 modeling_minimax_m3_vl.py, configuration_minimax_m3_vl.py; vLLM 0.33 models/minimax_m3"
    qk_norm = True
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("num_local_experts", "num_experts")
    beside_list = ("sliding_window", "index_head_dim")

    # -- what each layer attends to ----------------------------------------------------------------------------------

    @cached_property
    def sparse(self) -> Config:
        """The section on sparse attention, in the published files' form."""
        return self.config.part("sparse_attention_config")

    def listed(self, config: Config, key: str) -> list[int] | None:
        """Return a list of 0 and 1 for each layer, or None where there is none."""
        values = config.counts(key, minimum=0) if isinstance(config.raw(key), list) else None
        if values is not None and len(values) < self.layer_count:
            raise config.fail(key, f"has {len(values)} values for {self.layer_count} layers.")
        return values

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """List of transformers, else `sparse_attention_freq`, else all full.

        Raises:
            UnsupportedArchitectureError: index values are switched on, which no reference implements.

        """
        frequency = self.listed(self.sparse, "sparse_attention_freq")
        without_values = self.listed(self.sparse, "sparse_disable_index_value")
        if not self.sparse.flag("use_sparse_attention", default=True):
            frequency = None
        if self.config.states("layer_types"):
            words = super().layer_types
        else:
            self.config.read.update(self.beside_list)
            words = [INDEXED if frequency and frequency[i] else FULL for i in range(self.layer_count)]
        if without_values and any(word == INDEXED and not without_values[i] for i, word in enumerate(words)):
            raise self.refuse(
                "sparse_attention_config.sparse_disable_index_value",
                "leaves index values on in a sparse layer.",
                "The references keep index keys only (vLLM 0.33 models/minimax_m3/amd/model.py).",
            )
        return words

    @cached_property
    def index_dim(self) -> int:
        """Width of an index key."""
        return self.sparse.optional_count("sparse_index_dim") or self.config.count("index_head_dim")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return keys and values, and the index keys of a sparse layer."""
        if self.layer_types[index] == INDEXED:
            return (self.full_attention(index), SparseIndex(dim=self.index_dim))
        return super().caches(index)

    # -- parameters --------------------------------------------------------------------------------------------------

    @cached_property
    def mlp_layer_types(self) -> Sequence[str]:
        """List of transformers, else `moe_layer_freq`, else experts everywhere."""
        frequency = self.listed(self.config, "moe_layer_freq")
        if frequency is None or self.config.states("mlp_layer_types"):
            return super().mlp_layer_types
        return [SPARSE if routes else DENSE for routes in frequency[: self.layer_count]]

    def sparse_rule(self, index: int) -> bool:  # noqa: ARG002
        """Experts everywhere."""
        return True

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """Width of the shared expert."""
        return self.config.count("shared_intermediate_size")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and the indexer: queries, one key, a norm for each."""
        if self.config.flag("attention_output_gate", default=False):
            raise self.refuse("attention_output_gate", "is true.", "The references have no such gate.")
        yield from super().attention_parts(index)
        if self.layer_types[index] == INDEXED:
            dim, hidden = self.index_dim, self.hidden_size
            heads = self.sparse.optional_count("sparse_num_index_heads") or self.config.count("index_n_heads")
            yield linear("indexer.q_proj", heads * dim, hidden, component="indexer", units=heads)
            yield linear("indexer.k_proj", dim, hidden, component="indexer", split="replicated")
            yield norm("indexer.norms", dim, component="indexer", count=2)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the experts, or a dense MLP of its own width."""
        if self.is_moe(index):
            yield from super().mlp_parts(index)
        else:
            yield from blocks.gated_mlp(self.hidden_size, self.config.count("dense_intermediate_size"))
