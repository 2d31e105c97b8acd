"""Zamba and Zamba 2: Mamba layers, some of which first pass through one of a few shared transformer blocks."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import LINEAR
from kvplan.models.hybrid import Recurrent
from kvplan.models.mixers import Mamba1, Mamba2, Mixer, count_or_auto
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm

HYBRID = "hybrid"
_ZAMBA2_HYBRID = frozenset((6, 12, 18, 24, 30, 36, 42, 47, 51))  # of 54


class Zamba(Recurrent):
    """Zamba: one shared block; its attention sees the hidden state beside the embedding, twice the width."""

    model_types = ("zamba",)
    architectures = ("ZambaForCausalLM",)
    source = "transformers 5.18 modeling_zamba.py, configuration_zamba.py __post_init__"
    ignored: ClassVar[dict[str, str]] = dict.fromkeys(
        ("attn_layer_offset", "attn_layer_period"), "configuration_zamba.py __post_init__: no say beside a list"
    )

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The longest sequence: there is attention."""
        return self.config.optional_count("max_position_embeddings")

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba mixer; its heads do not change the count."""
        config = self.config
        inner, heads = config.count("mamba_expand") * self.hidden_size, config.count("n_mamba_heads")
        if inner % heads:
            raise config.fail("n_mamba_heads", f"is {heads}, which does not divide {inner} channels.")
        return Mamba1(
            hidden=self.hidden_size,
            inner=inner,
            state=config.count("mamba_d_state"),
            taps=config.count("mamba_d_conv"),
            rank=count_or_auto(config, "mamba_dt_rank", -(-self.hidden_size // 16)),
            bias=config.flag("mamba_proj_bias"),
            conv_bias=config.flag("mamba_conv_bias"),
        )

    def layer_type_rule(self, index: int) -> str:
        """Layer 2, then every `attn_layer_period` layers counted from layer 3."""
        period, offset = self.config.count("attn_layer_period"), self.config.count("attn_layer_offset", minimum=0)
        hybrid = index == 2 or (index > 2 and (index - 3) % period == offset)
        return HYBRID if hybrid else LINEAR

    @cached_property
    def hybrids(self) -> int:
        """Layers that pass through a shared block."""
        return list(self.layer_types).count(HYBRID)

    @cached_property
    def blocks(self) -> int:
        """Shared blocks with parameters of their own; a file that ties nothing has one per hybrid layer."""
        return min(self.hybrids, 1) if self.tied else self.hybrids

    @cached_property
    def source_size(self) -> int:
        """Width that attention reads: hidden state and embedding."""
        return self.config.optional_count("attention_hidden_size") or 2 * self.hidden_size

    @cached_property
    def head_dim(self) -> int:
        """Width of a head."""
        stated = self.config.optional_count("attention_head_dim", "head_dim")
        return stated or max(1, 2 * self.hidden_size // self.heads)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state, and keys and values where the layer is hybrid."""
        if self.layer_types[index] not in (LINEAR, HYBRID):
            raise self.unknown_layer_type(index)
        state = (self.mixer.cache(),)
        return state if self.is_recurrent(index) else (*state, self.full_attention(index))

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, and in hybrid layers the projection of the shared block's output."""
        yield from self.mixer.parts()
        if not self.is_recurrent(index):
            yield linear("linear", self.hidden_size, self.hidden_size, component="mixer", split="replicated")

    def outer(self) -> Iterator[Part]:
        """Return embeddings, final norm, head and the shared blocks."""
        yield from super().outer()
        for _ in range(self.blocks):
            yield from self.shared_block()
        yield from self.adapters()

    def shared_block(self) -> Iterator[Part]:
        """Return one shared block."""
        heads, kv_heads = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield linear("q_proj", heads, self.source_size, component="attention")
        yield linear("k_proj", kv_heads, self.source_size, component="attention")
        yield linear("v_proj", kv_heads, self.source_size, component="attention")
        yield linear("o_proj", self.hidden_size, heads, component="attention", split="row")
        yield from blocks.gated_mlp(self.hidden_size, self.intermediate_size, bias=self.mlp_bias)
        yield norm("input_layernorm", self.source_size)
        yield norm("pre_ff_layernorm", self.hidden_size)

    def adapters(self) -> Iterator[Part]:
        """Return what the hybrid layers add to their shared block: nothing."""
        return iter(())


class Zamba2(Zamba):
    """Zamba 2: Mamba-2 mixers, several shared blocks in turn, and a low-rank adapter per hybrid layer."""

    model_types = ("zamba2",)
    architectures = ("Zamba2ForCausalLM",)
    source = "transformers 5.18 modeling_zamba2.py, configuration_zamba2.py __post_init__"

    @cached_property
    def mlp_bias(self) -> bool:
        """Biases in the shared MLP."""
        return self.config.flag("add_bias_linear")

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba-2 mixer; the convolution always has a bias, whatever `use_conv_bias` says."""
        config = self.config
        inner, heads = config.count("mamba_expand") * self.hidden_size, config.count("n_mamba_heads")
        head_dim = config.optional_count("mamba_headdim") or max(1, inner // heads)
        if heads * head_dim != inner:
            raise config.fail("n_mamba_heads", f"x mamba_headdim is {heads * head_dim}, not {inner} (the mixer).")
        return Mamba2(
            hidden=self.hidden_size,
            heads=heads,
            head_dim=head_dim,
            state=config.count("mamba_d_state"),
            groups=config.count("mamba_ngroups"),
            taps=config.count("mamba_d_conv"),
            bias=config.flag("add_bias_linear"),
            conv_bias=True,
        )

    def layer_type_rule(self, index: int) -> str:
        """As the class lists 54 layers; the list does not follow the number of layers."""
        if self.layer_count != 54:
            raise self.config.fail(
                "layers_block_type", f"is not stated; its default is for 54 layers, not {self.layer_count}."
            )
        return HYBRID if index in _ZAMBA2_HYBRID else LINEAR

    @cached_property
    def intermediate_size(self) -> int:
        """Width of the shared MLP: 4 x hidden size where not stated."""
        return self.config.optional_count("intermediate_size") or 4 * self.hidden_size

    @cached_property
    def max_context_tokens(self) -> int | None:
        """The longest sequence; 16,384 for the long-context switch."""
        stated = self.config.optional_count("max_position_embeddings")
        return 16_384 if self.config.flag("use_long_context", default=False) else stated

    @cached_property
    def blocks(self) -> int:
        """`num_mem_blocks` shared blocks, at most one per hybrid layer."""
        shared = self.config.count("num_mem_blocks")
        return min(self.hybrids, shared) if self.tied else self.hybrids

    def adapters(self) -> Iterator[Part]:
        """Return the adapters; where blocks are not tied, each copy has its block's whole set."""
        rank, hidden, source = self.config.count("adapter_rank"), self.hidden_size, self.source_size
        shared = self.config.count("num_mem_blocks")
        per_block = [len(range(block % shared, self.hybrids, shared)) for block in range(self.blocks)]
        count = sum(per_block)
        if not count:
            return
        yield linear("gate_up_proj_adapter.0", rank, hidden, component="mlp", count=count)
        yield linear("gate_up_proj_adapter.1", 2 * self.intermediate_size, rank, component="mlp", count=count)
        if self.config.flag("use_shared_attention_adapter"):
            yield linear("linear_qkv_adapter.0", rank, source, component="attention", count=3 * count)
            yield linear("linear_qkv_adapter.1", source, rank, component="attention", count=3 * count)
