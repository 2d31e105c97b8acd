"""Ling and Ring 2.5 to 3: lightning attention (2.5) or Kimi's delta attention (3) between layers of latent attention."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache, RecurrentState
from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.families.deepseek_v3 import LatentMoe
from kvplan.models.families.qwen3_vl import Qwen3VLVision
from kvplan.models.hybrid import Hybrid
from kvplan.models.mixers import DeltaAttention, Mixer, lightning_state
from kvplan.models.towers import Composed
from kvplan.weights.parts import Part, embedding, linear, norm

LING_2, LING_3 = "BailingMoeV2_5ForCausalLM", "BailingMoeV3ForCausalLM"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedLightning:
    """Lightning attention with a gate on the output and a norm in groups."""

    hidden: int
    heads: int
    dim: int
    qkv_bias: bool
    bias: bool
    qk_norm: bool

    def cache(self) -> RecurrentState:
        """Return the state."""
        return lightning_state(self.heads, self.dim)

    def parts(self) -> Iterator[Part]:
        """Return the projections, the gate and the norms."""
        inner = self.heads * self.dim
        yield linear("query_key_value", 3 * inner, self.hidden, bias=self.qkv_bias, component="mixer")
        yield linear("g_proj", inner, self.hidden, component="mixer")
        yield norm("g_norm", inner, component="mixer")
        yield linear("dense", self.hidden, inner, bias=self.bias, component="mixer", split="row")
        if self.qk_norm:
            yield norm("qk_layernorm", self.dim, component="mixer", count=2)


class BailingHybrid(Hybrid, LatentMoe):
    """Ling 2.5, 2.6, 3.0 and Ring 2.5, 2.6; the class named by `architectures` says which."""

    model_types = ("bailing_hybrid",)
    architectures = (LING_2, LING_3)
    source = (
        "vLLM 0.33 models/bailing_moe_linear.py, models/bailing_moe_v3.py, layers/mamba/linear/bailing_linear_attn.py"
    )
    qkv_bias = False
    expert_keys = ("num_experts",)
    per_token_keys = ("num_experts_per_tok",)
    shared_keys = ("num_shared_experts",)

    @cached_property
    def generation(self) -> str:
        """The class that the file names.

        Raises:
            UnsupportedArchitectureError: neither of the two known.

        """
        names = self.config.items("architectures") or []
        known = [name for name in names if name in (LING_2, LING_3)]
        if len(known) != 1:
            raise self.refuse("architectures", f"is {str(names)[:60]}.", f"Known are {LING_2} and {LING_3}.")
        return str(known[0])

    @cached_property
    def linear_dim(self) -> int:
        """Width of a head of the recurrent layers: `head_dim`, else hidden size / heads."""
        return self.config.optional_count("head_dim") or self._derived_head_dim()

    @cached_property
    def mixer(self) -> Mixer:
        """The recurrent mixer."""
        config = self.config
        if self.generation == LING_3:
            if not config.flag("no_kda_lora", default=False):
                raise self.refuse("no_kda_lora", "is not true.", "Known are full-rank gates.")
            return DeltaAttention(
                hidden=self.hidden_size,
                heads=self.heads,
                dim=self.linear_dim,
                taps=config.count("short_conv_kernel_size"),
                low_rank_forget=False,
                low_rank_gate=False,
            )
        return GroupedLightning(
            hidden=self.hidden_size,
            heads=self.heads,
            dim=self.linear_dim,
            qkv_bias=config.flag("use_bias", default=False) or config.flag("use_qkv_bias", default=False),
            bias=config.flag("use_bias", default=False),
            qk_norm=config.flag("use_qk_norm", default=False),
        )

    @cached_property
    def group(self) -> int:
        """Layers of a group; the last one attends."""
        return self.config.count("layer_group_size")

    def layer_type_rule(self, index: int) -> str:
        """Let the last layer of a group attend.

        Raises:
            UnsupportedArchitectureError: layers beyond the last whole group; only Ling 3 has a rule for them.

        """
        beyond = index >= self.layer_count // self.group * self.group
        if beyond and self.generation == LING_2:
            raise self.refuse(
                "layer_group_size",
                f"does not divide {self.layer_count} layers.",
                "Only Ling 3 has a rule for the rest.",
            )
        return FULL if beyond or (index + 1) % self.group == 0 else LINEAR

    @cached_property
    def latent_dim(self) -> int:
        """Width of the KV latent."""
        return self.config.count("kv_lora_rank", default=512)

    @cached_property
    def rope_dim(self) -> int:
        """Width of the shared rotary key."""
        return self.config.count("qk_rope_head_dim", default=64, minimum=0)

    @cached_property
    def nope_dim(self) -> int:
        """Width of a query head's part without rotation."""
        return self.config.count("qk_nope_head_dim", default=128, minimum=0)

    @cached_property
    def value_dim(self) -> int:
        """Width of a value head."""
        return self.config.count("v_head_dim", default=128)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state or the latents."""
        state, latent = self.mixer.cache(), self.latent(index)
        if self.layer_types[index] not in (LINEAR, FULL):
            raise self.unknown_layer_type(index)
        return (state,) if self.is_recurrent(index) else (latent,)

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the mixer, or latent attention and Ling 3's gate."""
        yield from super().attention_parts(index)
        if self.is_recurrent(index) or self.generation == LING_2:
            return
        gates = {"head_wise": self.heads, "element_wise": self.heads * self.value_dim}
        width = gates.get(self.config.text("gated_attention_proj_granularity_type"))
        if width:
            yield linear("g_proj", width, self.hidden_size, component="attention")

    @cached_property
    def mlp_bias(self) -> bool:
        """Biases in the MLPs: none counted; see `unknown_parameters`."""
        return False

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Biases in the MLPs are read differently by the two classes."""
        return "use_bias is true, which has no counted rule" if self.config.flag("use_bias", default=False) else None

    @cached_property
    def shared_size(self) -> int:
        """The shared experts side by side, of a width of their own or a routed one's."""
        width = self.config.optional_count("moe_shared_expert_intermediate_size") or self.expert_size
        return width * (self.config.optional_count(*self.shared_keys, minimum=0) or 0)


class BailingV3Text(BailingHybrid):
    """The language model of Ling 3 with a tower, which names no class of its own."""

    model_types = ("bailing_moe_v3_text",)
    architectures = ()
    source = "vLLM 0.33 transformers_utils/configs/bailing_moe_v3_vl.py (BailingMoeV3TextConfig)"

    @cached_property
    def generation(self) -> str:
        """Ling 3."""
        return LING_3


class BailingV3Vision(Qwen3VLVision):
    """Qwen 3-VL's tower whose merger is a norm alone."""

    model_types = ("qwen3_moe_vit",)
    source = "vLLM 0.33 models/bailing_moe_v3_vl.py (BailingMoeV3VisionTransformer)"

    def merger(self) -> Iterator[Part]:
        """Return the positions and the norm."""
        yield embedding(
            "pos_embed",
            self.config.count("num_position_embeddings"),
            self.width,
            component="vision",
            split="replicated",
        )
        yield norm("merger.norm", self.width, bias=True, component="vision")


class BailingV3VL(Composed):
    """Ling 3 with its tower and two linears."""

    model_types = ("bailing_moe_v3_vl",)
    architectures = ("BailingMoeV3VLForConditionalGeneration",)
    source = "vLLM 0.33 models/bailing_moe_v3_vl.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "bailing_moe_v3_text", "vision_config": "qwen3_moe_vit"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        tower = self.tower("vision_config").config
        folded = tower.count("hidden_size") * tower.count("spatial_merge_size", default=2) ** 2
        yield self.join("linear_fc1", self.hidden_size, folded)
        yield self.join("linear_fc2", self.hidden_size, self.hidden_size)
