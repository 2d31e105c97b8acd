"""Fun-ASR Nano: layers of attention beside a short memory (FSMN), an adaptor, Qwen 3."""

from collections.abc import Iterator
from typing import Any, ClassVar

from kvplan.models.towers import Composed, Tower, encoder_layer, feed_forward, self_attention, times
from kvplan.weights.parts import Component, Part, convolution, linear, norm


class FunAsrNanoAudio(Tower):
    """The encoder: the first layer takes stacked frames, the last layer of each of its two halves ends in a norm."""

    model_types = ("fun_asr_nano_encoder",)
    source = "transformers 5.18 modeling_fun_asr_nano.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width, depth = self.config, self.width, self.depth
        source = c.count("num_mel_bins") * c.count("num_stacked_frames")
        memory = convolution("fsmn.conv", width, 1, c.count("fsmn_kernel_size"), component="audio", split="replicated")
        if depth:
            for name in ("q_proj", "k_proj", "v_proj"):
                yield linear(name, width, source, bias=True, component="audio")
            yield linear("o_proj", width, width, bias=True, component="audio", split="row")
            yield memory
            yield from feed_forward(width, self.mlp, component="audio")
            yield norm("input_layernorm", source, bias=True, component="audio")
            yield norm("post_attention_layernorm", width, bias=True, component="audio")
            yield from times(depth - 1, (*self_attention(width, component="audio"), memory))
            yield from times(depth - 1, feed_forward(width, self.mlp, component="audio"))
            yield from times(depth - 1, [norm("layer_norms", width, bias=True, component="audio", count=2)])
        ends = {depth - c.count("num_timestamp_prediction_layers", minimum=0) - 1, depth - 1}
        yield norm("final_layernorm", width, bias=True, component="audio", count=sum(0 <= end < depth for end in ends))


class FunAsrNano(Composed):
    """Fun-ASR Nano."""

    model_types = ("fun_asr_nano",)
    architectures = ("FunAsrNanoForConditionalGeneration",)
    source = "transformers 5.18 modeling_fun_asr_nano.py, configuration_fun_asr_nano.py __post_init__"
    towers: ClassVar[dict[str, Component]] = {"audio_config": "audio"}
    absent: ClassVar[dict[str, dict[str, Any]]] = {
        "text_config": {
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "max_position_embeddings": 40960,
            "tie_word_embeddings": True,
        }
    }

    def projector_parts(self) -> Iterator[Part]:
        """Return the two linears and the adaptor's layers; where the file has no adaptor, it has the language model's width."""
        stated = self.config.states("adaptor_config")
        adaptor = self.config.part("adaptor_config", "fun_asr_nano_adaptor")
        width = adaptor.count("hidden_size", default=1024 if stated else self.hidden_size)
        mlp = adaptor.count("intermediate_size", default=256 if stated else self.hidden_size // 4)
        inner = adaptor.count("projector_hidden_size", default=2048)
        yield self.join("linear_1", inner, self.width_of("audio_config"))
        yield self.join("linear_2", width, inner)
        depth = adaptor.count("num_hidden_layers", default=2, minimum=0)
        yield from times(depth, encoder_layer(width, mlp, component="projector"))
