"""GIT: a decoder in BERT's form that reads the image's patches as a prefix of the text."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import architecture
from kvplan.models.family import as_component
from kvplan.models.text_encoder import TextEncoder
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class Git(TextEncoder):
    """GIT: every position is kept, the image's too; text attends to earlier text and to the image."""

    model_types = ("git",)
    architectures = ("GitForCausalLM", "GitModel")
    source = "transformers 5.18 modeling_git.py"
    prefix = ("Git",)
    pooled = frozenset()

    @cached_property
    def decodes(self) -> bool:
        """Always."""
        return True

    @cached_property
    def crosses(self) -> bool:
        """Never: images are a prefix."""
        return False

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so."""
        return self.config.flag("tie_word_embeddings", default=False)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the text's tables, the tower, the projection and the frames' embeddings."""
        config, width = self.config, self.hidden_size
        yield embedding("word_embeddings", self.vocab_size, width)
        rows = config.count("max_position_embeddings")
        yield embedding("position_embeddings", rows, width, split="replicated")
        tower = self.nested("vision_config", "git_vision_model")
        yield from as_component(tower.outer(), "vision")
        vision = tower.config.count("hidden_size")
        yield linear("visual_projection", width, vision, bias=True, component="projector", split="replicated")
        yield norm("visual_projection.norm", width, bias=True, component="projector")
        frames = config.optional_count("num_image_with_embedding") or 0
        yield vector("img_temporal_embedding", frames, vision, component="vision")

    def head_parts(self) -> Iterator[Part]:
        """Return the head with its bias; the bare class has none."""
        if not architecture(self.config).endswith("Model"):
            if not self.tied:
                yield linear("output", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
            yield vector("output.bias", self.vocab_size, component="head", split="vocabulary")
