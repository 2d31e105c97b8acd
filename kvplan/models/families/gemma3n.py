"""Gemma 3n: a window in four layers of five, the last layers on an earlier one's cache; per-layer embeddings, AltUp, LAuReL."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.config import Config
from kvplan.models.decoder import FULL, SLIDING
from kvplan.models.families.gemma2 import Gemma
from kvplan.models.spec import Layer
from kvplan.models.towers import Composed, Tower, replicated, times
from kvplan.weights.parts import Component, Part, convolution, embedding, linear, norm, vector


class SharedCache(Gemma):
    """A Gemma whose last `num_kv_shared_layers` layers read the cache of the last earlier layer of their own type."""

    borrows: bool = False  # whether layers without an owner read another model's cache (a draft model)

    @cached_property
    def owners(self) -> int:
        """Layers with a cache of their own: those before the sharing ones."""
        shared = self.config.count("num_kv_shared_layers", default=0, minimum=0)
        if shared > self.layer_count:
            raise self.config.fail("num_kv_shared_layers", f"is {shared}, more than the {self.layer_count} layers.")
        return self.layer_count - shared

    def shares(self, index: int) -> bool:
        """Whether layer `index` has no keys and values of its own."""
        return index >= self.owners

    @cached_property
    def lenders(self) -> dict[str, int]:
        """The layer of each type whose cache is shared: the last that has one."""
        return {kind: index for index, kind in enumerate(self.layer_types[: self.owners])}

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; one that shares keeps nothing.

        Raises:
            ConfigError: a layer shares, but none before it has its type.

        """
        layers = []
        for i in range(self.layer_count):
            kind = self.layer_types[i]
            if not self.shares(i):
                layers.append(Layer(caches=self.caches(i), parts=tuple(self.parts(i))))
            elif kind in self.lenders or self.borrows:
                layers.append(Layer(caches=(), parts=tuple(self.parts(i)), shares_cache_of=self.lenders.get(kind)))
            else:
                raise self.config.fail("num_kv_shared_layers", f"leaves no {kind} layer for layer {i} to share with.")
        return tuple(layers)

    def own_parts(self, index: int, parts: Iterator[Part]) -> Iterator[Part]:
        """Return the attention's parts without keys and values where layer `index` shares them."""
        absent = ("k_proj", "v_proj", "k_norm") if self.shares(index) else ()
        return (part for part in parts if part.name not in absent)


class Gemma3nText(SharedCache):
    """Gemma 3n's language model."""

    model_types = ("gemma3n_text",)
    architectures = ("Gemma3nForCausalLM",)
    source = "transformers 5.18 modeling_gemma3n.py, configuration_gemma3n.py __post_init__"
    qk_norm = True
    norms_per_layer = 4

    @cached_property
    def mlp_widths(self) -> list[int]:
        """Width of each layer's MLP: a list, or one for all."""
        stated = self.config.raw("intermediate_size")
        if not isinstance(stated, list | tuple):
            return [self.config.count("intermediate_size")] * self.layer_count
        widths = self.config.counts("intermediate_size") or []
        if len(widths) != self.layer_count:
            raise self.config.fail("intermediate_size", f"has {len(widths)} widths for {self.layer_count} layers.")
        return widths

    @cached_property
    def per_layer(self) -> int:
        """Width of the input that each layer has of its own."""
        return self.config.count("hidden_size_per_layer_input")

    @cached_property
    def streams(self) -> int:
        """Copies of the hidden state that AltUp keeps."""
        return self.config.count("altup_num_inputs")

    def layer_type_rule(self, index: int) -> str:
        """Every fifth layer is full."""
        return SLIDING if (index + 1) % 5 else FULL

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return the projections and norms, keys and values only where they are the layer's own."""
        return self.own_parts(index, super().attention_parts(index))

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, the low-rank residual (LAuReL), AltUp and the layer's own input."""
        hidden, streams = self.hidden_size, self.streams
        rank = self.config.count("laurel_rank")
        yield from self.dense_mlp(self.mlp_widths[index])
        yield linear("laurel.linear_left", rank, hidden, component="mlp")
        yield linear("laurel.linear_right", hidden, rank, component="mlp", split="row")
        yield norm("laurel.post_laurel_norm", hidden)
        yield vector("altup.correct_output_scale", hidden, component="other")
        yield linear("altup.correction_coefs", streams, streams, component="other", split="replicated")
        yield linear("altup.prediction_coefs", streams * streams, streams, component="other", split="replicated")
        yield linear("altup.modality_router", streams, hidden, component="other", split="replicated")
        yield norm("altup.router_norm", hidden)
        yield linear("per_layer_input_gate", self.per_layer, hidden, component="mlp", split="replicated")
        yield linear("per_layer_projection", hidden, self.per_layer, component="mlp", split="replicated")
        yield norm("post_per_layer_input_norm", hidden)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the embedding, the one of the layers' own inputs, and AltUp's projections."""
        width = self.layer_count * self.per_layer
        yield from super().embedding_parts()
        yield embedding("embed_tokens_per_layer", self.config.count("vocab_size_per_layer_input"), width)
        yield linear("per_layer_model_projection", width, self.hidden_size, component="embeddings")
        yield norm("per_layer_projection_norm", self.per_layer)
        for name in ("altup_projections", "altup_unembed_projections"):
            if self.streams > 1:
                yield linear(
                    name,
                    self.hidden_size,
                    self.hidden_size,
                    component="other",
                    count=self.streams - 1,
                )


class Gemma3nAudio(Tower):
    """The audio tower (USM): two convolutions, then conformer blocks."""

    model_types = ("gemma3n_audio",)
    source = "transformers 5.18 modeling_gemma3n.py"

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        c, width = self.config, self.width
        heads = c.count("conf_num_attention_heads")
        yield from replicated(self.stem())
        if heads > width:
            raise c.fail("conf_num_attention_heads", f"is {heads}, more than the width ({width}).")
        yield from times(
            c.count("conf_num_hidden_layers", minimum=0),
            replicated(
                (
                    linear("ffw.ffw_layer_1", 4 * width, width, component="audio", count=2),
                    linear("ffw.ffw_layer_2", width, 4 * width, component="audio", split="row", count=2),
                    linear("attention", width, width, component="audio", count=5),  # q, k, v, post and positions
                    vector("per_dim_scale", width // heads, component="audio"),
                    linear("lconv1d.linear_start", 2 * width, width, component="audio"),
                    convolution(
                        "lconv1d.depthwise_conv1d",
                        width,
                        1,
                        c.count("conf_conv_kernel_size"),
                        component="audio",
                        split="replicated",
                    ),
                    linear("lconv1d.linear_end", width, width, component="audio"),
                    norm("norms", width, component="audio", count=9),
                )
            ),
        )

    def stem(self) -> Iterator[Part]:
        """Return the two convolutions over time and frequency, their norms and the projection after them."""
        c = self.config
        channels = c.counts("sscp_conv_channel_size") or []
        kernels, strides = (_pairs(c, key) for key in ("sscp_conv_kernel_size", "sscp_conv_stride_size"))
        if len(channels) < 2:
            raise c.fail("sscp_conv_channel_size", "does not hold two numbers.")
        bins, before = c.count("input_feat_size"), 1
        for out, (time, frequency), (_, stride) in zip(channels, kernels, strides, strict=False):
            yield convolution("subsample.conv", out, before, time, frequency, component="audio", split="replicated")
            yield norm("subsample.norm", out, component="audio")
            bins, before = max((bins + 2 - frequency) // stride + 1, 0), out
        yield linear("subsample.input_proj_linear", self.width, before * bins, component="audio")


def _pairs(config: Config, key: str) -> list[tuple[int, int]]:
    stated = config.items(key) or []
    if len(stated) != 2 or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in stated):
        raise config.fail(key, "does not hold two pairs of numbers.")
    return [(config.checked_count(key, pair[0]), config.checked_count(key, pair[1])) for pair in stated]


class Gemma3nVision(Tower):
    """The vision tower, an architecture of timm's."""

    model_types = ("gemma3n_vision",)
    source = "timm 1.0.31 mobilenetv5.py, counted"
    counted: ClassVar[dict[str, int]] = {"mobilenetv5_300m_enc": 294_126_912}

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Only the published architecture is counted."""
        name = self.config.text("architecture")
        changed = self.config.states("model_args")
        return None if name in self.counted and not changed else f"no rule counts the vision tower {name!r}"

    def outer(self) -> Iterator[Part]:
        """Return all parameters as one."""
        if self.unknown_parameters is None:
            yield vector("timm_model", self.counted[self.config.text("architecture")], component="vision")


class Gemma3n(Composed):
    """Gemma 3n with its towers."""

    model_types = ("gemma3n",)
    architectures = ("Gemma3nForConditionalGeneration",)
    source = "transformers 5.18 modeling_gemma3n.py"
    fixed: ClassVar[dict[str, str]] = {
        "text_config": "gemma3n_text",
        "vision_config": "gemma3n_vision",
        "audio_config": "gemma3n_audio",
    }
    towers: ClassVar[dict[str, Component]] = {"vision_config": "vision", "audio_config": "audio"}

    def projector_parts(self) -> Iterator[Part]:
        """Return each tower's table of hard tokens, two norms and a projection."""
        for key, component in self.towers.items():
            tower = self.tower(key)
            width = tower.config.count("hidden_size")
            name = f"embed_{component}"
            yield embedding(f"{name}.embedding", tower.config.count("vocab_size"), width, component="projector")
            yield norm(f"{name}.norms", width, component="projector", count=2)
            yield self.join(f"{name}.embedding_projection", self.hidden_size, width, bias=False, split="row")
