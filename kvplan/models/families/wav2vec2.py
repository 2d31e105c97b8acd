"""wav2vec 2.0 and HuBERT: convolutions over the waveform, a positional convolution, a transformer; no decoding."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import architecture, label_count
from kvplan.models.towers import Tower, encoder_layer, times
from kvplan.weights.parts import Part, convolution, linear, norm, vector


class Wav2Vec2(Tower):
    """wav2vec 2.0, bare or with a CTC head."""

    model_types = ("wav2vec2",)
    architectures = ("Wav2Vec2Model", "Wav2Vec2ForCTC")
    source = "transformers 5.18 modeling_wav2vec2.py"
    cacheless = "a speech encoder"

    @cached_property
    def name(self) -> str:
        """The class that the file names; a composite model clears it."""
        return architecture(self.config)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Other heads are not counted."""
        known = not self.name or self.name.endswith(("Model", "ForCTC", "ForSequenceClassification"))
        return None if known else f"the class {self.name} is not one that is counted"

    @cached_property
    def features(self) -> int:
        """Width of what the encoder hands on."""
        if self.config.flag("add_adapter", default=False):
            return self.config.optional_count("output_hidden_size") or self.width
        return self.width

    def outer(self) -> Iterator[Part]:
        """Return all parameters."""
        yield from self.feature_parts()
        yield from self.projection_parts()
        config, width = self.config, self.width
        if config.number("mask_time_prob", default=0.05) > 0 or config.number("mask_feature_prob", default=0) > 0:
            yield vector("masked_spec_embed", width, component="audio")
        yield from self.position_parts()
        yield norm("encoder.layer_norm", width, bias=True, component="audio")
        yield from times(self.depth, self.layer())
        if config.flag("add_adapter", default=False):
            yield from self.adapter_parts()
        yield from self.head_parts()

    def feature_parts(self) -> Iterator[Part]:
        """Return the convolutions: a norm after the first, or after each.

        Raises:
            ConfigError: their lists do not go together.

        """
        config = self.config
        widths, kernels = config.counts("conv_dim") or [], config.counts("conv_kernel") or []
        if not widths or len(kernels) < len(widths):
            raise config.fail("conv_kernel", "does not have a kernel for each of conv_dim.")
        kind = config.text("feat_extract_norm", default="group")
        if kind not in ("group", "layer"):
            raise config.fail("feat_extract_norm", f"is {kind[:40]!r}; group or layer was expected.")
        source = 1
        for index, (width, kernel) in enumerate(zip(widths, kernels, strict=False)):
            bias = config.flag("conv_bias", default=False)
            yield convolution(
                f"conv_layers.{index}", width, source, kernel, bias=bias, component="audio", split="replicated"
            )
            if kind == "layer" or index == 0:
                yield norm(f"conv_layers.{index}.layer_norm", width, bias=True, component="audio")
            source = width

    @cached_property
    def _last(self) -> int:
        return (self.config.counts("conv_dim") or [1])[-1]

    def projection_parts(self) -> Iterator[Part]:
        """Return the projection to the layers' width."""
        yield norm("feature_projection.layer_norm", self._last, bias=True, component="audio")
        yield linear("feature_projection.projection", self.width, self._last, bias=True, component="audio")

    def position_parts(self) -> Iterator[Part]:
        """Return the convolution for positions, its weight in torch's weight_norm: one length for each tap."""
        config, width = self.config, self.width
        taps, groups = config.count("num_conv_pos_embeddings"), config.count("num_conv_pos_embedding_groups")
        yield convolution(
            "pos_conv_embed", width, width // groups, taps, bias=True, component="audio", split="replicated"
        )
        yield vector("pos_conv_embed.weight_g", taps, component="audio")

    def layer(self) -> Iterator[Part]:
        """Return one layer, with its adapter where the file has them and norms stand before."""
        yield from encoder_layer(self.width, self.mlp, component="audio")
        narrow = self.config.optional_count("adapter_attn_dim")
        if narrow and self.config.flag("do_stable_layer_norm", default=False):
            yield norm("adapter_layer.norm", self.width, bias=True, component="audio")
            yield linear("adapter_layer.linear_1", narrow, self.width, bias=True, component="audio")
            yield linear("adapter_layer.linear_2", self.width, narrow, bias=True, component="audio")

    def adapter_parts(self) -> Iterator[Part]:
        """Return the adapter: a projection where the width changes, strided convolutions with gates."""
        config, out = self.config, self.features
        if out != self.width:
            yield linear("adapter.proj", out, self.width, bias=True, component="audio")
            yield norm("adapter.proj_layer_norm", out, bias=True, component="audio")
        layers, kernel = config.count("num_adapter_layers", minimum=0), config.count("adapter_kernel_size")
        yield convolution(
            "adapter.layers", 2 * out, out, kernel, bias=True, component="audio", count=layers, split="replicated"
        )

    def head_parts(self) -> Iterator[Part]:
        """Return the class's head."""
        config = self.config
        if self.name.endswith("ForCTC"):
            yield linear("lm_head", config.count("vocab_size"), self.features, bias=True, component="head")
        if self.name.endswith("ForSequenceClassification"):
            width = config.count("classifier_proj_size")
            yield linear("projector", width, self.width, bias=True, component="head")
            yield linear("classifier", label_count(config), width, bias=True, component="head")
            if config.flag("use_weighted_layer_sum", default=False):
                yield vector("layer_weights", self.depth + 1, component="head")


class Hubert(Wav2Vec2):
    """HuBERT: wav2vec 2.0 whose projection may lack the norm, whose positions may have one."""

    model_types = ("hubert",)
    architectures = ("HubertModel", "HubertForCTC")
    source = "transformers 5.18 modeling_hubert.py"

    def projection_parts(self) -> Iterator[Part]:
        """Return the projection."""
        if self.config.flag("feat_proj_layer_norm", default=True):
            yield norm("feature_projection.layer_norm", self._last, bias=True, component="audio")
        yield linear("feature_projection.projection", self.width, self._last, bias=True, component="audio")

    def position_parts(self) -> Iterator[Part]:
        """Return the convolution for positions, with a batch norm instead of weight_norm where the file says so."""
        normed = self.config.flag("conv_pos_batch_norm", default=False)
        yield from (part for part in super().position_parts() if not (normed and part.name.endswith("weight_g")))
        if normed:
            yield norm("pos_conv_embed.batch_norm", self.width, bias=True, component="audio")
