"""Inkling's language model: five layers in a window, then a full one, each with short convolutions; shared sink experts."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.caches import LayerCache, RecurrentState, StateTensor
from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.listed import ListedMoe
from kvplan.weights import blocks
from kvplan.weights.parts import Part, convolution, linear, norm, vector

_OF_WORD = {"hybrid": FULL, "hybrid_sliding": SLIDING}


class InklingText(ListedMoe):
    """Inkling: keys, values and both residual branches each pass a short convolution, whose last inputs are kept."""

    model_types = ("inkling_text",)
    architectures = ("InklingForCausalLM",)
    source = "transformers 5.18 modeling_inkling.py, configuration_inkling.py __post_init__; vLLM 0.33 models/inkling"
    qk_norm = True
    qkv_bias = False
    mlp_bias = False
    expert_keys = ("n_routed_experts",)
    beside_list = ("sliding_window", "sliding_window_size", "swa_num_key_value_heads")

    # -- what each layer attends to ----------------------------------------------------------------------------------

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's words, or the layers in `local_layer_ids`, or all but every sixth slide."""
        return [_OF_WORD.get(word, word) for word in super().layer_types]

    def layer_type_rule(self, index: int) -> str:
        """As `local_layer_ids` says, else every sixth is full."""
        local = self.config.counts("local_layer_ids", minimum=0)
        sliding = index in local if local is not None else bool((index + 1) % 6)
        return SLIDING if sliding else FULL

    @cached_property
    def window(self) -> int | None:
        """The window."""
        return self.config.optional_count("sliding_window_size")

    def slides(self, index: int) -> bool:
        """Whether layer `index` has a window."""
        return self.layer_types[index] == SLIDING

    def heads_at(self, index: int) -> int:
        """Query heads."""
        return self.config.count("swa_num_attention_heads") if self.slides(index) else self.heads

    def kv_heads_at(self, index: int) -> int:
        """KV heads."""
        return self.config.count("swa_num_key_value_heads") if self.slides(index) else self.kv_heads

    def key_dim_at(self, index: int) -> int:
        """Head width."""
        return self.config.count("swa_head_dim") if self.slides(index) else self.head_dim

    def value_dim_at(self, index: int) -> int:
        """As the key's."""
        return self.key_dim_at(index)

    @cached_property
    def taps(self) -> int:
        """Inputs that a convolution sees."""
        return self.config.count("conv_kernel_size")

    def conv_widths(self, index: int) -> tuple[int, ...]:
        """Channels of the four convolutions: keys, values, after attention, after the MLP."""
        kv = self.kv_heads_at(index) * self.key_dim_at(index)
        return (kv, kv, self.hidden_size, self.hidden_size)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return keys and values, and the convolutions' last inputs in float32."""
        names = ("k_conv", "v_conv", "attn_conv", "mlp_conv")
        state = RecurrentState(
            style="short_conv",
            tensors=tuple(
                StateTensor(
                    name=name,
                    shape=(width, self.taps),
                    dtype="float32",
                    taps=True,
                    # The residual stream is whole on every rank.
                    replicated=width if name in ("attn_conv", "mlp_conv") else 0,
                )
                for name, width in zip(names, self.conv_widths(index), strict=True)
            ),
        )
        return (*super().caches(index), state)

    # -- parameters --------------------------------------------------------------------------------------------------

    @cached_property
    def intermediate_size(self) -> int:
        """Width of a dense MLP."""
        return self.config.optional_count("dense_intermediate_size") or self.config.count("intermediate_size")

    @cached_property
    def dense_layers(self) -> int:
        """Layers at the start that do not route."""
        return self.config.count("dense_mlp_idx", default=0, minimum=0)

    @cached_property
    def sinks(self) -> int:
        """Shared experts, which the router scores with the others."""
        return self.config.count("n_shared_experts", minimum=0)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections, relative positions and the convolutions."""
        config, heads = self.config, self.heads_at(index)
        width = config.count("d_rel")
        extent = self.window if self.slides(index) else config.count("rel_extent")
        yield from super().attention_parts(index)
        yield linear("r_proj", heads * width, self.hidden_size, component="attention")
        yield vector("rel_logits.proj", width, extent or 0, component="attention")
        for channels in self.conv_widths(index):
            yield convolution("sconv", channels, 1, self.taps, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return a dense MLP with its scale, or router, experts and shared experts."""
        if not self.is_moe(index):
            yield from self.dense_mlp(self.intermediate_size)
            yield vector("global_scale", 1, component="mlp")
            return
        yield from blocks.router(self.hidden_size, self.experts + self.sinks)
        yield vector("router.global_scale", 1, component="router")
        yield from blocks.experts(self.hidden_size, self.expert_size, self.experts)
        yield from blocks.gated_mlp(
            self.hidden_size, self.sinks * self.expert_size, component="shared_experts", prefix="shared_experts."
        )

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding and its norm."""
        yield from super().embedding_parts()
        yield norm("embed_norm", self.hidden_size)
