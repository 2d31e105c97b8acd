"""CLIP's and LLaVA's vision towers: patches, positions, transformer layers; they keep no cache."""

from collections.abc import Iterator

from kvplan.models.family import Family
from kvplan.weights import blocks
from kvplan.weights.parts import Part, convolution, embedding, norm, vector


class ClipVision(Family):
    """The vision transformer of CLIP: class token, learned positions, a norm before and one after."""

    model_types = ("clip_vision_model",)
    source = "transformers 5.18 modeling_clip.py"
    cacheless = "a vision encoder"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c = self.config
        width, layers = c.count("hidden_size"), c.count("num_hidden_layers")
        patch, size = c.count("patch_size"), c.count("image_size")
        yield vector("class_embedding", width, component="vision")
        yield convolution(
            "patch_embedding", width, c.count("num_channels"), patch, patch, component="vision", split="replicated"
        )
        yield embedding("position_embedding", (size // patch) ** 2 + 1, width, component="vision", split="replicated")
        yield norm("pre_layrnorm", width, bias=True, component="vision")
        heads = c.count("num_attention_heads")
        for _ in range(layers):
            yield from blocks.attention(
                width,
                heads=heads,
                kv_heads=heads,
                key_dim=width // heads,
                qkv_bias=True,
                output_bias=True,
                component="vision",
            )
            yield from blocks.plain_mlp(width, c.count("intermediate_size"), component="vision")
            yield norm("layer_norm", width, bias=True, component="vision", count=2)
        yield norm("post_layernorm", width, bias=True, component="vision")
