"""InternVL: its vision tower and the models, in transformers' form and in the original repository's."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, folded, patch_embedding, patch_grid, times
from kvplan.weights.parts import Part, embedding, norm, vector


class InternVLVision(Tower):
    """InternViT in transformers' form: a class token, learned positions, layers with a scale on each branch."""

    model_types = ("internvl_vision", "qianfan_ocr_vision", "interns1_vision")
    source = "transformers 5.18 modeling_internvl.py, modeling_qianfan_ocr.py"

    @property
    def qkv_bias(self) -> bool:
        """Biases on Q, K and V."""
        return self.config.flag("attention_bias", default=False)

    @property
    def qk_norm(self) -> bool:
        """Norms over all heads of Q and of K."""
        return self.config.flag("use_qk_norm", default=False)

    @property
    def norm_bias(self) -> bool:
        """LayerNorm has one, RMSNorm has not."""
        return self.config.text("norm_type", default="layer_norm") != "rms_norm"

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        yield from encoder_layer(self.width, self.mlp, qkv_bias=self.qkv_bias, norm_bias=self.norm_bias)
        yield vector("layer_scale", self.width, component="vision", count=2)
        if self.qk_norm:
            yield norm("qk_norm", self.width, component="vision", count=2)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the class token, the mask token, patches and positions."""
        yield vector("cls_token", 1, 1, self.width, component="vision")
        yield patch_embedding(self.config, self.width, bias=True)
        if self.config.flag("use_mask_token", default=False):
            yield vector("mask_token", 1, 1, self.width, component="vision")
        if self.config.flag("use_absolute_position_embeddings", default=True):
            yield embedding(
                "position_embeddings", patch_grid(self.config) + 1, self.width, component="vision", split="replicated"
            )

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from self.embedding_parts()
        yield from times(self.depth, self.layer())
        if not self.config.flag("use_mean_pooling", default=True):
            yield norm("layernorm", self.width, bias=True, component="vision")


class InternViT(InternVLVision):
    """InternViT in the original form: other key names, no final norm."""

    model_types = ("intern_vit_6b", "intern_vit_300m")
    source = "vLLM 0.33 models/intern_vit.py"

    @property
    def qkv_bias(self) -> bool:
        """Biases on Q, K and V."""
        return self.config.flag("qkv_bias", default=True)

    @property
    def qk_norm(self) -> bool:
        """Norms over all heads of Q and of K."""
        return self.config.flag("qk_normalization", default=False)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        patch = patch_grid(self.config)
        yield vector("class_embedding", 1, 1, self.width, component="vision")
        yield patch_embedding(self.config, self.width, bias=True)
        yield embedding("position_embedding", patch + 1, self.width, component="vision", split="replicated")
        yield from times(self.depth, self.layer())


class InternVL(Composed):
    """InternVL 2.5 to 3.5, Intern-S1 and Qianfan-OCR in transformers' form: patches folded, a norm, two linears."""

    model_types = ("internvl", "qianfan_ocr", "interns1")
    architectures = (
        "InternVLForConditionalGeneration",
        "QianfanOCRForConditionalGeneration",
        "InternS1ForConditionalGeneration",
    )
    source = (
        "transformers 5.18 modeling_internvl.py, modeling_qianfan_ocr.py; vLLM 0.33 models/interns1.py, interns1_vit.py"
    )

    @cached_property
    def fixed(self) -> dict[str, str]:
        """The tower's class is fixed."""
        kind = "qianfan_ocr" if self.config.model_type == "qianfan_ocr" else "internvl"
        return {"vision_config": f"{kind}_vision"}

    @cached_property
    def folded(self) -> int:
        """Width of the patches folded into one: 1 / `downsample_ratio` on each side."""
        return folded(self.config, self.width_of("vision_config"))

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        yield norm("layer_norm", self.folded, bias=True, component="projector")
        yield self.join("linear_1", self.hidden_size, self.folded)
        yield self.join("linear_2", self.hidden_size, self.hidden_size)


class InternVLChat(InternVL):
    """InternVL in the original repository's form: the language model under `llm_config`."""

    model_types = ("internvl_chat", "h2ovl_chat")
    architectures = ("InternVLChatModel", "H2OVLChatModel")
    source = "vLLM 0.33 models/internvl.py, models/h2ovl.py"
    text_key = "llm_config"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "intern_vit_6b"}


class NvlmD(InternVLChat):
    """NVLM-D: a linear without bias into the width of the language model's MLP, and one back; tiles as text."""

    model_types = ("NVLM_D",)
    architectures = ("NVLM_D",)
    source = "vLLM 0.33 models/nvlm_d.py"

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        inner = self.text.config.count("intermediate_size")
        yield norm("mlp1.0", self.folded, bias=True, component="projector")
        yield self.join("mlp1.1", inner, self.folded, bias=False)
        yield self.join("mlp1.3", self.hidden_size, inner, bias=False)


class SkyworkChat(InternVLChat):
    """Skywork-R1V: InternVL's original form."""

    model_types = ("skywork_chat",)
    architectures = ("SkyworkR1VChatModel",)
    source = "vLLM 0.33 models/skyworkr1v.py"


class Eagle25(InternVL):
    """Eagle 2 and 2.5: SigLIP in the place of InternViT."""

    model_types = ("eagle_2_5_vl",)
    architectures = ("Eagle2_5_VLForConditionalGeneration",)
    source = "vLLM 0.33 models/eagle2_5_vl.py; totals of Eagle2-1B and Eagle2-2B on the hub"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "siglip_vision_model"}

    @cached_property
    def text_key(self) -> str:
        """`llm_config` in the older files."""
        return "llm_config" if self.config.states("llm_config") else "text_config"
