"""DeepSeek V3.2 and the models with its sparse attention (DSA): an indexer beside the latents, with keys of its own."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.caches import LayerCache, SparseIndex
from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.models.spec import Layer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm, vector

INDEXED = "indexed_attention"
_SPELLINGS = {"deepseek_sparse_attention": INDEXED}


class SparseLatent(LatentMoe):
    """Latent attention that an indexer makes sparse: the indexer caches one small key per position and layer."""

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """All layers are indexed where the file has no list."""
        return [_SPELLINGS.get(word, word) for word in super().layer_types]

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """Indexed."""
        return INDEXED

    @cached_property
    def index_dim(self) -> int:
        """Width of an index key."""
        return self.config.count("index_head_dim")

    def indexes(self, index: int) -> bool:  # noqa: ARG002
        """Whether layer `index` has an indexer of its own, not an earlier layer's choice of positions."""
        return True

    def index(self, index: int) -> SparseIndex:  # noqa: ARG002
        """Return the indexer's cache in layer `index`."""
        return SparseIndex(dim=self.index_dim)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the latents and the index keys."""
        if self.layer_types[index] != INDEXED:
            raise self.unknown_layer_type(index)
        return (self.latent(index), self.index(index)) if self.indexes(index) else (self.latent(index),)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections of latent attention and the indexer."""
        if self.query_rank is None:
            raise self.config.fail("q_lora_rank", "is null, but the indexer's queries come from that latent.")
        yield from super().attention_parts(index)
        if self.indexes(index):
            yield from self.indexer_parts(self.query_rank)

    def indexer_parts(self, source: int) -> Iterator[Part]:
        """Return an indexer: queries from the query latent, one key and its norm, a weight per head."""
        heads = self.config.count("index_n_heads")
        yield linear("indexer.wq_b", heads * self.index_dim, source, component="indexer", split="replicated")
        yield linear("indexer.wk", self.index_dim, self.hidden_size, component="indexer", split="replicated")
        yield norm("indexer.k_norm", self.index_dim, bias=True, component="indexer")
        yield linear("indexer.weights_proj", heads, self.hidden_size, component="indexer", split="replicated")


class DeepseekV32(SparseLatent):
    """DeepSeek V3.2."""

    model_types = ("deepseek_v32",)
    architectures = ("DeepseekV32ForCausalLM",)
    source = "transformers 5.18 modeling_deepseek_v32.py; vLLM 0.33 models/deepseek_v2.py Indexer"
    draft_tables = True


class SharedIndexers(SparseLatent):
    """Layers named `shared` in `indexer_types` use the positions that the last `full` one chose, and keep no index."""

    @cached_property
    def indexer_types(self) -> Sequence[str]:
        """`full` or `shared` per layer: stated, else the pattern of letters, else every `index_topk_freq`-th is full.

        Raises:
            ConfigError: the list is too short, or holds another word.

        """
        stated = self.config.items("indexer_types")
        pattern = self.config.raw("index_topk_pattern")
        if not stated and isinstance(pattern, str):
            stated = [{"F": "full", "S": "shared"}.get(letter, letter) for letter in pattern]
        elif not stated and isinstance(pattern, list):
            stated = pattern
        words = stated or ["full" if self.indexer_rule(i) else "shared" for i in range(self.layer_count)]
        # Longer lists are padded with draft layers.
        words = words[: self.layer_count]
        if len(words) < self.layer_count or any(word not in ("full", "shared") for word in words):
            raise self.config.fail("indexer_types", f"does not hold 'full' or 'shared' for {self.layer_count} layers.")
        return words

    def indexer_rule(self, index: int) -> bool:
        """Whether layer `index` has its own indexer where no list says."""
        every = max(self.config.count("index_topk_freq", default=1, minimum=0), 1)
        offset = self.config.count("index_skip_topk_offset", default=2, minimum=0)
        return max(index - offset + 1, 0) % every == 0

    def indexes(self, index: int) -> bool:
        """As listed."""
        return self.indexer_types[index] == "full"

    def draft_layer(self, last: int) -> Layer:
        """Return the last layer with an indexer of its own, as published next-token layers have (GLM-5.2's total)."""
        layer = super().draft_layer(last)
        if self.indexes(last) or self.query_rank is None:
            return layer
        return Layer(
            caches=(*layer.caches, self.index(last)), parts=(*layer.parts, *self.indexer_parts(self.query_rank))
        )


class GlmMoeDsa(SharedIndexers):
    """GLM-5, 5.1: an indexer in every layer; 5.2, 5.3: one for four layers."""

    model_types = ("glm_moe_dsa",)
    architectures = ("GlmMoeDsaForCausalLM",)
    source = "transformers 5.18 modeling_glm_moe_dsa.py, configuration_glm_moe_dsa.py; vLLM 0.33 models/deepseek_v2.py"


class HyV4(SharedIndexers):
    """Hunyuan 4: gated attention with sinks, hyper-connections, an indexer in the first layer and every fourth after."""

    model_types = ("hy_v4",)
    architectures = ("HYV4ForCausalLM",)
    source = "transformers 5.18 modeling_hy_v4.py, configuration_hy_v4.py __post_init__; vLLM 0.33 models/hy_v4"
    first_dense = 1

    def indexer_rule(self, index: int) -> bool:
        """Whether it is the first layer or every fourth after it."""
        return index == 0 or (index - 1) % 4 == 0

    @cached_property
    def streams(self) -> int:
        """Residual streams."""
        return self.config.count("hc_mult")

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, the indexer, the output's gate and the sinks."""
        width = self.heads * self.value_dim
        yield from super().attention_parts(index)
        yield linear("gate_proj", width, self.hidden_size, component="attention")
        yield vector("sinks", self.heads, component="attention", split="column")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and the two mixers of the residual streams."""
        yield from super().norm_parts(index)
        yield from blocks.hyper_connection(
            self.hidden_size, self.streams, name="hc", outputs=2 * self.streams, scales=2, count=2
        )

    def head_parts(self) -> Iterator[Part]:
        """Return the head and what joins the streams before it."""
        yield from super().head_parts()
        yield from blocks.hyper_connection(
            self.hidden_size, self.streams, name="hc_head", outputs=self.streams, scales=1
        )
