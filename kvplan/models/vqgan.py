"""The image tokenizers that Chameleon, Janus and Emu 3 carry: convolutional encoders and decoders around a codebook."""

from collections.abc import Iterator, Sequence

from kvplan.models.config import Config
from kvplan.weights.parts import Part, convolution, embedding, norm


def conv(name: str, out: int, source: int, side: int = 3) -> Part:
    """Return a two-dimensional convolution with a bias."""
    return convolution(name, out, source, side, side, bias=True, component="vision", split="replicated")


def group_norm(name: str, width: int) -> Part:
    """Return a GroupNorm: a weight and a bias per channel."""
    return norm(name, width, bias=True, component="vision")


def spatial_norm(name: str, width: int, condition: int) -> Iterator[Part]:
    """Return a GroupNorm whose scale and shift come from the codes, through two 1 x 1 convolutions."""
    yield group_norm(f"{name}.norm_layer", width)
    yield conv(f"{name}.conv_y", width, condition, 1)
    yield conv(f"{name}.conv_b", width, condition, 1)


def any_norm(name: str, width: int, condition: int | None) -> Iterator[Part]:
    """Return a GroupNorm, or a spatial one where the codes are at hand."""
    if condition is None:
        yield group_norm(name, width)
    else:
        yield from spatial_norm(name, width, condition)


def resnet(name: str, source: int, out: int, condition: int | None = None) -> Iterator[Part]:
    """Return a residual block: two norms, two convolutions, and a 1 x 1 shortcut where the width changes."""
    yield from any_norm(f"{name}.norm1", source, condition)
    yield conv(f"{name}.conv1", out, source)
    yield from any_norm(f"{name}.norm2", out, condition)
    yield conv(f"{name}.conv2", out, out)
    if source != out:
        yield conv(f"{name}.nin_shortcut", out, source, 1)


def attention(name: str, width: int) -> Iterator[Part]:
    """Return an attention block: a norm and four 1 x 1 convolutions."""
    yield group_norm(f"{name}.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield conv(f"{name}.{part}", width, width, 1)


def widths(config: Config) -> list[int]:
    """Return the channels of each level: `base_channels` x `channel_multiplier`.

    Raises:
        ConfigError: there is no level.

    """
    base, multipliers = config.count("base_channels"), config.counts("channel_multiplier")
    if not multipliers:
        raise config.fail("channel_multiplier", "is not stated; a list of whole numbers was expected.")
    return [base * multiplier for multiplier in multipliers]


def middle(width: int, *, attends: bool = True) -> Iterator[Part]:
    """Return the middle of an encoder or decoder: residual, attention, residual."""
    yield from resnet("mid.block_1", width, width)
    if attends:
        yield from attention("mid.attn_1", width)
    yield from resnet("mid.block_2", width, width)


def encoder(config: Config, attention_at: Sequence[bool], *, middle_attends: bool = True) -> Iterator[Part]:
    """Return the encoder; `attention_at` says for each level whether its blocks attend."""
    levels, blocks = widths(config), config.count("num_res_blocks")
    width = config.count("base_channels")
    yield conv("conv_in", width, config.count("in_channels"))
    for index, out in enumerate(levels):
        for _ in range(blocks):
            yield from resnet(f"down.{index}", width, out)
            width = out
            if attention_at[index]:
                yield from attention(f"down.{index}.attn", width)
        if index != len(levels) - 1:
            yield conv(f"down.{index}.downsample", width, width)
    yield from middle(width, attends=middle_attends)
    yield group_norm("norm_out", width)
    latent = config.count("latent_channels")
    yield conv("conv_out", 2 * latent if config.flag("double_latent", default=False) else latent, width)


def decoder(config: Config, attention_at: Sequence[bool]) -> Iterator[Part]:
    """Return the decoder: the levels backwards, one more block each."""
    levels, blocks = widths(config), config.count("num_res_blocks") + 1
    width = levels[-1]
    yield conv("decoder.conv_in", width, config.count("latent_channels"))
    yield from middle(width)
    for index in reversed(range(len(levels))):
        for _ in range(blocks):
            yield from resnet(f"up.{index}", width, levels[index])
            width = levels[index]
            if attention_at[index]:
                yield from attention(f"up.{index}.attn", width)
        if index:
            yield conv(f"up.{index}.upsample", width, width)
    yield group_norm("decoder.norm_out", width)
    yield conv("decoder.conv_out", config.count("out_channels"), width)


def codebook(config: Config) -> Iterator[Part]:
    """Return the codes and the 1 x 1 convolutions to and from them."""
    width, latent = config.count("embed_dim"), config.count("latent_channels")
    yield embedding("quantize.embedding", config.count("num_embeddings"), width, component="vision")
    yield conv("quant_conv", width, latent, 1)
    yield conv("post_quant_conv", latent, width, 1)
