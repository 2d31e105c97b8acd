"""Nemotron Nano VL and Omni: RADIO to see, Parakeet to hear, Nemotron-H behind them."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.family import Family
from kvplan.models.towers import Composed, Tower, encoder_layer, folded, scaled, times
from kvplan.weights.parts import Component, Part, linear, norm, vector


class Radio(Tower):
    """RADIO: flat patches, a large table of positions, class and register tokens, a scale on each branch."""

    model_types = ("radio",)
    source = "transformers 5.18 modeling_radio.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        patch = c.count("num_channels") * c.count("patch_size") ** 2
        side = c.count("max_img_size") // c.count("patch_size")
        yield linear("patch_projection", width, patch, component="vision", split="replicated")
        if frames := c.optional_count("video_temporal_patch_size"):
            yield linear("video_patch_projection", width, frames * patch, component="vision", split="replicated")
        yield vector("position_embedding", 1, side * side, width, component="vision")
        tokens = c.count("num_cls_tokens", minimum=0) + c.count("num_registers", minimum=0)
        yield vector("cls_register_token", tokens, width, component="vision")
        inner = scaled(c, "mlp_ratio", width)
        gated = c.flag("use_swiglu_ffn", default=False)
        if gated:
            inner = (int(inner * 2 / 3) + 7) // 8 * 8
        layer = encoder_layer(width, inner, qkv_bias=c.flag("qkv_bias", default=True), gated=gated)
        yield from times(self.depth, (*layer, vector("layer_scale", width, component="vision", count=2)))


class NemotronHOmni(Composed):
    """Nemotron 3 Nano Omni; older files say `llm_config`, `sound_config`, `vit_hidden_size`."""

    model_types = ("nemotron_h_omni", "NemotronH_Nano_VL_V2", "NemotronH_Nano_Omni_Reasoning_V3")
    architectures = ("NemotronH_Omni_Reasoning_V3", "NemotronH_Nano_VL_V2", "NemotronH_Nano_Omni_Reasoning_V3")
    source = "transformers 5.18 modeling_nemotron_h_omni.py, configuration_nemotron_h_omni.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {
        "vision_config": "radio",
        "text_config": "nemotron_h",
        "llm_config": "nemotron_h",
        "audio_config": "parakeet_encoder",
        "sound_config": "parakeet_encoder",
    }

    @cached_property
    def text_key(self) -> str:
        """`text_config`, or `llm_config` where only that is there."""
        only_old = self.config.states("llm_config") and not self.config.states("text_config")
        return "llm_config" if only_old else "text_config"

    @cached_property
    def audio_key(self) -> str | None:
        """`audio_config`, or `sound_config` where only that is there; None: it does not hear."""
        return next((key for key in ("audio_config", "sound_config") if self.config.states(key)), None)

    @cached_property
    def towers(self) -> dict[str, Component]:
        """Sight, and hearing where the file describes it."""
        sight: dict[str, Component] = {"vision_config": "vision"}
        return sight | ({self.audio_key: "audio"} if self.audio_key else {})

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The original repository's files describe RADIO by the arguments of its own code."""
        if self.config.model_type != "nemotron_h_omni" or self.tower("vision_config").config.states("args"):
            return "the original repository's form describes RADIO by the arguments of its own code"
        return super().unknown_parameters

    def _tied(self, text: Family) -> bool:
        """Return the language model's own rule: it is a whole model here."""
        return text.tied

    def _join3(self, name: str, source: int, inner: int, *, bias: bool) -> Iterator[Part]:
        yield norm(f"{name}.layer_norm", source, component="projector")
        yield self.join(f"{name}.linear_1", inner, source, bias=bias)
        yield self.join(f"{name}.linear_2", self.hidden_size, inner, bias=bias)

    def projector_parts(self) -> Iterator[Part]:
        """Return the norm and two linears of each tower."""
        config = self.config
        width = config.count("vision_hidden_size", "vit_hidden_size", default=1280)
        inner = config.count("projector_hidden_size", default=4096)
        yield from self._join3("multi_modal_projector", folded(config, width), inner, bias=False)
        if self.text.config.count("num_nextn_predict_layers", default=0, minimum=0):
            yield norm("vision_final_layernorm", width, bias=True, component="projector")
        if self.audio_key:
            audio = self.tower(self.audio_key)
            bias = audio.config.flag("projection_bias", default=False)
            yield from self._join3(
                "embed_audio", self.width_of(self.audio_key), audio.config.count("projection_hidden_size"), bias=bias
            )
