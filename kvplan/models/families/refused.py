"""Models that keep something no rule here covers: several decoders in turn, copies of one, streaming encoders.

They are recognised and refused: a figure for one part would not be the model's.
"""

from typing import ClassVar, NoReturn

from kvplan.models.family import Family

_SAMPLES = "forecasts with a decoder that runs num_parallel_samples copies of every series."
_STREAMS = "streams sound through an encoder that keeps a window of keys and values and of its convolutions' inputs."
_REASONS = {
    "autoformer": _SAMPLES,
    "bark": "writes semantic and then coarse codes with two decoders of different caches, each freed before the next.",
    "clvp": "samples many candidates of speech with one decoder and ranks them.",
    "clvp_decoder": "is CLVP's decoder, which samples many candidates at once.",
    "decision_transformer": "reads a whole episode at each step and is no language model.",
    "informer": _SAMPLES,
    "nemotron3_5_asr": _STREAMS,
    "nemotron_asr_streaming": _STREAMS,
    "nemotron_asr_streaming_encoder": _STREAMS,
    "rag": "runs its generator once for each of n_docs retrieved documents.",
    "time_series_transformer": _SAMPLES,
}


class Refused(Family):
    """A model without a rule, and why."""

    model_types = tuple(_REASONS)
    architectures = ("BarkModel", "ClvpModelForConditionalGeneration", "DecisionTransformerModel", "RagModel")
    source = "transformers 5.18: the modeling file of each"
    reasons: ClassVar[dict[str, str]] = _REASONS

    def layers(self) -> NoReturn:
        """Refuse.

        Raises:
            UnsupportedArchitectureError: always.

        """
        kind = self.config.model_type or type(self).__name__
        raise self.refuse(
            "model_type",
            f"is {kind!r}, which {self.reasons.get(kind, 'has no rule.')}",
            "Give the configuration of the decoder you serve, if it is a model of its own.",
        )
