"""SAM's vision encoder and the models that read pages with it: GOT-OCR 2, DeepSeek-VL, DeepSeek-OCR, Unlimited-OCR."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, cast

from kvplan.models.decoder import MoeDecoder
from kvplan.models.listed import with_bias
from kvplan.models.towers import Composed, Tower, encoder_layer, head_width, patch_embedding, scaled, sides, times
from kvplan.weights.parts import Component, Part, convolution, embedding, norm, vector


def sam_neck(width: int, out: int) -> Iterator[Part]:
    """Return SAM's neck: a 1 x 1 and a 3 x 3 convolution without biases, a norm behind each."""
    yield convolution("neck.conv1", out, width, 1, 1, component="vision", split="replicated")
    yield convolution("neck.conv2", out, out, 3, 3, component="vision", split="replicated")
    yield norm("neck.layer_norms", out, bias=True, component="vision", count=2)


def strided(first: int, second: int, source: int) -> Iterator[Part]:
    """Return two 3 x 3 convolutions without biases that halve the image twice."""
    yield convolution("proj.conv1", first, source, 3, 3, component="vision", split="replicated")
    yield convolution("proj.conv2", second, first, 3, 3, component="vision", split="replicated")


class SamVision(Tower):
    """SAM's encoder: positions per patch, relative positions per layer in a window or over the whole image."""

    model_types = ("sam_vision_model", "got_ocr2_vision")
    source = "transformers 5.18 modeling_sam.py, modeling_got_ocr2.py"

    @cached_property
    def features(self) -> int:
        """Width of what the neck hands on."""
        return self.config.count("output_channels")

    @cached_property
    def mlp(self) -> int:
        """`mlp_dim`, else the width times `mlp_ratio`."""
        stated = self.config.optional_count("mlp_dim")
        return stated or scaled(self.config, "mlp_ratio", self.width, default=4.0)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        image, patch = sides(c, "image_size"), sides(c, "patch_size")
        grid = (image[0] // patch[0], image[1] // patch[1])
        yield patch_embedding(c, self.width, bias=True)
        if c.flag("use_abs_pos", default=True):
            yield vector("pos_embed", 1, *grid, self.width, component="vision")
        bias = c.flag("qkv_bias", default=True)
        yield from times(self.depth, encoder_layer(self.width, self.mlp, qkv_bias=bias))
        if c.flag("use_rel_pos", default=True):
            head = head_width(c, self.width, c.count("num_attention_heads"))
            window = c.count("window_size", minimum=0)
            everywhere = set(c.counts("global_attn_indexes", minimum=0) or ())
            for index in range(self.depth):
                height, width = grid if index in everywhere or not window else (window, window)
                yield vector("rel_pos", 2 * height - 1 + 2 * width - 1, head, component="vision")
        yield from sam_neck(self.width, self.features)


class SamDownsampled(SamVision):
    """The encoder of the OCR models: two more convolutions behind the neck."""

    model_types = ("deepseek_ocr2_sam_vision_model", "unlimited_ocr_sam_vision_model")
    source = "transformers 5.18 modeling_deepseek_ocr2.py; transformers 5.23 modeling_unlimited_ocr.py"

    @cached_property
    def channels(self) -> tuple[int, int]:
        """Widths of the two convolutions."""
        default = [512, 1024] if self.config.model_type.startswith("unlimited") else [512, 896]
        stated = self.config.counts("downsample_channels") or default
        if len(stated) != 2:
            raise self.config.fail("downsample_channels", f"has {len(stated)} numbers; two were expected.")
        return stated[0], stated[1]

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from super().outer()
        yield from strided(*self.channels, self.features)


class GotOcr2(Composed):
    """GOT-OCR 2: SAM, two convolutions and a linear in front of Qwen 2."""

    model_types = ("got_ocr2",)
    architectures = ("GotOcr2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_got_ocr2.py, configuration_got_ocr2.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "got_ocr2_vision"}
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "vision_config": {
            "hidden_size": 768,
            "output_channels": 256,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 1024,
            "patch_size": 16,
            "window_size": 14,
            "global_attn_indexes": [2, 5, 8, 11],
            "mlp_dim": 3072,
        }
    }
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "vocab_size": 151860,
            "hidden_size": 1024,
            "intermediate_size": 2816,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "max_position_embeddings": 32768,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two convolutions and the linear."""
        channels = self.width_of("vision_config")
        yield convolution("conv_upsampler1", 2 * channels, channels, 3, 3, component="projector", split="replicated")
        yield convolution(
            "conv_upsampler2", self.hidden_size, 2 * channels, 3, 3, component="projector", split="replicated"
        )
        yield self.join("multimodal_projector", self.hidden_size, self.hidden_size)


class DeepseekVL(Composed):
    """DeepSeek-VL 1.3B: SigLIP and two linears in front of Llama."""

    model_types = ("deepseek_vl",)
    architectures = ("DeepseekVLForConditionalGeneration",)
    source = "transformers 5.18 modeling_deepseek_vl.py"

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        yield self.join("aligner.linear1", self.hidden_size, self.width_of("vision_config"))
        yield self.join("aligner.linear2", self.hidden_size, self.hidden_size)


class DeepseekVLHybrid(Composed):
    """DeepSeek-VL 7B: SigLIP for the whole and SAM for the detail, half the width each."""

    model_types = ("deepseek_vl_hybrid",)
    architectures = ("DeepseekVLHybridForConditionalGeneration",)
    source = "transformers 5.18 modeling_deepseek_vl_hybrid.py"
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "high_res_vision_config": "vision"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the second neck, the two convolutions, the mixing scalar and the aligner."""
        fine = self.tower("high_res_vision_config")
        channels = self.width_of("high_res_vision_config")
        yield from sam_neck(fine.config.count("hidden_size"), channels)
        yield from strided(2 * channels, 4 * channels, channels)
        yield vector("high_res_vision_alpha", 1, component="projector")
        yield self.join("aligner.vision_proj", self.hidden_size // 2, self.width_of("vision_config"))
        yield self.join("aligner.high_res_vision_proj", self.hidden_size // 2, 4 * channels)
        yield self.join("aligner.proj", self.hidden_size, self.hidden_size)


class PageEncoder(Tower):
    """SAM and a second encoder behind it: DeepSeek-OCR 2's is a Qwen 2, Unlimited-OCR's a CLIP without patches."""

    model_types = ("deepseek_ocr2_vision", "unlimited_ocr_vision")
    source = "transformers 5.18 modeling_deepseek_ocr2.py; transformers 5.23 modeling_unlimited_ocr.py"

    @cached_property
    def encoder(self) -> "Tower":
        """The second encoder."""
        kind = "unlimited_ocr_vision_encoder" if self.config.model_type.startswith("unl") else "deepseek_ocr2_encoder"
        return cast("Tower", self.inner("encoder_config", kind))

    @cached_property
    def sam(self) -> SamDownsampled:
        """The first encoder."""
        prefix = self.config.model_type.removesuffix("_vision")
        return cast("SamDownsampled", self.inner("sam_config", f"{prefix}_sam_vision_model"))

    @cached_property
    def features(self) -> int:
        """Width of the second encoder; Unlimited-OCR hands on both encoders' side by side."""
        both = self.config.model_type == "unlimited_ocr_vision"
        return self.encoder.width + (self.sam.channels[1] if both else 0)

    def outer(self) -> Iterator[Part]:
        """Return both encoders, and DeepSeek-OCR 2's queries."""
        yield from self.sam.outer()
        yield from self.encoder.outer()
        if self.config.model_type == "deepseek_ocr2_vision":
            yield embedding("query_768_resolution", 144, self.features, component="vision")
            yield embedding("query_1024_resolution", 256, self.features, component="vision")


class QwenEncoder(Tower):
    """DeepSeek-OCR 2's second encoder: Qwen 2's layers without an embedding."""

    model_types = ("deepseek_ocr2_encoder",)
    source = "transformers 5.18 modeling_deepseek_ocr2.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        c.read.update(("sliding_window", "use_sliding_window", "layer_types"))  # an encoder keeps no cache
        heads = c.count("num_attention_heads")
        head = c.optional_count("head_dim", minimum=0) or head_width(c, self.width, heads)
        kv_heads = c.optional_count("num_key_value_heads") or heads
        layer = encoder_layer(
            self.width,
            self.mlp,
            inner=heads * head,
            kv_inner=kv_heads * head,
            output_bias=False,
            gated=True,
            mlp_bias=False,
            norm_bias=False,
        )
        yield from times(self.depth, layer)
        yield norm("norm", self.width, component="vision")


class ClipWithoutPatches(Tower):
    """CLIP's layers over what SAM hands on: class token and positions, a norm before, none behind."""

    model_types = ("unlimited_ocr_vision_encoder",)
    source = "transformers 5.23 modeling_unlimited_ocr.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        image, patch = self.config.count("image_size"), self.config.count("patch_size")
        yield vector("class_embedding", self.width, component="vision")
        yield embedding(
            "position_embedding", (image // patch) ** 2 + 1, self.width, component="vision", split="replicated"
        )
        yield norm("pre_layrnorm", self.width, bias=True, component="vision")
        yield from times(self.depth, encoder_layer(self.width, self.mlp))


class OcrText(MoeDecoder):
    """The language model of the OCR models: DeepSeek V2's experts with ordinary attention."""

    model_types = ("deepseek_ocr2_text", "unlimited_ocr_text")
    source = "transformers 5.18 modeling_deepseek_ocr2.py; transformers 5.23 modeling_unlimited_ocr.py"
    expert_keys = ("n_routed_experts", "num_experts")
    ignored: ClassVar[dict[str, str]] = {
        "sliding_window": "Unlimited-OCR: drops generated tokens only; the prompt stays, and all is planned as if it did"
    }

    @cached_property
    def head_dim(self) -> int:
        """Hidden size / heads: the configuration class overwrites `head_dim`."""
        return self._derived_head_dim()

    @cached_property
    def layer_types(self) -> list[str]:
        """Full attention everywhere.

        Unlimited-OCR's `reference_sliding_attention` keeps the whole prompt and the last `sliding_window` generated
        tokens; without knowing where a prompt ends, only keeping everything is enough.
        """
        stated = self.config.items("layer_types") or []
        self.config.raw("sliding_window")
        for index, word in enumerate(stated):
            if word not in ("full_attention", "reference_sliding_attention"):
                raise self.refuse(f"layer_types[{index}]", f"is {word!r}.", "Use a type the family knows.")
        return ["full_attention"] * self.layer_count

    @cached_property
    def mlp_types(self) -> list[str]:
        """`sparse` or `dense` per layer: stated, else the first `first_k_dense_replace` (1) are dense."""
        stated = self.config.items("mlp_layer_types")
        if stated is None:
            dense = self.config.count("first_k_dense_replace", default=1, minimum=0)
            return ["dense" if index < dense else "sparse" for index in range(self.layer_count)]
        if len(stated) < self.layer_count:
            raise self.config.fail("mlp_layer_types", f"has {len(stated)} words for {self.layer_count} layers.")
        return [str(word) for word in stated]

    def is_moe(self, index: int) -> bool:
        """Whether layer `index` routes."""
        return self.mlp_types[index] == "sparse"

    @cached_property
    def shared_size(self) -> int:
        """`n_shared_experts` experts side by side."""
        return self.expert_size * (self.config.optional_count("n_shared_experts", minimum=0) or 0)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, or router and experts; the shared experts have biases where `mlp_bias` says so."""
        parts = super().mlp_parts(index)
        return with_bias(parts, "shared_experts") if self.mlp_bias else parts


class DeepseekOcr2(Composed):
    """DeepSeek-OCR 2: one linear and a separator."""

    model_types = ("deepseek_ocr2",)
    architectures = ("DeepseekOcr2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_deepseek_ocr2.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "deepseek_ocr2_vision", "text_config": "deepseek_ocr2_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear and the separator."""
        yield self.join("multi_modal_projector", self.hidden_size, self.width_of("vision_config"))
        yield vector("view_separator", self.hidden_size, component="projector")


class UnlimitedOcr(Composed):
    """Unlimited-OCR: a linear over both encoders side by side, a row's end and a separator."""

    model_types = ("unlimited_ocr",)
    architectures = ("UnlimitedOcrForConditionalGeneration", "UnlimitedOCRForCausalLM")
    source = "transformers 5.23 modeling_unlimited_ocr.py"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "unlimited_ocr_vision", "text_config": "unlimited_ocr_text"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear and the two vectors."""
        yield self.join("multi_modal_projector", self.hidden_size, self.width_of("vision_config"))
        yield vector("image_newline", self.hidden_size, component="projector")
        yield vector("view_separator", self.hidden_size, component="projector")
