"""Qwen 4 (experimental): gated delta nets and sparse attention, several residual streams, n-gram embeddings, a tower."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import ClassVar

from kvplan.caches import LayerCache, RecurrentState, SparseIndex, StateTensor
from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.families.deepseek_v32 import INDEXED
from kvplan.models.families.qwen3_5 import Qwen35MoeText
from kvplan.models.families.qwen3_next import GatedDeltaMoe
from kvplan.models.spec import Layer
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, convolution, embedding, linear, norm

_MOST_TABLES = 512  # n-gram tables of a model; each has a prime number of rows, which has to be searched for


def _primes_from(start: int, number: int) -> list[int]:
    """Return the first primes from `start` on."""
    found: list[int] = []
    for candidate in count(max(start, 2)):
        if len(found) == number:
            break
        if all(candidate % divisor for divisor in range(2, int(candidate**0.5) + 1)):
            found.append(candidate)
    return found


class Qwen4ExpText(GatedDeltaMoe):
    """The language model."""

    model_types = ("qwen4_exp_text",)
    architectures = ("Qwen4ExpForCausalLM",)
    source = "transformers 5.18 modeling_qwen4_exp.py, configuration_qwen4_exp.py; vLLM 0.33 models/qwen4_exp"
    draft_keys = Qwen35MoeText.draft_keys
    norms_per_layer = 0  # the residual streams have their own

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """Attention is always indexed, under any of its names."""
        return [INDEXED if word in (FULL, "qwen_sparse_attention") else word for word in super().layer_types]

    # -- sparse attention --------------------------------------------------------------------------------------------

    @cached_property
    def index_dim(self) -> int:
        """Width of an index key."""
        return self.config.count("indexer_head_dim")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state (and the n-gram layer's), or keys and values, index keys and the unfinished group's raw keys.

        Source of the last two: vLLM 0.33 models/qwen4_exp/common/qsa_cache.py.
        """
        state = self.mixer.cache()
        if self.layer_types[index] == LINEAR:
            return (state, self.ngram_state) if index + 1 in self.ngram_layers else (state,)
        if self.layer_types[index] != INDEXED:
            raise self.unknown_layer_type(index)
        ratio = self.config.count("indexer_compress_ratio")
        group = StateTensor(name="raw_keys", shape=(ratio, self.index_dim), replicated=ratio)
        return (
            self.full_attention(index),
            SparseIndex(dim=self.index_dim, heads=self.config.count("indexer_kv_heads"), ratio=ratio),
            RecurrentState(style="qsa_group", tensors=(group,)),
        )

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or gated attention and its indexer."""
        yield from super().attention_parts(index)
        if not self.is_recurrent(index):
            heads = self.config.count("indexer_n_heads") + self.config.count("indexer_kv_heads")
            width = heads * self.index_dim
            yield linear("indexer.index_qk_proj", width, self.hidden_size, component="indexer", split="replicated")
            yield norm("indexer.q_layernorm", self.index_dim, component="indexer")
            yield norm("indexer.k_layernorm", self.index_dim, component="indexer")

    # -- residual streams --------------------------------------------------------------------------------------------

    @cached_property
    def streams(self) -> int:
        """Residual streams."""
        return self.config.count("hc_count")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the gates of the residual streams around attention and experts, and the n-gram layer."""
        yield from self._gated_residual(inject=True, times=2)
        if index + 1 in self.ngram_layers:
            yield from self._ngram_parts(self.ngram_layers.index(index + 1))

    def _gated_residual(self, *, inject: bool, times: int) -> Iterator[Part]:
        wide, rank = self.streams * self.hidden_size, self.config.count("hc_lowrank")
        yield norm("hc_norm", wide, count=times)
        yield linear("input_mix_weight_down", rank, wide, component="other", split="replicated", count=times)
        yield linear("input_mix_weight_up", wide, rank, component="other", split="replicated", count=times)
        if inject:
            yield linear("block_inject_weight", self.streams, wide, component="other", split="replicated", count=times)

    def outer(self) -> Iterator[Part]:
        """Return embeddings, the last mixer of the streams and the head."""
        yield from self.embedding_parts()
        yield from self._gated_residual(inject=False, times=1)
        yield from self.head_parts()

    # -- n-gram embeddings -------------------------------------------------------------------------------------------

    @cached_property
    def ngram_layers(self) -> Sequence[int]:
        """Layers, counted from 1, that add hashed n-gram embeddings; only recurrent ones do."""
        stated = sorted(set(self.config.counts("ple_layer_ids") or ()))
        for layer in stated:
            if layer > self.layer_count or self.layer_types[layer - 1] != LINEAR:
                raise self.config.fail("ple_layer_ids", f"names layer {layer}, which is not a recurrent layer.")
        return stated

    @cached_property
    def ngram_size(self) -> int:
        """Longest n-gram."""
        return self.config.count("ngram_size", minimum=2)

    @cached_property
    def ngram_state(self) -> RecurrentState:
        """What the n-gram layer keeps: the inputs of its dilated convolution."""
        past = (self.config.count("ple_conv_kernel_size", minimum=2) - 1) * self.ngram_size
        wide = self.streams * self.hidden_size
        conv = StateTensor(name="conv", shape=(wide, past), replicated=wide)
        return RecurrentState(style="short_conv", tensors=(conv,))

    @cached_property
    def _tables(self) -> list[int]:
        per_layer = (self.ngram_size - 1) * self.config.count("heads_per_ngram")
        if (number := per_layer * len(self.ngram_layers)) > _MOST_TABLES:
            raise self.config.fail(
                "heads_per_ngram", f"makes {number:,} n-gram tables; at most {_MOST_TABLES:,} are believed."
            )
        return _primes_from(self.config.count("ngram_vocab_size_base"), number)

    def _ngram_parts(self, which: int) -> Iterator[Part]:
        """Return the n-gram layer: tables of a prime number of rows each, projections, norms and a convolution."""
        config = self.config
        heads = (self.ngram_size - 1) * config.count("heads_per_ngram")
        width = config.optional_count("ple_embed_dim") or self.hidden_size
        if width % heads:
            raise config.fail("ple_embed_dim", f"is {width}, which {heads} tables do not divide.")
        divisor = config.count("make_ngram_vocab_size_divisible_by")
        rows = sum(self._tables[which * heads : (which + 1) * heads])
        wide = self.streams * self.hidden_size
        yield embedding("ple.ngram_embedding", -(-rows // divisor) * divisor, width // heads)
        yield linear("ple.key_proj", wide, width, component="other", split="replicated")
        yield linear("ple.value_proj", self.hidden_size, width, component="other", split="replicated")
        yield norm("ple.norms", wide, count=3)
        yield convolution("ple.conv1d", wide, 1, config.count("ple_conv_kernel_size"), component="other")

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return nothing: no rule for its next-token layers yet."""
        return ()


class Qwen4Exp(Composed):
    """The language model with its tower."""

    model_types = ("qwen4_exp",)
    architectures = ("Qwen4ExpForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen4_exp.py, configuration_qwen4_exp.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "qwen4_exp_vision", "text_config": "qwen4_exp_text"}
