"""Kimi K3: Kimi Linear's decoder behind MoonViT."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, times
from kvplan.weights.parts import Part, convolution, norm, vector


class KimiK3Vision(Tower):
    """MoonViT with three-dimensional positions; only its height and width are learned."""

    model_types = ("kimi_k3_vision",)
    source = "vLLM 0.33 models/kimi_k25_vit.py, transformers_utils/configs/kimi_k3.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters.

        Raises:
            UnsupportedArchitectureError: an MLP, norm or position of another kind.

        """
        c = self.config
        for key, known in (("mlp_type", "mlp2"), ("pos_emb_type", "divided_fixed"), ("norm_type", "rmsnorm")):
            if (stated := c.text(key, default=known)) != known:
                raise self.refuse(key, f"is {stated[:40]!r}.", f"Known is {known}.")
        width = c.count("vt_hidden_size")
        bias = c.flag("attn_bias", default=False)
        patch = c.count("patch_size")
        yield convolution(
            "patch_embed",
            width,
            3,
            patch,
            patch,
            bias=c.flag("patch_embed_proj_bias", default=False),
            component="vision",
            split="replicated",
        )
        yield vector(
            "pos_emb", c.count("init_pos_emb_height"), c.count("init_pos_emb_width"), width, component="vision"
        )
        layer = encoder_layer(
            width,
            c.count("vt_intermediate_size"),
            inner=c.count("qkv_hidden_size", default=width),
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=c.flag("linear_bias", default=False),
            norm_bias=False,
        )
        yield from times(c.count("vt_num_hidden_layers"), layer)
        yield norm("final_layernorm", width, component="vision")


class KimiK3(Composed):
    """Kimi K3."""

    model_types = ("kimi_k3",)
    architectures = ("KimiK3ForConditionalGeneration",)
    source = "vLLM 0.33 models/kimi_k3/nvidia/model.py, models/kimi_k25_vit.py (KimiK25MultiModalProjector)"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "kimi_k3_vision", "text_config": "kimi_linear"}

    def projector_parts(self) -> Iterator[Part]:
        """Return the merger of neighbouring patches: two linears and a norm.

        Raises:
            UnsupportedArchitectureError: a projector of another kind.

        """
        vision = self.tower("vision_config").config
        if (kind := vision.text("mm_projector_type", default="patchmergerv2")) != "patchmergerv2":
            raise self.refuse("vision_config.mm_projector_type", f"is {kind[:40]!r}.", "Known is patchmergerv2.")
        merge = vision.counts("merge_kernel_size") or [2, 2]
        if len(merge) != 2:
            raise vision.fail("merge_kernel_size", f"has {len(merge)} numbers; two were expected.")
        merged = vision.count("vt_hidden_size") * merge[0] * merge[1]
        yield self.join("linear_1", merged, merged, bias=False)
        yield self.join("linear_2", self.hidden_size, merged, bias=False)
        yield norm("post_norm", self.hidden_size, component="projector")
