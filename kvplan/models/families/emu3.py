"""Emu 3: Llama over words and image codes, with a tokenizer for images and video."""

from collections.abc import Iterator
from typing import ClassVar

from kvplan.models import vqgan
from kvplan.models.decoder import Decoder
from kvplan.models.towers import Composed, Tower, self_attention, times
from kvplan.weights.parts import Component, Part, convolution, embedding, norm


class Emu3Tokenizer(Tower):
    """The tokenizer: an encoder, a codebook, and a decoder whose norms look at the codes; both with layers over time."""

    model_types = ("emu3_vqgan",)
    source = "transformers 5.18 modeling_emu3.py"

    def _attention(self, name: str, width: int, condition: int | None) -> Iterator[Part]:
        yield from self_attention(self.config.count("hidden_size"), component="vision")
        yield from vqgan.any_norm(f"{name}.norm", width, condition)

    def _middle(self, width: int, condition: int | None) -> Iterator[Part]:
        yield from vqgan.resnet("middle.block_1", width, width, condition)
        yield from self._attention("middle.attn", width, condition)
        yield from vqgan.resnet("middle.block_2", width, width, condition)

    def _over_time(self, width: int, taps: int) -> Iterator[Part]:
        """Return the convolutions that halve or double the frames, and the residual blocks over time."""
        halvings = self.config.count("temporal_downsample_factor").bit_length() - 1
        yield convolution(
            "time_conv", width, width, taps, 3, 3, bias=True, component="vision", count=halvings, split="replicated"
        )
        block = (
            norm("norm", width, bias=True, component="vision", count=2),
            convolution("conv", width, width, 3, 3, 3, bias=True, component="vision", count=2, split="replicated"),
        )
        yield from times(self.config.count("num_res_blocks"), block)

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        config = self.config
        levels, blocks = vqgan.widths(config), config.count("num_res_blocks")
        attends = config.items("attn_resolutions") or ()
        latent, codes = config.count("latent_channels"), config.count("embed_dim")
        out = 2 * latent if config.flag("double_latent", default=False) else latent
        width = config.count("base_channels")
        yield vqgan.conv("encoder.conv_in", width, config.count("in_channels"))
        for index, channels in enumerate(levels):
            for _ in range(blocks):
                yield from vqgan.resnet(f"down.{index}", width, channels)
                width = channels
                if index in attends:
                    yield from self._attention(f"down.{index}.attn", width, None)
            if index != len(levels) - 1:
                yield vqgan.conv(f"down.{index}.downsample", width, width)
        yield from self._middle(width, None)
        yield vqgan.group_norm("encoder.norm_out", width)
        yield vqgan.conv("encoder.conv_out", out, width)
        yield from self._over_time(out, 4)
        yield from self._over_time(latent, 3)
        yield vqgan.conv("decoder.conv_in", width, latent)
        yield from self._middle(width, codes)
        for index in reversed(range(len(levels))):
            for _ in range(blocks + 1):
                yield from vqgan.resnet(f"up.{index}", width, levels[index], codes)
                width = levels[index]
                if index in attends:
                    yield from self._attention(f"up.{index}.attn", width, codes)
            if index:
                yield vqgan.conv(f"up.{index}.upsample", width, width)
        yield from vqgan.spatial_norm("decoder.norm_out", width, codes)
        yield vqgan.conv("decoder.conv_out", config.count("out_channels"), width)
        yield embedding("quantize.embedding", config.count("codebook_size"), codes, component="vision")
        yield convolution("quant_conv", codes, latent, 3, 1, 1, bias=True, component="vision", split="replicated")
        yield convolution("post_quant_conv", latent, codes, 3, 1, 1, bias=True, component="vision", split="replicated")


class Emu3Text(Decoder):
    """Emu 3's language model."""

    model_types = ("emu3_text_model",)
    architectures = ("Emu3ForCausalLM",)
    source = "transformers 5.18 modeling_emu3.py"


class Emu3(Composed):
    """Emu 3."""

    model_types = ("emu3",)
    architectures = ("Emu3ForConditionalGeneration",)
    source = "transformers 5.18 modeling_emu3.py"
    towers: ClassVar[dict[str, Component]] = {"vq_config": "vision"}
    fixed: ClassVar[dict[str, str]] = {"text_config": "emu3_text_model", "vq_config": "emu3_vqgan"}
