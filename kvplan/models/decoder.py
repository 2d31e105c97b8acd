"""The general reader: a decoder of attention and MLP layers, as most published models are.

Families override what differs: a class attribute for a flag, a small method for a rule. The questions, in the order a
reader of the file asks them: how wide and how deep, what each layer attends to, what it caches, which parameters it has.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import ChunkedLocal, FullAttention, LayerCache, SlidingWindow
from kvplan.errors import UnsupportedArchitectureError
from kvplan.models.family import Family
from kvplan.models.spec import Layer, Moe
from kvplan.weights import blocks
from kvplan.weights.parts import Part, embedding, linear, norm

# transformers' own words for what a layer does (configuration_utils.py ALLOWED_LAYER_TYPES, 5.18), and older spellings.
FULL, SLIDING, CHUNKED, LINEAR = "full_attention", "sliding_attention", "chunked_attention", "linear_attention"
_SPELLINGS = {"attention": FULL, "full": FULL, "global": FULL, "local": SLIDING, "sliding": SLIDING}


class Decoder(Family):
    """A decoder-only model: embeddings, layers of attention + MLP between norms, final norm, head.

    Class attributes are the flags that families flip; where a flag is a configuration key, a property reads it.
    """

    one_level: ClassVar[bool] = True
    gated_mlp: bool = True
    norm_bias: bool = False  # LayerNorm has one, RMSNorm has not
    norms_per_layer: ClassVar[int] = 2
    qk_norm: bool = False  # one norm of head_dim for Q, one for K (Qwen 3)
    head_bias: bool = False
    # Whether `sliding_window` in the file windows the layers; where False a file that states one is refused.
    windowed: ClassVar[bool] = False

    @property
    def qkv_bias(self) -> bool:
        """Biases on Q, K and V: `attention_bias` where the type has the key."""
        return self.config.declares("attention_bias") and self.config.flag("attention_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """A bias on O: as `qkv_bias`."""
        return self.qkv_bias

    @property
    def mlp_bias(self) -> bool:
        """Biases in the MLP: `mlp_bias` where the type has the key."""
        return self.config.declares("mlp_bias") and self.config.flag("mlp_bias", default=False)

    # -- how wide and how deep ---------------------------------------------------------------------------------------

    @cached_property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.config.count("hidden_size")

    @cached_property
    def vocab_size(self) -> int:
        """Rows of the embedding."""
        return self.config.count("vocab_size")

    @cached_property
    def layer_count(self) -> int:
        """Decoder layers, draft layers not among them."""
        return self.config.count("num_hidden_layers")

    @cached_property
    def heads(self) -> int:
        """Query heads."""
        return self.config.count("num_attention_heads")

    @cached_property
    def kv_heads(self) -> int:
        """KV heads; null or absent means one per query head (MHA)."""
        heads = self.config.optional_count("num_key_value_heads") or self.heads
        if self.heads % heads:
            problem = f"is {heads}, which does not divide num_attention_heads ({self.heads})."
            raise self.config.fail("num_key_value_heads", problem)
        return heads

    @cached_property
    def head_dim(self) -> int:
        """Width of a head: stated (0 and null mean not), else hidden size / heads."""
        return self.config.optional_count("head_dim", minimum=0) or self._derived_head_dim()

    def _derived_head_dim(self) -> int:
        if self.hidden_size < self.heads:
            raise self.config.fail(
                "num_attention_heads", f"is {self.heads}, more than hidden_size ({self.hidden_size})."
            )
        return self.hidden_size // self.heads

    @cached_property
    def value_dim(self) -> int:
        """Width of a value head."""
        return self.head_dim

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the MLP."""
        return self.config.count("intermediate_size")

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The longest sequence the file allows, stretched where its rotary scaling stretches it."""
        longest = self.config.optional_count(
            "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", minimum=0
        )
        return longest and int(longest * self._rope_factor)

    @property
    def _rope_factor(self) -> float:
        """What the positions are multiplied by (vLLM 0.33 config/model.py _get_and_verify_max_len).

        Scaling by YaRN, LongRoPE and Llama 3 is in `max_position_embeddings` already, as is all of Gemma 3's.
        """
        if "gemma3" in self.config.model_type:
            return 1.0
        stated = self.config.raw("rope_scaling") or self.config.raw("rope_parameters")
        if not isinstance(stated, dict):
            return 1.0
        # One set of parameters, or one for each type of layer.
        sets = [stated, *(value for value in stated.values() if isinstance(value, dict))]
        for rope in sets:
            kind, factor = rope.get("rope_type") or rope.get("type"), rope.get("factor")
            if kind not in ("linear", "dynamic") or isinstance(factor, bool) or not isinstance(factor, int | float):
                continue
            if 1 <= factor <= 1024:
                return float(factor)
        return 1.0

    @cached_property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return self.config.flag("tie_word_embeddings", default=False)

    # -- what each layer attends to ----------------------------------------------------------------------------------

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """One of transformers' words per layer: stated by the file, else by the family's rule."""
        stated = self.config.items("layer_types")
        if not stated:
            return [self.layer_type_rule(i) for i in range(self.layer_count)]
        # Longer lists are padded with draft layers (Step 3.5: layers + nextn).
        if len(stated) < self.layer_count or not all(isinstance(word, str) for word in stated):
            raise self.config.fail(
                "layer_types", f"has {len(stated)} words for {self.layer_count} layers; one each was expected."
            )
        # The list says what these would: a window's rule is not asked where each layer's type is stated.
        self.config.overrule("use_sliding_window", "sliding_window_pattern", "max_window_layers")
        if SLIDING not in stated:
            self.config.overrule("sliding_window")
        return [_SPELLINGS.get(word, word) for word in stated[: self.layer_count]]

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """Return what layer `index` (from 0) does where the file has no list: all slide, or all are full."""
        return SLIDING if self.windowed and self.window else FULL

    @cached_property
    def window(self) -> int | None:
        """Positions of the sliding window; null, 0 and -1 mean none."""
        window = self.config.optional_count("sliding_window", minimum=-1)
        return window if window and window > 0 else None

    # -- what it caches ----------------------------------------------------------------------------------------------

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return what layer `index` keeps.

        Raises:
            UnsupportedArchitectureError: a layer type without a rule here.

        """
        kind = self.layer_types[index]
        if kind == FULL:
            return (self.full_attention(index),)
        if kind == SLIDING:
            return (self.sliding_window(index),)
        if kind == CHUNKED:
            return (self.chunked_local(index),)
        raise self.unknown_layer_type(index)

    def unknown_layer_type(self, index: int) -> UnsupportedArchitectureError:
        """Return the refusal of a layer type that the family has no rule for."""
        return self.refuse(
            f"layer_types[{index}]",
            f"is {self.layer_types[index]!r}, which the family {type(self).__name__} has no rule for.",
            "Use a type the family knows, or open an issue with the configuration.",
        )

    def heads_at(self, index: int) -> int:  # noqa: ARG002
        """Query heads of layer `index`."""
        return self.heads

    def kv_heads_at(self, index: int) -> int:  # noqa: ARG002
        """KV heads of layer `index`."""
        return self.kv_heads

    def key_dim_at(self, index: int) -> int:  # noqa: ARG002
        """Key width of layer `index`."""
        return self.head_dim

    def value_dim_at(self, index: int) -> int:  # noqa: ARG002
        """Value width of layer `index`."""
        return self.value_dim

    def full_attention(self, index: int) -> FullAttention:
        """Return the cache of a full-attention layer."""
        return FullAttention(
            heads=self.kv_heads_at(index),
            key_dim=self.key_dim_at(index),
            value_dim=self.value_dim_at(index),
            query_heads=self.heads_at(index),
        )

    def sliding_window(self, index: int) -> FullAttention:
        """Return the cache of a sliding-window layer; full where the window is switched off.

        Raises:
            ConfigError: the file has sliding layers but no window.

        """
        if self.window is None:
            raise self.config.fail("sliding_window", f"is not stated, but layer {index} is a sliding-window layer.")
        return SlidingWindow(
            heads=self.kv_heads_at(index),
            key_dim=self.key_dim_at(index),
            value_dim=self.value_dim_at(index),
            query_heads=self.heads_at(index),
            window=self.window,
        )

    def chunked_local(self, index: int) -> ChunkedLocal:
        """Return the cache of a chunked-attention layer."""
        return ChunkedLocal(
            heads=self.kv_heads_at(index),
            key_dim=self.key_dim_at(index),
            value_dim=self.value_dim_at(index),
            query_heads=self.heads_at(index),
            chunk=self.config.count("attention_chunk_size"),
        )

    # -- which parameters it has -------------------------------------------------------------------------------------

    def layers(self) -> tuple[Layer, ...]:
        """Return the decoder's layers."""
        return tuple(Layer(caches=self.caches(i), parts=tuple(self.parts(i))) for i in range(self.layer_count))

    def parts(self, index: int) -> Iterator[Part]:
        """Return the parameters of layer `index`."""
        yield from self.attention_parts(index)
        yield from self.mlp_parts(index)
        yield from self.norm_parts(index)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections of layer `index` (and its Q/K norms)."""
        yield from blocks.attention(
            self.hidden_size,
            heads=self.heads_at(index),
            kv_heads=self.kv_heads_at(index),
            key_dim=self.key_dim_at(index),
            value_dim=self.value_dim_at(index),
            qkv_bias=self.qkv_bias,
            output_bias=self.output_bias,
        )
        if self.qk_norm:
            yield norm("q_norm", self.key_dim_at(index))
            yield norm("k_norm", self.key_dim_at(index))

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the MLP (or the experts) of layer `index`."""
        yield from self.dense_mlp(self.intermediate_size)

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return one MLP of this family's form."""
        form = blocks.gated_mlp if self.gated_mlp else blocks.plain_mlp
        return form(self.hidden_size, width, bias=self.mlp_bias)

    def norm_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the norms of layer `index`."""
        yield norm("layer_norms", self.hidden_size, bias=self.norm_bias, count=self.norms_per_layer)

    def outer(self) -> Iterator[Part]:
        """Return embeddings, final norm and head."""
        yield from self.embedding_parts()
        yield norm("norm", self.hidden_size, bias=self.norm_bias)
        yield from self.head_parts()

    def embedding_parts(self) -> Iterator[Part]:
        """Return the token embedding (and whatever stands beside it)."""
        yield embedding("embed_tokens", self.vocab_size, self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return the head, nothing where it is tied."""
        if not self.tied:
            yield linear(
                "lm_head", self.vocab_size, self.hidden_size, bias=self.head_bias, component="head", split="vocabulary"
            )


class MoeDecoder(Decoder):
    """A decoder whose MLP is a router over experts in some or all layers."""

    shared_expert_gate: ClassVar[bool] = False  # a D x 1 gate on the shared expert (Qwen 2 MoE)
    router_bias: bool = False
    router_correction: ClassVar[bool] = False  # a per-expert bias that is a parameter, not a buffer
    expert_bias: bool = False
    expert_keys: ClassVar[tuple[str, ...]] = ("num_experts", "num_local_experts", "n_routed_experts")
    per_token_keys: ClassVar[tuple[str, ...]] = ("num_experts_per_tok",)

    @cached_property
    def experts(self) -> int:
        """Routed experts of a layer."""
        return self.config.count(*self.expert_keys)

    @cached_property
    def experts_per_token(self) -> int:
        """Routed experts that a token goes through; 0 where the file does not say: no size depends on it."""
        return self.config.optional_count(*self.per_token_keys) or 0

    @cached_property
    def expert_size(self) -> int:
        """Width of one expert."""
        return self.config.optional_count("moe_intermediate_size") or self.intermediate_size

    @cached_property
    def shared_size(self) -> int:
        """Width of all shared experts together; 0: none."""
        return 0

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """Whether layer `index` routes."""
        return True

    @cached_property
    def moe(self) -> Moe | None:
        """The experts, for reports and expert parallelism; None where no layer routes."""
        if not any(self.is_moe(i) for i in range(self.layer_count)):
            return None
        return Moe(
            experts=self.experts,
            experts_per_token=self.experts_per_token,
            shared_experts=int(self.shared_size > 0),
            intermediate_size=self.expert_size,
        )

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return router, experts and shared experts, or a dense MLP."""
        if not self.is_moe(index):
            yield from self.dense_mlp(self.intermediate_size)
            return
        yield from blocks.router(
            self.hidden_size, self.experts, bias=self.router_bias, correction=self.router_correction
        )
        yield from blocks.experts(
            self.hidden_size, self.expert_size, self.experts, gated=self.gated_mlp, bias=self.expert_bias
        )
        if self.shared_size:
            yield from blocks.gated_mlp(
                self.hidden_size, self.shared_size, component="shared_experts", prefix="shared_experts."
            )
        if self.shared_expert_gate:
            yield linear("shared_expert_gate", 1, self.hidden_size, component="shared_experts", split="replicated")
