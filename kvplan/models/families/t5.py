"""T5 and the models built like it: relative positions, heads of `d_kv`, norms without bias, no other bias anywhere."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.encoder_decoder import EncoderDecoder, architecture, label_count
from kvplan.models.spec import Moe, Note
from kvplan.models.towers import encoder_layer, self_attention, sides
from kvplan.weights import blocks
from kvplan.weights.parts import Part, convolution, embedding, linear, norm


class T5(EncoderDecoder):
    """T5, T5 1.1, Flan-T5, mT5 and Pop2Piano's stacks: the first layer of each stack has the table of relative positions."""

    model_types = ("t5", "mt5")
    architectures = ("T5ForConditionalGeneration", "T5WithLMHeadModel", "T5EncoderModel", "MT5ForConditionalGeneration")
    source = "transformers 5.18 modeling_t5.py, configuration_t5.py __post_init__"
    qkv_bias = False
    output_bias = False
    mlp_bias = False
    norm_bias = False
    alone = False
    max_context_tokens = None  # positions are relative; `n_positions` is not used
    every_layer_biased: ClassVar[bool] = False

    @cached_property
    def tied(self) -> bool:
        """Always: the class overrides what the file says."""
        return True

    @cached_property
    def encoder_only(self) -> bool:
        """The encoder's own class, or its token classifier."""
        return architecture(self.config).endswith(("EncoderModel", "ForTokenClassification"))

    @cached_property
    def layer_count(self) -> int:
        """`num_decoder_layers`, else as many as the encoder has."""
        return self.config.optional_count("num_decoder_layers") or self.encoder_layer_count

    @cached_property
    def encoder_layer_count(self) -> int:
        """`num_layers`."""
        return self.config.count("num_hidden_layers", "num_layers")

    @cached_property
    def heads(self) -> int:
        """`num_heads`, in both stacks."""
        return self.config.count("num_attention_heads", "num_heads")

    @cached_property
    def head_dim(self) -> int:
        """`d_kv`, whatever the width is."""
        return self.config.count("head_dim", "d_kv")

    @cached_property
    def intermediate_size(self) -> int:
        """`d_ff`, in both stacks."""
        return self.config.count("d_ff")

    @property
    def gated_mlp(self) -> bool:
        """`feed_forward_proj` starts with `gated`."""
        return self.config.text("feed_forward_proj", default="relu").split("-")[0] == "gated"

    def relative_positions(self, layers: int) -> Iterator[Part]:
        """Return the tables of relative positions of a stack."""
        yield embedding(
            "relative_attention_bias",
            self.config.count("relative_attention_num_buckets") * (layers if self.every_layer_biased else 1),
            self.heads,
            split="replicated",
        )

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer."""
        return encoder_layer(
            self.hidden_size,
            self.intermediate_size,
            component="encoder",
            inner=self.heads * self.head_dim,
            qkv_bias=False,
            output_bias=False,
            mlp_bias=False,
            gated=self.gated_mlp,
            norm_bias=False,
        )

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder."""
        yield from super().encoder_parts()
        yield from self.relative_positions(self.encoder_layer_count)
        yield norm("encoder.final_layer_norm", self.hidden_size, component="encoder")
        if architecture(self.config).endswith("ForTokenClassification"):
            yield linear("classifier", label_count(self.config), self.hidden_size, bias=True, component="head")

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's last norm and relative positions."""
        yield from self.relative_positions(self.layer_count)
        yield norm("decoder.final_layer_norm", self.hidden_size)

    def assumptions(self) -> Iterator[Note]:
        """Add what the file means by an untied head."""
        yield from super().assumptions()
        if self.config.raw("tie_word_embeddings") is False and self.tied:
            yield Note(
                f"The file says that the head is not tied; transformers 5.18 ties it all the same. A checkpoint that "
                f"holds a head of its own has {self.vocab_size * self.hidden_size:,} parameters more.",
                "transformers 5.18 configuration_t5.py __post_init__",
            )


class Umt5(T5):
    """UMT5: relative positions in every layer."""

    model_types = ("umt5",)
    architectures = ("UMT5ForConditionalGeneration", "UMT5EncoderModel")
    source = "transformers 5.18 modeling_umt5.py"
    every_layer_biased = True


class LongT5(T5):
    """LongT5: the encoder's attention is local, or local and transient-global with a norm and one more table."""

    model_types = ("longt5",)
    architectures = ("LongT5ForConditionalGeneration",)
    source = "transformers 5.18 modeling_longt5.py"

    @cached_property
    def _global(self) -> bool:
        kind = self.config.text("encoder_attention_type", default="local")
        if kind not in ("local", "transient-global"):
            raise self.config.fail("encoder_attention_type", f"is {kind!r}; local or transient-global was expected.")
        return kind == "transient-global"

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder."""
        yield from super().encoder_parts()
        if self._global:
            yield from self.relative_positions(1)

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer."""
        yield from super().encoder_layer_parts()
        if self._global:
            yield norm("global_input_layer_norm", self.hidden_size, component="encoder")


class Pop2Piano(T5):
    """Pop2Piano: T5 that reads mel frames conditioned on a composer."""

    model_types = ("pop2piano",)
    architectures = ("Pop2PianoForConditionalGeneration",)
    source = "transformers 5.18 modeling_pop2piano.py"

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tokens' and the composers' tables."""
        yield from super().embedding_parts()
        yield embedding("mel_conditioner", self.config.count("composer_vocab_size"), self.hidden_size)

    def head_parts(self) -> Iterator[Part]:
        """Return the head, which is never tied (`_tied_weights_keys` leaves it out)."""
        yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")


class Switch(T5):
    """Switch Transformers: T5 in which every n-th layer of each stack routes to one of the experts."""

    model_types = ("switch_transformers",)
    architectures = ("SwitchTransformersForConditionalGeneration",)
    source = "transformers 5.18 modeling_switch_transformers.py, configuration_switch_transformers.py __post_init__"
    gated_mlp = False

    @cached_property
    def tied(self) -> bool:
        """Tied unless the file says otherwise."""
        return self.config.flag("tie_word_embeddings", default=True)

    def _is_moe(self, stack: str, index: int, layers: int) -> bool:
        """Layers 1, 1 + step, ...; without sparse layers the step is the stack's depth, which still makes layer 1 one."""
        sparse = self.config.count(f"num_sparse_{stack}_layers", minimum=0)
        step = layers // sparse if sparse else layers
        return step > 0 and (index % step == 1 or step == 1)

    @cached_property
    def moe(self) -> Moe:
        """One of `num_experts` experts."""
        return Moe(
            experts=self.config.count("num_experts"), experts_per_token=1, intermediate_size=self.intermediate_size
        )

    def _mlp(self, stack: str, index: int, layers: int) -> Iterator[Part]:
        if not self._is_moe(stack, index, layers):
            yield from blocks.plain_mlp(self.hidden_size, self.intermediate_size, bias=False)
            return
        count = self.config.count("num_experts")
        yield from blocks.router(self.hidden_size, count, bias=self.config.flag("router_bias", default=False))
        yield from blocks.experts(self.hidden_size, self.intermediate_size, count, gated=False)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return a dense MLP or the experts."""
        yield from self._mlp("decoder", index, self.layer_count)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder, its experts counted as experts."""
        layers = self.encoder_layer_count
        for index in range(layers):
            yield from self_attention(
                self.hidden_size,
                component="encoder",
                inner=self.heads * self.head_dim,
                qkv_bias=False,
                output_bias=False,
            )
            yield norm("layer_norms", self.hidden_size, component="encoder", count=2)
            yield from self._mlp("encoder", index, layers)
        yield from self.relative_positions(layers)
        yield norm("encoder.final_layer_norm", self.hidden_size, component="encoder")


class Udop(T5):
    """UDOP: T5 over text, layout and image patches; two tables of cell positions, three of relative ones in each stack."""

    model_types = ("udop",)
    architectures = ("UdopForConditionalGeneration", "UdopEncoderModel")
    source = "transformers 5.18 modeling_udop.py"

    @cached_property
    def _bias_args(self) -> list[object]:
        return self.config.items("relative_bias_args") or ["1d", "horizontal", "vertical"]

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Tables of relative positions with settings of their own are not counted."""
        plain = all(not isinstance(item, dict) or item.keys() <= {"type", "num_heads"} for item in self._bias_args)
        return None if plain else "relative_bias_args has settings that no rule covers"

    def _patch_embedding(self, prefix: str) -> Iterator[Part]:
        yield convolution(
            f"{prefix}patch_embed",
            self.hidden_size,
            self.config.count("num_channels"),
            *sides(self.config, "patch_size"),
            bias=True,
            component="vision",
            split="replicated",
        )

    def _aggregated(self) -> Iterator[Part]:
        """Return the tables of 32 rows; the first is the first layer's own but in the bare `UdopModel`."""
        tables = len(self._bias_args) - (architecture(self.config) != "UdopModel")
        yield embedding("relative_bias", 32 * tables, self.heads, split="replicated")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder with its tables of cells."""
        yield from super().encoder_parts()
        yield from self._patch_embedding("")
        cells = self.config.count("max_2d_position_embeddings")
        yield embedding("cell_2d_embedding", 2 * cells, self.hidden_size, component="encoder")
        yield from self._aggregated()

    def decoder_parts(self) -> Iterator[Part]:
        """Return the decoder's norm and tables, and the patch embedding that it has and does not use."""
        yield from super().decoder_parts()
        yield from self._patch_embedding("decoder.")
        yield from self._aggregated()
