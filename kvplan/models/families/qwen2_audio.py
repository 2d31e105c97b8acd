"""Audio towers of Whisper's kind, and the models that put one in front of a language model.

Qwen 2-Audio, Voxtral, Audio Flamingo 3, Music Flamingo, GLM-ASR, Qwen 3-ASR.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, head_width, replicated, times, whisper_stem
from kvplan.weights.parts import Component, Part, convolution, embedding, linear, norm


class WhisperAudio(Tower):
    """Whisper's encoder: two convolutions, positions that are parameters, layers without a bias on K, a norm."""

    model_types = ("qwen2_audio_encoder", "audioflamingo3_encoder", "musicflamingo_encoder")
    source = "transformers 5.18 modeling_qwen2_audio.py, modeling_audioflamingo3.py; vLLM 0.33 models/qwen2_audio.py"
    k_bias = False
    whole = True  # vLLM runs transformers' encoder as it is

    @cached_property
    def width(self) -> int:
        """Width of the tower."""
        return self.config.count("hidden_size", "d_model")

    @cached_property
    def depth(self) -> int:
        """Layers of the tower."""
        return self.config.count("num_hidden_layers", "encoder_layers", minimum=0)

    @cached_property
    def mlp(self) -> int:
        """Width of its MLP."""
        return self.config.count("intermediate_size", "encoder_ffn_dim")

    def stem(self) -> Iterator[Part]:
        """Return what stands before the layers."""
        yield from whisper_stem(self.width, self.config.count("num_mel_bins"))
        yield embedding(
            "embed_positions",
            self.config.count("max_source_positions"),
            self.width,
            component="audio",
            split="replicated",
        )

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        return encoder_layer(self.width, self.mlp, component="audio", k_bias=self.k_bias)

    def end(self) -> Iterator[Part]:
        """Return what stands behind the layers."""
        yield norm("layer_norm", self.width, bias=True, component="audio")

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        parts = (*self.stem(), *times(self.depth, self.layer()), *self.end())
        return replicated(parts) if self.whole else iter(parts)


class VoxtralAudio(WhisperAudio):
    """Voxtral's: vLLM has an encoder of its own for it, split over the ranks."""

    model_types = ("voxtral_encoder",)
    source = "transformers 5.18 modeling_voxtral.py; vLLM 0.33 models/whisper.py"
    whole = False


class Qwen25OmniAudio(WhisperAudio):
    """Qwen 2.5-Omni's: computed positions, and a projection to the language model inside the tower."""

    model_types = ("qwen2_5_omni_audio_encoder",)
    source = "transformers 5.18 modeling_qwen2_5_omni.py"

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on."""
        return self.config.count("output_dim")

    def stem(self) -> Iterator[Part]:
        """Return the convolutions."""
        return whisper_stem(self.width, self.config.count("num_mel_bins"))

    def end(self) -> Iterator[Part]:
        """Return the norm, the projection and the tokens that begin and end a sound."""
        yield from super().end()
        yield linear("proj", self.features, self.width, bias=True, component="audio")
        yield embedding("audio_bos_eos_token", 2, self.features, component="audio")


class Qwen3AsrAudio(WhisperAudio):
    """Qwen 3-ASR's: three two-dimensional convolutions that halve the mel bins, a linear, biases everywhere."""

    model_types = ("qwen3_asr_encoder",)
    source = "transformers 5.18 modeling_qwen3_asr.py; vLLM 0.33 models/qwen3_omni_moe_thinker.py"
    k_bias = True
    whole = False

    def stem(self) -> Iterator[Part]:
        """Return the convolutions and the linear over what is left of the mel bins."""
        channels, bins = self.config.count("downsample_hidden_size"), self.config.count("num_mel_bins")
        for index in range(3):
            source = channels if index else 1
            yield convolution(
                f"conv2d{index + 1}", channels, source, 3, 3, bias=True, component="audio", split="replicated"
            )
            bins = (bins + 1) // 2
        yield linear("conv_out", self.width, channels * bins, component="audio", split="replicated")


class Qwen3OmniAudio(Qwen3AsrAudio):
    """Qwen 3-Omni's: the same and two linears to the language model."""

    model_types = ("qwen3_omni_moe_audio_encoder",)
    source = "transformers 5.18 modeling_qwen3_omni_moe.py"

    @cached_property
    def features(self) -> int:
        """Width of what the tower hands on."""
        return self.config.count("output_dim")

    def end(self) -> Iterator[Part]:
        """Return the norm and the two linears."""
        yield from super().end()
        yield linear("proj1", self.width, self.width, bias=True, component="audio", split="replicated")
        yield linear("proj2", self.features, self.width, bias=True, component="audio", split="replicated")


class GlmAsrAudio(WhisperAudio):
    """GLM-ASR's: rotary positions, possibly fewer KV heads."""

    model_types = ("glmasr_encoder",)
    whole = False
    source = "transformers 5.18 modeling_glmasr.py, configuration_glmasr.py __post_init__"

    def stem(self) -> Iterator[Part]:
        """Return the convolutions."""
        return whisper_stem(self.width, self.config.count("num_mel_bins"))

    def layer(self) -> Iterator[Part]:
        """Return one layer."""
        heads = self.config.count("num_attention_heads")
        head = self.config.optional_count("head_dim", minimum=0) or head_width(self.config, self.width, heads)
        kv_heads = self.config.optional_count("num_key_value_heads") or heads
        return encoder_layer(
            self.width, self.mlp, component="audio", inner=heads * head, kv_inner=kv_heads * head, k_bias=False
        )


class AudioModel(Composed):
    """A language model with an audio tower at `audio_config`."""

    towers: ClassVar[dict[str, Component]] = {"audio_config": "audio"}


class Qwen2Audio(AudioModel):
    """Qwen 2-Audio: one linear."""

    model_types = ("qwen2_audio",)
    architectures = ("Qwen2AudioForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen2_audio.py"
    never_tied = True

    def projector_parts(self) -> Iterator[Part]:
        """Return the linear."""
        yield self.join("linear", self.hidden_size, self.width_of("audio_config"))


class Voxtral(AudioModel):
    """Voxtral: four frames side by side (the width of the tower's MLP) through two linears."""

    model_types = ("voxtral",)
    architectures = ("VoxtralForConditionalGeneration",)
    source = "transformers 5.18 modeling_voxtral.py, configuration_voxtral.py _default_text_config_kwargs"
    never_tied = True
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "vocab_size": 131072,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 30,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131072,
            "head_dim": 128,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        frames = self.tower("audio_config").config.count("intermediate_size", "encoder_ffn_dim")
        yield self.join("linear_1", self.hidden_size, frames, bias=False)
        yield self.join("linear_2", self.hidden_size, self.hidden_size, bias=False)


class AudioFlamingo3(AudioModel):
    """Audio Flamingo 3 and Music Flamingo: two linears; the head is never tied."""

    model_types = ("audioflamingo3", "musicflamingo")
    architectures = ("AudioFlamingo3ForConditionalGeneration", "MusicFlamingoForConditionalGeneration")
    source = "transformers 5.18 modeling_audioflamingo3.py, modeling_musicflamingo.py (_tied_weights_keys None)"
    never_tied = True

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        bias = self.config.flag("projector_bias", default=True)
        yield self.join("linear_1", self.hidden_size, self.width_of("audio_config"), bias=bias)
        yield self.join("linear_2", self.hidden_size, self.hidden_size, bias=bias)


class GlmAsr(AudioModel):
    """GLM-ASR: four frames side by side through two linears."""

    model_types = ("glmasr",)
    architectures = ("GlmAsrForConditionalGeneration",)
    source = "transformers 5.18 modeling_glmasr.py, configuration_glmasr.py _default_text_config_kwargs"
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "vocab_size": 59264,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "max_position_embeddings": 8192,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        frames = self.tower("audio_config").config.count("intermediate_size")
        yield self.join("linear_1", 2 * self.hidden_size, frames)
        yield self.join("linear_2", self.hidden_size, 2 * self.hidden_size)


class Qwen3Asr(AudioModel):
    """Qwen 3-ASR: two linears, the second as wide as the tower's file says."""

    model_types = ("qwen3_asr",)
    architectures = ("Qwen3ASRForConditionalGeneration",)
    source = "transformers 5.18 modeling_qwen3_asr.py, configuration_qwen3_asr.py __post_init__"
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 65536,
            "tie_word_embeddings": True,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        width = self.width_of("audio_config")
        yield self.join("linear_1", width, width)
        yield self.join("linear_2", self.tower("audio_config").config.count("output_dim"), width)
