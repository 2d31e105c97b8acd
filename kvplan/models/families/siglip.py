"""SigLIP, SigLIP 2 and the towers made from them: patches, positions, layers, a norm, sometimes a pooling head."""

from collections.abc import Iterator

from kvplan.models.towers import Tower, encoder_layer, patch_embedding, patch_grid, pooling_head, times
from kvplan.weights.parts import Part, embedding, linear, norm


class SiglipVision(Tower):
    """SigLIP's vision transformer; the pooling head is there unless `vision_use_head` is false."""

    model_types = ("siglip_vision_model",)
    source = "transformers 5.18 modeling_siglip.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from self.embedding_parts()
        yield from times(self.depth, encoder_layer(self.width, self.mlp))
        yield norm("post_layernorm", self.width, bias=True, component="vision")
        if self.pooled:
            yield from pooling_head(self.width, self.mlp)

    @property
    def pooled(self) -> bool:
        """Whether the pooling head is there."""
        return self.config.flag("vision_use_head", default=True)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the patch convolution and the positions."""
        yield patch_embedding(self.config, self.width, bias=True)
        yield embedding(
            "position_embedding", patch_grid(self.config), self.width, component="vision", split="replicated"
        )


class Siglip2Vision(SiglipVision):
    """SigLIP 2 with sizes of its own per image: patches arrive flat, positions are stated by number."""

    model_types = ("siglip2_vision_model",)
    source = "transformers 5.18 modeling_siglip2.py"

    def embedding_parts(self) -> Iterator[Part]:
        """Return the patch linear and the positions."""
        patch = self.config.count("patch_size")
        channels = self.config.count("num_channels")
        yield linear(
            "patch_embedding", self.width, channels * patch * patch, bias=True, component="vision", split="replicated"
        )
        yield embedding(
            "position_embedding", self.config.count("num_patches"), self.width, component="vision", split="replicated"
        )


class IdeficsVision(SiglipVision):
    """SigLIP without its head: Idefics 2 and 3, SmolVLM, Aria."""

    model_types = ("idefics2_vision", "idefics3_vision", "smolvlm_vision")
    source = "transformers 5.18 modeling_idefics2.py, modeling_idefics3.py, modeling_smolvlm.py"
    pooled = False
