"""Bamba, Granite 4 and Falcon-H1: Mamba-2 layers with attention between or beside them, described by the same keys."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache
from kvplan.models.decoder import FULL, LINEAR, Decoder, MoeDecoder
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import Mamba2, Mixer, count_or_auto
from kvplan.weights import blocks
from kvplan.weights.parts import Part


class BambaHybrid(Hybrid):
    """What the three share: a Mamba-2 mixer under the `mamba_` keys."""

    gated_norm: bool = True

    @cached_property
    def inner(self) -> int:
        """Width of the mixer: expand x hidden size."""
        return self.config.count("mamba_expand") * self.hidden_size

    @cached_property
    def mixer_output_bias(self) -> bool:
        """A bias on out_proj: as on in_proj."""
        return self.config.flag("mamba_proj_bias")

    @cached_property
    def mixer(self) -> Mixer:
        """The Mamba-2 mixer; the heads must add up to its width."""
        config = self.config
        heads = config.count("mamba_n_heads")
        head_dim = count_or_auto(config, "mamba_d_head", self.inner // heads)
        if heads * head_dim != self.inner:
            raise config.fail("mamba_n_heads", f"x mamba_d_head is {heads * head_dim}, not {self.inner} (the mixer).")
        return Mamba2(
            hidden=self.hidden_size,
            heads=heads,
            head_dim=head_dim,
            state=config.count("mamba_d_state"),
            groups=config.count("mamba_n_groups"),
            taps=config.count("mamba_d_conv"),
            bias=config.flag("mamba_proj_bias"),
            output_bias=self.mixer_output_bias,
            conv_bias=config.flag("mamba_conv_bias"),
            gated_norm=self.gated_norm,
        )


class Bamba(BambaHybrid):
    """Bamba: attention where `attn_layer_indices` says."""

    model_types = ("bamba",)
    architectures = ("BambaForCausalLM",)
    source = "transformers 5.18 modeling_bamba.py, configuration_bamba.py (layers_block_type)"

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The class computes the list from the indices, so a list in the file has no say."""
        attention = frozenset(self.config.counts("attn_layer_indices", minimum=0) or ())
        return [FULL if i in attention else LINEAR for i in range(self.layer_count)]


class FalconH1(BambaHybrid):
    """Falcon-H1: attention and a Mamba-2 mixer side by side in every layer."""

    model_types = ("falcon_h1",)
    architectures = ("FalconH1ForCausalLM",)
    source = "transformers 5.18 modeling_falcon_h1.py, configuration_falcon_h1.py"
    ignored: ClassVar[dict[str, str]] = {
        "attn_layer_indices": "modeling_falcon_h1.py: every layer has attention, the key is not read"
    }

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """All layers are hybrid."""
        return [FULL] * self.layer_count

    @cached_property
    def inner(self) -> int:
        """Width of the mixer: stated, or expand x hidden size where `mamba_d_ssm` is null."""
        expand = self.config.count("mamba_expand")
        return self.config.optional_count("mamba_d_ssm") or expand * self.hidden_size

    @cached_property
    def mixer_output_bias(self) -> bool:
        """A bias on out_proj: a key of its own."""
        return self.config.flag("projectors_bias")

    @cached_property
    def gated_norm(self) -> bool:
        """Whether there is a norm before out_proj."""
        return self.config.flag("mamba_rms_norm")

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return keys and values, and the state."""
        return (self.full_attention(index), self.mixer.cache())

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return attention's projections and the mixer."""
        yield from Decoder.attention_parts(self, index)
        yield from self.mixer.parts()


class GraniteMoeHybrid(BambaHybrid, MoeDecoder):
    """Granite 4: `layer_types` lists mamba and attention; routed experts beside a shared MLP, or that MLP alone."""

    model_types = ("granitemoehybrid",)
    architectures = ("GraniteMoeHybridForCausalLM",)
    source = "transformers 5.18 modeling_granitemoehybrid.py, configuration_granitemoehybrid.py __post_init__"
    expert_keys = ("num_local_experts",)
    per_token_keys = ("num_experts_per_tok",)

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """All recurrent where the file has no list."""
        return LINEAR

    @cached_property
    def experts(self) -> int:
        """Routed experts; 0: a dense model."""
        return self.config.count(*self.expert_keys, minimum=0)

    @cached_property
    def shared_size(self) -> int:
        """Width of the MLP that every token takes."""
        return self.config.count("shared_intermediate_size")

    def is_moe(self, index: int) -> bool:  # noqa: ARG002
        """All layers route, or none."""
        return self.experts > 0

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return experts and the shared MLP, or the shared MLP alone."""
        if self.is_moe(index):
            yield from super().mlp_parts(index)
        else:
            yield from blocks.gated_mlp(self.hidden_size, self.shared_size)
