"""Zaya: attention over compressed, convolved queries and keys, with half of each value from the token before; experts."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.caches import LayerCache, RecurrentState, StateTensor
from kvplan.models.decoder import MoeDecoder
from kvplan.weights import blocks
from kvplan.weights.parts import Part, convolution, linear, norm, vector

HYBRID, HYBRID_SLIDING = "hybrid", "hybrid_sliding"


class Zaya(MoeDecoder):
    """Zaya 1."""

    model_types = ("zaya",)
    architectures = ("ZayaForCausalLM",)
    source = "transformers 5.18 modeling_zaya.py, configuration_zaya.py __post_init__"
    expert_keys = ("num_experts",)
    per_token_keys = ("num_experts_per_tok",)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's list; all hybrid without one."""
        self.config.read.add("sliding_window")  # the list decides which layers slide
        return super().layer_types

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """All hybrid."""
        return HYBRID

    @cached_property
    def kv_width(self) -> int:
        """Width of all keys, and of all values."""
        return self.kv_heads * self.head_dim

    @cached_property
    def convolved(self) -> int:
        """Channels of the convolutions: queries and keys."""
        return self.heads * self.head_dim + self.kv_width

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return keys and values, the inputs that the two convolutions still need and the delayed half of the values."""
        kind = self.layer_types[index]
        if kind not in (HYBRID, HYBRID_SLIDING):
            raise self.unknown_layer_type(index)
        past = self.config.count("cca_time0") + self.config.count("cca_time1") - 2
        state = RecurrentState(
            style="cca",
            tensors=(
                StateTensor(name="conv", shape=(self.convolved, past)),
                StateTensor(name="value", shape=(self.kv_width // 2,)),
            ),
        )
        return (self.sliding_window(index) if kind == HYBRID_SLIDING else self.full_attention(index), state)

    def attention_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the projections, the two convolutions and the keys' temperatures."""
        hidden, bias, half = self.hidden_size, self.qkv_bias, self.kv_width // 2
        yield linear("q_proj", self.heads * self.head_dim, hidden, bias=bias, component="attention")
        yield linear("k_proj", self.kv_width, hidden, bias=bias, component="attention")
        yield linear("v_proj_current", half, hidden, bias=bias, component="attention")
        yield linear("v_proj_delayed", half, hidden, bias=bias, component="attention")
        yield linear("o_proj", hidden, self.heads * self.head_dim, bias=bias, component="attention", split="row")
        for name, width, key in (("depthwise", 1, "cca_time0"), ("grouped", self.head_dim, "cca_time1")):
            taps = self.config.count(key)
            yield convolution(f"conv_qk_{name}", self.convolved, width, taps, bias=True, component="attention")
        yield vector("qk_norm.temp", self.kv_heads, component="attention", split="column")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the router, an MLP that also sees the router of the layer before, and the experts; one class is none."""
        rank = self.config.count("router_hidden_size")
        yield linear("router.down_proj", rank, self.hidden_size, bias=True, component="router", split="replicated")
        if index:
            yield vector("router.router_states_scale", rank, component="router")
        yield norm("router.norm", rank, component="router")
        yield linear("router.fc1", rank, rank, bias=True, component="router", split="replicated")
        yield linear("router.fc2", rank, rank, bias=True, component="router", split="replicated")
        yield linear("router.out_proj", self.experts + 1, rank, component="router", split="replicated")
        yield from blocks.experts(self.hidden_size, self.expert_size, self.experts)

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and two scalings of residual and output, each with a shift."""
        yield from super().norm_parts(index)
        yield norm("residual_scale", self.hidden_size, bias=True, count=4)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and the scaling of what enters the first layer."""
        yield from super().embedding_parts()
        yield norm("input_hidden_states_scale", self.hidden_size, bias=True)

    @cached_property
    def head_bias(self) -> bool:
        """A bias on the head."""
        return self.config.flag("lm_head_bias")

    def head_parts(self) -> Iterator[Part]:
        """Return the head; a tied one keeps its bias."""
        yield from super().head_parts()
        if self.tied and self.head_bias:
            yield vector("lm_head.bias", self.vocab_size, component="head")
