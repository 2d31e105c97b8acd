"""Voxtral Realtime: a causal audio encoder that is itself read step by step, in front of a windowed Ministral."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, cast

from kvplan.caches import SlidingWindow
from kvplan.models.decoder import Decoder
from kvplan.models.spec import Layer
from kvplan.models.towers import Composed, Tower, feed_forward, head_width, self_attention, whisper_stem
from kvplan.weights.parts import Component, Part, linear, norm


class VoxtralRealtimeAudio(Tower):
    """Whisper's stem, then causal layers of the Llama kind in a window; their keys and values are kept while sound comes in."""

    model_types = ("voxtral_realtime_encoder",)
    source = "transformers 5.18 modeling_voxtral_realtime.py; vLLM 0.33 models/whisper_causal.py"

    def outer(self) -> Iterator[Part]:
        """Return what stands around the layers."""
        yield from whisper_stem(self.width, self.config.count("num_mel_bins"))
        yield norm("norm", self.width, component="audio")

    def cached_layers(self, frames: int) -> tuple[Layer, ...]:
        """Return the layers; `frames` positions of sound go with one token of text, so the cache is counted in tokens.

        A token keeps `frames` keys and values per head, and the window of `sliding_window` frames is
        ceil(window / frames) + 1 tokens (whisper_causal.py).
        """
        c, width = self.config, self.width
        heads = c.count("num_attention_heads")
        head = c.optional_count("head_dim", minimum=0) or head_width(c, width, heads)
        window = c.count("sliding_window")
        cache = SlidingWindow(
            heads=heads,
            key_dim=head * frames,
            value_dim=head * frames,
            query_heads=heads,
            window=-(-window // frames) + 1,
        )
        parts = (
            *self_attention(width, component="audio", inner=heads * head, k_bias=False),
            *feed_forward(width, self.mlp, component="audio", gated=True, bias=False, output_bias=True),
            norm("norms", width, component="audio", count=2),
        )
        return (Layer(caches=(cache,), parts=parts),) * self.depth


class VoxtralRealtimeText(Decoder):
    """The language model: windowed everywhere, with a small network per layer that reads the delay."""

    model_types = ("voxtral_realtime_text",)
    source = "transformers 5.18 modeling_voxtral_realtime.py"
    windowed = True
    qkv_bias = False
    mlp_bias = False

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and the two linears that modulate the second."""
        yield from super().norm_parts(index)
        yield linear("ada_rms_norm.linear1", 32, self.hidden_size, component="norms", split="replicated")
        yield linear("ada_rms_norm.linear2", self.hidden_size, 32, component="norms", split="replicated")


class VoxtralRealtime(Composed):
    """Voxtral Realtime: four frames side by side through two linears."""

    model_types = ("voxtral_realtime",)
    architectures = ("VoxtralRealtimeForConditionalGeneration",)
    source = "transformers 5.18 modeling_voxtral_realtime.py, configuration_voxtral_realtime.py"
    towers: ClassVar[dict[str, Component]] = {"audio_config": "audio"}
    fixed: ClassVar[dict[str, str]] = {
        "audio_config": "voxtral_realtime_encoder",
        "text_config": "voxtral_realtime_text",
    }
    filled: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "vocab_size": 131072,
            "hidden_size": 3072,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131072,
            "head_dim": 128,
            "tie_word_embeddings": True,
            "sliding_window": 8192,
        }
    }

    @cached_property
    def frames(self) -> int:
        """Frames of sound per token of text."""
        return self.config.count("downsample_factor")

    def layers(self) -> tuple[Layer, ...]:
        """Return the language model's layers, then the encoder's, which cache too."""
        audio = cast("VoxtralRealtimeAudio", self.tower("audio_config"))
        return (*self.text.layers(), *audio.cached_layers(self.frames))

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears."""
        yield self.join("linear_1", self.hidden_size, self.frames * self.width_of("audio_config"), bias=False)
        yield self.join("linear_2", self.hidden_size, self.hidden_size, bias=False)
