"""GLM-4.1V to GLM-4.6V and GLM-OCR: their vision towers, their language models and the models."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import Decoder, MoeDecoder
from kvplan.models.towers import Composed, Tower, encoder_layer, head_width, patch_embedding, patch_grid, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm


class Glm4vVision(Tower):
    """GLM-4V's tower: patches of several frames, learned positions, gated layers, patches merged by a convolution."""

    model_types = ("glm4v_vision", "glm4v_moe_vision")
    source = "transformers 5.18 modeling_glm4v.py, modeling_glm4v_moe.py"

    @cached_property
    def features(self) -> int:
        """Width of what the merger hands on; inside a layer also the width of the MLP."""
        return self.config.count("out_hidden_size")

    def patches(self) -> Part:
        """Return the convolution over frames and patches."""
        frames = self.config.count("temporal_patch_size")
        return patch_embedding(self.config, self.width, bias=True, channels="in_channels", frames=frames)

    def before(self) -> Iterator[Part]:
        """Return what stands before the layers."""
        yield self.patches()
        yield embedding(
            "embeddings.position_embedding", patch_grid(self.config), self.width, component="vision", split="replicated"
        )
        yield norm("post_conv_layernorm", self.width, component="vision")

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        return encoder_layer(
            self.width,
            self.features,
            qkv_bias=self.config.flag("attention_bias", default=False),
            output_bias=False,
            gated=True,
            mlp_bias=False,
            norm_bias=False,
        )

    @property
    def merger_size(self) -> int:
        """Width of the merger's MLP."""
        return self.mlp

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        merge, out = self.config.count("spatial_merge_size"), self.features
        yield from self.before()
        yield from times(self.depth, self.layer())
        yield norm("post_layernorm", self.width, component="vision")
        yield convolution(
            "downsample", out, self.width, merge, merge, bias=True, component="vision", split="replicated"
        )
        yield linear("merger.proj", out, out, component="vision")
        yield norm("merger.post_projection_norm", out, bias=True, component="vision")
        yield linear("merger.gate_proj", self.merger_size, out, component="vision")
        yield linear("merger.up_proj", self.merger_size, out, component="vision")
        yield linear("merger.down_proj", out, self.merger_size, component="vision", split="row")


class GlmOcrVision(Glm4vVision):
    """GLM-OCR's: no learned positions, norms on Q and K, biases where `attention_bias` says so."""

    model_types = ("glm_ocr_vision",)
    source = "transformers 5.18 modeling_glm_ocr.py"

    def before(self) -> Iterator[Part]:
        """Return the patch convolution."""
        yield self.patches()

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        bias = self.config.flag("attention_bias", default=True)
        yield from encoder_layer(
            self.width, self.mlp, qkv_bias=bias, output_bias=bias, gated=True, mlp_bias=bias, norm_bias=False
        )
        head = head_width(self.config, self.width, self.config.count("num_attention_heads", "num_heads"))
        yield norm("qk_norm", head, component="vision", count=2)

    @property
    def merger_size(self) -> int:
        """Width of the merger's MLP: as the reference has it, the output times the colours."""
        return self.features * self.config.count("in_channels")


class Glm4vText(Decoder):
    """GLM-4V's language model: GLM-4 with biases on Q, K and V whatever the file says; four norms per layer."""

    model_types = ("glm4v_text",)
    source = "transformers 5.18 modeling_glm4v.py"
    qkv_bias = True
    output_bias = False
    mlp_bias = False
    norms_per_layer = 4

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads: this class does not look at `head_dim`."""
        return self._derived_head_dim()


class GlmOcrText(Glm4vText):
    """GLM-OCR's language model: without biases, `head_dim` counts."""

    model_types = ("glm_ocr_text",)
    source = "transformers 5.18 modeling_glm_ocr.py"
    qkv_bias = False
    head_dim = Decoder.head_dim


class Glm4vMoeText(MoeDecoder):
    """GLM-4.5V's language model: GLM-4.5 without norms on Q and K and without next-token layers."""

    model_types = ("glm4v_moe_text",)
    source = "transformers 5.18 modeling_glm4v_moe.py"
    expert_keys = ("n_routed_experts", "num_local_experts", "num_experts")
    output_bias = False
    mlp_bias = False

    def is_moe(self, index: int) -> bool:
        """All but the first `first_k_dense_replace` layers route."""
        return index >= self.config.count("first_k_dense_replace", default=0, minimum=0)

    @cached_property
    def shared_size(self) -> int:
        """`n_shared_experts` experts side by side."""
        return self.expert_size * (self.config.optional_count("n_shared_experts", minimum=0) or 0)


class Glm4v(Composed):
    """GLM-4.1V, dense."""

    model_types = ("glm4v",)
    architectures = ("Glm4vForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm4v.py, configuration_glm4v.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "glm4v_vision", "text_config": "glm4v_text"}
    tie_either = True


class Glm4vMoe(Glm4v):
    """GLM-4.5V and GLM-4.6V, with experts."""

    model_types = ("glm4v_moe",)
    architectures = ("Glm4vMoeForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm4v_moe.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "glm4v_moe_vision", "text_config": "glm4v_moe_text"}


class GlmOcr(Glm4v):
    """GLM-OCR."""

    model_types = ("glm_ocr",)
    architectures = ("GlmOcrForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm_ocr.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "glm_ocr_vision", "text_config": "glm_ocr_text"}


class Glm46v(Composed):
    """GLM-4.6V-Flash and its kin: the parts say what they are."""

    model_types = ("glm46v", "glmga")
    architectures = ("Glm46VForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm46v.py, configuration_glmga.py"
