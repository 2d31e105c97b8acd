"""DeepSeek V4: a window of latents in every layer and, in most, older positions pooled into entries, some of them indexed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvplan.caches import MLA, LayerCache, SlidingWindow, SparseIndex
from kvplan.caches.compressed import CompressorState
from kvplan.models.decoder import SLIDING
from kvplan.models.listed import ListedMoe, with_bias
from kvplan.models.spec import Layer
from kvplan.weights import blocks
from kvplan.weights.parts import Component, Part, linear, norm, vector

CSA, HCA = "compressed_sparse_attention", "heavily_compressed_attention"
_OF_RATIO = {0: SLIDING, 4: CSA, 128: HCA}


@dataclass(frozen=True, slots=True)
class Compression:
    """How a layer pools: positions per entry (0: not), rows kept per position, and whether entries are indexed."""

    ratio: int = 0
    series: int = 1
    indexed: bool = False


class DeepseekV4(ListedMoe):
    """DeepSeek V4, in transformers' key names and in those of the reference code (`deepseek_ref`, sgl-project's files).

    Keys and values are one latent with one head. CSA layers pool 4 positions into an entry, weighing in the 4 before, and
    choose entries by an index pooled alike; HCA layers pool 128 and use all; layers of ratio 0 only have the window.
    """

    model_types = ("deepseek_v4", "deepseek_ref")
    architectures = ("DeepseekV4ForCausalLM",)
    source = "transformers 5.18 modeling_deepseek_v4.py, configuration_deepseek_v4.py __post_init__; vLLM 0.33 models/deepseek_v4"

    # -- what each layer attends to ----------------------------------------------------------------------------------

    @cached_property
    def rates(self) -> dict[str, int]:
        """Positions per entry of each kind of layer."""
        config, stated = self.config, self.config.raw("compress_rates", default={})
        if not isinstance(stated, Mapping):
            raise config.fail("compress_rates", "is not a JSON object.")
        named = {
            kind: config.checked_count("compress_rates", stated.get(kind, r)) for r, kind in _OF_RATIO.items() if r
        }
        return {
            CSA: config.count("compress_rate_csa", default=named[CSA]),
            HCA: config.count("compress_rate_hca", default=named[HCA]),
        }

    @cached_property
    def kinds(self) -> Sequence[str]:
        """What each layer does, draft layers after the others where the list goes on.

        Raises:
            ConfigError: a list is too short, or the two lists differ.
            UnsupportedArchitectureError: a ratio without a rule.

        """
        ratios, words = self.config.counts("compress_ratios", minimum=0), self.config.items("layer_types")
        from_ratios = [_OF_RATIO.get(ratio, str(ratio)) for ratio in ratios or []]
        stated = [str(word) for word in words or []] or from_ratios
        if words and ratios and stated[: self.layer_count] != from_ratios[: self.layer_count]:
            raise self.config.fail("layer_types", "and compress_ratios describe different layers; keep one.")
        kinds = stated or [HCA if i < 2 or i % 2 == 0 else CSA for i in range(self.layer_count)]
        if len(kinds) < self.layer_count:
            raise self.config.fail("compress_ratios", f"has {len(kinds)} entries for {self.layer_count} layers.")
        for i, kind in enumerate(kinds):
            if kind not in (SLIDING, CSA, HCA):
                raise self.refuse(
                    f"compress_ratios[{i}]",
                    f"is {kind[:40]!r}, which the reference has no layer for.",
                    "Use the ratios 0, 4 and 128, or open an issue with the configuration.",
                )
        return kinds

    def compression(self, index: int) -> Compression:
        """Return how layer `index` pools; draft layers beyond the list do not."""
        kind = self.kinds[index] if index < len(self.kinds) else SLIDING
        if kind == CSA:
            return Compression(self.rates[CSA], series=2, indexed=True)
        return Compression(self.rates[HCA]) if kind == HCA else Compression()

    # -- what it caches ----------------------------------------------------------------------------------------------

    @cached_property
    def rope_dim(self) -> int:
        """The rotated part of the latent."""
        factor = self.config.number("partial_rotary_factor", default=0.125)
        width = self.config.optional_count("qk_rope_head_dim") or int(self.head_dim * factor)
        if not 0 <= width <= self.head_dim:
            raise self.config.fail("qk_rope_head_dim", f"is {width}, more than head_dim ({self.head_dim}).")
        return width

    @cached_property
    def index_dim(self) -> int:
        """Width of an index key."""
        return self.config.count("index_head_dim")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the window, the entries and what the compressor needs for the next one; the index likewise."""
        if self.kv_heads != 1:
            raise self.refuse("num_key_value_heads", f"is {self.kv_heads}, not 1.", "V4 has one latent per position.")
        if self.window is None:
            raise self.config.fail("sliding_window", "is not stated, but every layer has a window.")
        window = SlidingWindow(
            heads=1, key_dim=self.head_dim, value_dim=0, query_heads=self.heads_at(index), window=self.window
        )
        return (window, *self.compressed_caches(self.compression(index)))

    def compressed_caches(self, how: Compression) -> Iterator[LayerCache]:
        """Return the entries and the compressor's state, then the index's."""
        if not how.ratio:
            return
        yield MLA(
            latent_dim=self.head_dim - self.rope_dim,
            rope_dim=self.rope_dim,
            ratio=how.ratio,
            expanded_key_dim=self.head_dim,
        )
        yield CompressorState(dim=self.head_dim, ratio=how.ratio, series=how.series)
        if how.indexed:
            yield SparseIndex(dim=self.index_dim, ratio=how.ratio)
            yield CompressorState(dim=self.index_dim, ratio=how.ratio, series=how.series)

    # -- parameters --------------------------------------------------------------------------------------------------

    @cached_property
    def intermediate_size(self) -> int:
        """Width of an expert: there is no dense layer."""
        return self.config.count("moe_intermediate_size", "intermediate_size")

    @cached_property
    def expert_size(self) -> int:
        """Width of an expert."""
        return self.intermediate_size

    @cached_property
    def streams(self) -> int:
        """Residual streams."""
        return self.config.count("hc_mult")

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route; the first ones by a table of tokens, a buffer."""
        return True

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return queries and output through latents, the output's in groups, the shared latent and the compressors."""
        config, hidden, dim = self.config, self.hidden_size, self.head_dim
        rank, groups, heads = config.count("q_lora_rank"), config.count("o_groups"), self.heads_at(index)
        output = groups * config.count("o_lora_rank")
        yield linear("q_a_proj", rank, hidden, component="attention", split="replicated")
        yield norm("q_a_norm", rank)
        yield linear("q_b_proj", heads * dim, rank, component="attention")
        yield linear("kv_proj", dim, hidden, component="attention", split="replicated")
        yield norm("kv_norm", dim)
        yield linear("o_a_proj", output, heads * dim // groups, component="attention")
        yield linear("o_b_proj", hidden, output, component="attention", split="row")
        yield vector("sinks", heads, component="attention", split="column")
        how = self.compression(index)
        if how.ratio:
            yield from self.compressor_parts(dim, how, component="attention", prefix="compressor.")
        if how.indexed:
            index_heads = config.count("index_n_heads")
            yield from self.compressor_parts(self.index_dim, how, component="indexer", prefix="indexer.")
            yield linear(
                "indexer.q_b_proj", index_heads * self.index_dim, rank, component="indexer", split="replicated"
            )
            yield linear("indexer.weights_proj", index_heads, hidden, component="indexer", split="replicated")

    def compressor_parts(self, dim: int, how: Compression, *, component: Component, prefix: str) -> Iterator[Part]:
        """Return what pools positions: keys-and-values and their gates, a bias per position, a norm."""
        rows = how.series * dim
        yield linear(f"{prefix}kv_proj", rows, self.hidden_size, component=component, split="replicated")
        yield linear(f"{prefix}gate_proj", rows, self.hidden_size, component=component, split="replicated")
        yield vector(f"{prefix}position_bias", how.ratio, rows, component=component)
        yield norm(f"{prefix}kv_norm", dim, component=component)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return router, experts and the shared expert, which has biases where `mlp_bias` says so."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and the two mixers of the residual streams."""
        mixes = (2 + self.streams) * self.streams
        yield from super().norm_parts(index)
        yield from blocks.hyper_connection(self.hidden_size, self.streams, name="hc", outputs=mixes, scales=3, count=2)

    def head_parts(self) -> Iterator[Part]:
        """Return the head and what joins the streams before it."""
        yield from super().head_parts()
        yield from blocks.hyper_connection(
            self.hidden_size, self.streams, name="hc_head", outputs=self.streams, scales=1
        )

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: the two inputs are projected apart, and the streams joined once more.

        Source: vLLM 0.33 models/deepseek_v4/nvidia/mtp.py.
        """
        count = self.config.optional_count("num_nextn_predict_layers", minimum=0) or 0
        extra = (
            linear("e_proj", self.hidden_size, self.hidden_size, component="draft", split="replicated"),
            linear("h_proj", self.hidden_size, self.hidden_size, component="draft", split="replicated"),
            norm("norms", self.hidden_size, component="draft", count=3),
            *blocks.hyper_connection(self.hidden_size, self.streams, name="hc_head", outputs=self.streams, scales=1),
        )
        indices = range(self.layer_count, self.layer_count + count)
        return tuple(Layer(caches=self.caches(i), parts=(*self.parts(i), *extra)) for i in indices)
