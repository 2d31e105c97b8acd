"""Kimi Linear and the language model of Kimi K3: delta attention between layers of latent attention, with experts."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from kvplan.caches import LayerCache
from kvplan.models.config import Config
from kvplan.models.decoder import FULL, LINEAR, Decoder
from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import DeltaAttention, Mixer
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm


class DeltaHybrid(Hybrid):
    """A decoder of delta attention, described in a section of its own or at the top level."""

    @cached_property
    def linear_config(self) -> Config:
        """The section on delta attention; its numbers win over the top level's."""
        return self.config.part("linear_attn_config")

    def _linear(self, key: str, fallback: str) -> int:
        otherwise = self.config.count(fallback)
        return self.linear_config.optional_count(key) or otherwise

    @cached_property
    def mixer(self) -> Mixer:
        """The delta attention."""
        return DeltaAttention(
            hidden=self.hidden_size,
            heads=self._linear("num_heads", "linear_num_heads"),
            dim=self._linear("head_dim", "linear_head_dim"),
            taps=self._linear("short_conv_kernel_size", "linear_conv_kernel_dim"),
            low_rank_gate=not self.linear_config.flag("use_full_rank_gate", default=False),
        )


class KimiLinear(DeltaHybrid, LatentMoe):
    """Kimi Linear; K3 adds gates, a narrower space for its experts and attention over earlier residuals."""

    model_types = ("kimi_linear",)
    architectures = ("KimiLinearForCausalLM",)
    source = "transformers 5.18 modeling_kimi_linear.py, configuration_kimi_linear.py; vLLM 0.33 models/kimi_k3"
    tied = False  # transformers ties nothing here, whatever the file says
    first_dense = 1
    expert_keys = ("num_local_experts",)
    per_token_keys = ("num_experts_per_tok",)  # `top_k` in these files is about sampling
    shared_keys = ("n_shared_experts",)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's list; else the section's two lists of layers counted from 1; else every fourth after the first."""
        if self.config.states("layer_types"):
            return super().layer_types
        full, delta = self.linear_config.counts("full_attn_layers"), self.linear_config.counts("kda_layers")
        if full is None or delta is None:
            return [FULL if i and i % 4 == 0 else LINEAR for i in range(self.layer_count)]
        if sorted([*full, *delta]) != list(range(1, self.layer_count + 1)):
            raise self.linear_config.fail(
                "full_attn_layers", f"and kda_layers do not name each of {self.layer_count} layers once (from 1)."
            )
        attending = frozenset(full)
        return [FULL if i + 1 in attending else LINEAR for i in range(self.layer_count)]

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state or the latents."""
        state, latent = self.mixer.cache(), self.latent(index)
        if self.layer_types[index] not in (LINEAR, FULL):
            raise self.unknown_layer_type(index)
        return (state,) if self.is_recurrent(index) else (latent,)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or latent attention and K3's gate on its output."""
        yield from super().attention_parts(index)
        if not self.is_recurrent(index) and self.config.flag("mla_use_output_gate", default=False):
            yield linear("g_proj", self.heads * self.value_dim, self.hidden_size, component="attention")

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, or the experts, in K3 behind projections to their narrower space and back."""
        latent = self.config.optional_count("routed_expert_hidden_size")
        if not latent or not self.is_moe(index):
            yield from super().mlp_parts(index)
            return
        yield from blocks.router(self.hidden_size, self.experts)
        yield from blocks.experts(latent, self.expert_size, self.experts)
        if self.shared_size:
            yield from blocks.gated_mlp(
                self.hidden_size, self.shared_size, component="shared_experts", prefix="shared_experts."
            )
        yield linear("routed_expert_down_proj", latent, self.hidden_size, component="experts", split="replicated")
        yield linear("routed_expert_up_proj", self.hidden_size, latent, component="experts", split="replicated")
        if self.config.flag("latent_moe_use_norm", default=False):
            yield norm("routed_expert_norm", latent)

    @cached_property
    def residual_blocks(self) -> int | None:
        """Layers between the residuals that K3 attends over; None: plain residuals."""
        return self.config.optional_count("attn_res_block_size")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms, and in K3 a norm and a score for each of two residuals."""
        yield from super().norm_parts(index)
        if self.residual_blocks:
            yield from self._residual(2)

    def outer(self) -> Iterator[Part]:
        """Return embeddings, final norm, head and K3's last residual."""
        yield from Decoder.outer(self)
        if self.residual_blocks:
            yield from self._residual(1)

    def _residual(self, count: int) -> Iterator[Part]:
        yield norm("attn_res_norm", self.hidden_size, count=count)
        yield linear("attn_res_proj", 1, self.hidden_size, component="other", split="replicated", count=count)
