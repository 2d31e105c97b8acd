"""Higgs Audio 2: a Llama with a second MLP and second norms for the positions that are sound."""

from collections.abc import Iterator

from kvplan.models.decoder import Decoder
from kvplan.weights.parts import Part, embedding, linear, norm


class HiggsAudioV2(Decoder):
    """Higgs Audio 2; the class that generates has a head for codes and none for text."""

    model_types = ("higgs_audio_v2",)
    architectures = ("HiggsAudioV2ForConditionalGeneration",)
    source = "transformers 5.18 modeling_higgs_audio_v2.py HiggsAudioV2DecoderLayer"
    tied = False

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return both MLPs and the second pair of norms."""
        for _ in range(2):
            yield from super().mlp_parts(index)
        yield norm("audio_layer_norms", self.hidden_size, count=2)

    def _codes(self) -> int:
        return self.config.count("num_codebooks") * self.config.count("codebook_size")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of text and codes."""
        yield from super().embedding_parts()
        yield embedding("embed_audio_tokens", self._codes(), self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return the head for codes."""
        yield linear("audio_lm_head", self._codes(), self.hidden_size, component="head", split="vocabulary")
