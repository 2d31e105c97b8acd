"""ImageGPT: GPT-2 over colours; its norms have no bias, its head is a row shorter than the table."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import architecture, label_count
from kvplan.models.families.gpt2 import Gpt2
from kvplan.weights.parts import Part, linear


class ImageGpt(Gpt2):
    """ImageGPT."""

    model_types = ("imagegpt",)
    architectures = ("ImageGPTForCausalImageModeling",)
    source = "transformers 5.18 modeling_imagegpt.py"
    norm_bias = False

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so."""
        return self.config.flag("tie_word_embeddings", default=False)

    def head_parts(self) -> Iterator[Part]:
        """Return the head of the class."""
        name = architecture(self.config)
        if name.endswith("ForImageClassification"):
            yield linear("score", label_count(self.config), self.hidden_size, component="head")
        elif not self.tied and not name.endswith("Model"):
            yield linear("lm_head", self.vocab_size - 1, self.hidden_size, component="head", split="vocabulary")
