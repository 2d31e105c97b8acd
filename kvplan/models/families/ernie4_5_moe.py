"""ERNIE 4.5 with experts: routed in a range of layers, a correction that is a parameter; the VL models route images apart."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.listed import ListedMoe
from kvplan.models.towers import Composed, Tower, encoder_layer, times
from kvplan.weights import blocks
from kvplan.weights.parts import Part, linear, norm, vector


class Ernie45Moe(ListedMoe):
    """ERNIE 4.5, 21B-A3B and 300B-A47B."""

    model_types = ("ernie4_5_moe",)
    architectures = ("Ernie4_5_MoeForCausalLM", "Ernie4_5_MoEForCausalLM")
    source = (
        "transformers 5.18 modeling_ernie4_5_moe.py, configuration_ernie4_5_moe.py; vLLM 0.33 models/ernie45_moe.py"
    )
    expert_keys = ("moe_num_experts", "num_experts")
    per_token_keys = ("moe_k", "num_experts_per_tok")
    shared_keys = ("moe_num_shared_experts",)
    router_correction = True

    @property
    def qkv_bias(self) -> bool:
        """Biases everywhere: `use_bias`."""
        return self.config.flag("use_bias", default=False)

    @property
    def mlp_bias(self) -> bool:
        """As everywhere."""
        return self.qkv_bias

    @property
    def head_bias(self) -> bool:
        """As everywhere."""
        return self.qkv_bias

    def head_parts(self) -> Iterator[Part]:
        """Return the head; a tied one still has its bias."""
        yield from super().head_parts()
        if self.tied and self.head_bias:
            yield vector("lm_head.bias", self.vocab_size, component="head", split="vocabulary")

    def sparse_rule(self, index: int) -> bool:
        """Every `moe_layer_interval`-th layer from `moe_layer_start_index` to `moe_layer_end_index`."""
        config = self.config
        end = config.count("moe_layer_end_index", default=-1, minimum=-1)
        last = self.layer_count - 1 if end == -1 else end
        start = config.count("moe_layer_start_index", default=0, minimum=0)
        return (index + 1) % config.count("moe_layer_interval", default=1) == 0 and start <= index <= last

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, or router, experts and shared experts, which have biases where the model has."""
        if not self.is_moe(index):
            yield from self.dense_mlp(self.intermediate_size)
            return
        yield from self.expert_parts(self.expert_size)
        if self.shared_size:
            yield from blocks.gated_mlp(
                self.hidden_size,
                self.shared_size,
                bias=self.mlp_bias,
                component="shared_experts",
                prefix="shared_experts.",
            )

    def expert_parts(self, width: int) -> Iterator[Part]:
        """Return a router with its correction and the experts."""
        yield from blocks.router(self.hidden_size, self.experts, correction=True)
        yield from blocks.experts(self.hidden_size, width, self.experts)


class Ernie45VlMoeText(Ernie45Moe):
    """ERNIE 4.5 VL: experts for text and narrower ones for images, shared experts for both."""

    model_types = ("ernie4_5_vl_moe_text", "ernie4_5_moe_vl_text")
    architectures = ()
    source = "transformers 5.18 modeling_ernie4_5_vl_moe.py, configuration_ernie4_5_vl_moe.py __post_init__"
    first_dense = 1
    head_bias = False

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Width of an expert for text and of one for images."""
        stated = self.config.counts("moe_intermediate_size") or [1536, 512]
        if len(stated) != 2:
            raise self.config.fail("moe_intermediate_size", f"has {len(stated)} widths; text and images have one each.")
        return stated[0], stated[1]

    @cached_property
    def expert_size(self) -> int:
        """The text experts'."""
        return self.widths[0]

    def sparse_rule(self, index: int) -> bool:
        """All but the first layer."""
        return index >= self.dense_layers

    def expert_parts(self, width: int) -> Iterator[Part]:
        """Return both groups of experts with a router each."""
        yield from super().expert_parts(width)
        yield from super().expert_parts(self.widths[1])


class Ernie45VlMoeVision(Tower):
    """ERNIE 4.5 VL's vision tower."""

    model_types = ("ernie4_5_vl_moe_vision",)
    source = "transformers 5.18 modeling_ernie4_5_vl_moe.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        patch = c.count("patch_size")
        yield linear(
            "patch_embed.proj", width, c.count("in_channels") * patch * patch, component="vision", split="replicated"
        )
        yield from times(self.depth, encoder_layer(width, self.mlp))
        yield norm("ln", width, bias=True, component="vision")


class Ernie45VlMoe(Composed):
    """ERNIE 4.5 VL with its tower and the resampler that joins patches and frames."""

    model_types = ("ernie4_5_vl_moe", "ernie4_5_moe_vl")
    architectures = ("Ernie4_5_VLMoeForConditionalGeneration",)
    source = "transformers 5.18 modeling_ernie4_5_vl_moe.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "ernie4_5_vl_moe_text", "vision_config": "ernie4_5_vl_moe_vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the resampler."""
        c = self.tower("vision_config").config
        space = c.count("hidden_size") * c.count("spatial_merge_size") ** 2
        time = space * c.count("temporal_merge_size")
        for name, source in (("spatial_linear", space), ("temporal_linear", time)):
            yield self.join(f"{name}.fc1", space, source, split="column")
            yield self.join(f"{name}.fc2", space, space, split="column")
            yield norm(f"{name}.ln", space, bias=True, component="projector")
        yield self.join("mlp", self.hidden_size, space, split="column")
        yield vector("after_norm", self.hidden_size, component="projector")
