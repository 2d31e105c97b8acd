"""DeepSeek-VL2 and DeepSeek-OCR in the original repository's form: a DeepSeek V2 under `language_config`."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.config import Config
from kvplan.models.families.sam import ClipWithoutPatches, SamDownsampled
from kvplan.models.family import Family, family_of
from kvplan.models.towers import Composed, encoder_layer, pooling_head, scaled, times
from kvplan.weights.parts import Component, Part, convolution, embedding, norm, vector


class DeepseekVL2(Composed):
    """DeepSeek-VL2, DeepSeek-OCR, Unlimited-OCR: latent attention; ordinary if `use_mla` is false or no latent is described."""

    model_types = ("deepseek_vl_v2", "deepseek_ocr", "unlimited-ocr")
    architectures = ("DeepseekVLV2ForCausalLM", "DeepseekOCRForCausalLM")
    source = "vLLM 0.33 models/deepseek_vl2.py, models/deepseek_ocr.py, models/deepseek_v2.py (DeepseekAttention)"
    text_key = "language_config"
    towers: ClassVar[dict[str, Component]] = {}

    @cached_property
    def text(self) -> Family:
        """The language model."""
        stated = self.config.part(self.text_key, "deepseek_v2")
        self.config.parts.remove(stated)
        latent = stated.values.get("use_mla", True) is not False and (
            stated.values.get("kv_lora_rank") is not None and stated.values.get("qk_rope_head_dim") != 0
        )
        kind = "deepseek_v2" if latent else "unlimited_ocr_text"
        part = Config(stated.values, where=stated.where, path=stated.path, model_type=kind)
        if not latent:
            part.read.update(("kv_lora_rank", "use_mla", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"))
        self.config.parts.append(part)
        return family_of(part)

    @property
    def reads_pages(self) -> bool:
        """Whether this is DeepSeek-OCR, whose tower Unlimited-OCR shares."""
        names = self.config.raw("architectures") or ()
        return self.config.model_type in ("deepseek_ocr", "unlimited-ocr") or "DeepseekOCRForCausalLM" in names

    def projector_parts(self) -> Iterator[Part]:
        """Return the tower, the projector and the two vectors that mark rows and views.

        Raises:
            UnsupportedArchitectureError: a projector without a rule.

        """
        projector = self.config.part("projector_config", "mlp_projector")
        out, source = projector.count("n_embed", default=2048), projector.count("input_dim", default=1152)
        kind = projector.text("projector_type", default="downsample_mlp_gelu")
        if self.reads_pages:
            yield from self._page_encoder()
        else:
            yield from self._siglip()
        if kind == "linear":
            yield self.join("projector", out, source)
        elif kind == "downsample_mlp_gelu":
            inner = out * projector.count("mlp_ratio", default=1)
            yield self.join("projector.0", inner, source * projector.count("downsample_ratio", default=2) ** 2)
            yield from times(projector.count("depth", default=2) - 2, [self.join("projector.n", inner, inner)])
            yield self.join("projector.last", out, inner)
        else:
            raise self.refuse("projector_config.projector_type", f"is {kind[:40]!r}.", "Use a known projector.")
        yield vector("image_newline", out, component="projector")
        yield vector("view_seperator", out, component="projector")

    def _page_encoder(self) -> Iterator[Part]:
        """Return SAM's base size with two convolutions and CLIP large behind it, as the code has them."""
        sam = Config({}, where=self.config.where, model_type="sam_vision_model")
        sam.values = {"downsample_channels": [512, 1024], "mlp_dim": 3072}
        yield from SamDownsampled(sam).outer()
        yield convolution(
            "vision_model.patch_embedding", 1024, 3, 14, 14, component="vision", split="replicated"
        )  # there, but not used
        clip = {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "image_size": 224,
            "patch_size": 14,
        }
        yield from ClipWithoutPatches(Config(clip, where=self.config.where, model_type="clip_vision_model")).outer()

    def _siglip(self) -> Iterator[Part]:
        """Return timm's SigLIP with its pooling head, which is in the published weights though no one reads it."""
        vision = self.config.part("vision_config", "vision")
        width, patch = vision.count("width", default=1152), vision.count("patch_size", default=14)
        image = vision.count("image_size", default=384)
        mlp = scaled(vision, "mlp_ratio", width, default=3.7362)
        yield convolution("patch_embed", width, 3, patch, patch, bias=True, component="vision", split="replicated")
        yield embedding("pos_embed", max(1, image // patch) ** 2, width, component="vision", split="replicated")
        yield from times(vision.count("layers", default=27, minimum=0), encoder_layer(width, mlp))
        yield norm("norm", width, bias=True, component="vision")
        yield from pooling_head(width, mlp)
