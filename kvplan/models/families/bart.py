"""BART and the sequence-to-sequence models built like it: they differ in positions, norms and biases only."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from kvplan.models.encoder_decoder import EncoderDecoder
from kvplan.models.spec import Moe
from kvplan.models.towers import encoder_layer, self_attention
from kvplan.weights import blocks
from kvplan.weights.parts import Component, Part, embedding, linear, norm


class Bart(EncoderDecoder):
    """BART."""

    model_types = ("bart",)
    architectures = ("BartForConditionalGeneration", "BartModel")
    source = "transformers 5.18 modeling_bart.py, configuration_bart.py __post_init__"
    default_labels = 3
    extra_positions: ClassVar[int | None] = 2  # rows of the learned table beside the positions; None: no parameters
    embedding_norm: ClassVar[bool] = True
    final_norm: ClassVar[bool] = False

    @cached_property
    def encoder_positions(self) -> int:
        """Positions of the encoder."""
        return self.config.count("max_position_embeddings")

    @cached_property
    def decoder_positions(self) -> int:
        """Positions of the decoder."""
        return self.config.count("max_position_embeddings")

    @cached_property
    def max_context_tokens(self) -> int:
        """The decoder's positions."""
        return self.decoder_positions

    def _stack_parts(self, prefix: str, rows: int, component: Component | None) -> Iterator[Part]:
        if self.extra_positions is not None:
            yield embedding(
                f"{prefix}.embed_positions",
                rows + self.extra_positions,
                self.hidden_size,
                component=component or "embeddings",
                split="replicated",
            )
        if count := self.embedding_norm + self.final_norm:
            yield norm(
                f"{prefix}.layer_norms", self.hidden_size, bias=True, component=component or "norms", count=count
            )

    def encoder_parts(self) -> Iterator[Part]:
        """Return positions, layers and norms of the encoder."""
        yield from self._stack_parts("encoder", self.encoder_positions, "encoder")
        yield from super().encoder_parts()

    def decoder_parts(self) -> Iterator[Part]:
        """Return positions and norms of the decoder."""
        yield from self._stack_parts("decoder", self.decoder_positions, None)


class PlBart(Bart):
    """PLBART."""

    model_types = ("plbart",)
    architectures = ("PLBartForConditionalGeneration",)
    source = "transformers 5.18 modeling_plbart.py"
    default_labels = 2


class Mvp(PlBart):
    """MVP: BART with optional prompts, small networks that make keys and values for every layer of the decoder.

    The encoder's is never built: transformers 5.18 passes `use_prompt` to the encoder in the wrong place.
    """

    model_types = ("mvp",)
    architectures = ("MvpForConditionalGeneration",)
    source = "transformers 5.18 modeling_mvp.py MvpPrompt"

    def decoder_parts(self) -> Iterator[Part]:
        """Return BART's decoder and its two prompts, for self- and cross-attention; a decoder on its own has none."""
        yield from super().decoder_parts()
        if self.config.flag("use_prompt", default=False) and not self.alone:
            middle, out = self.config.count("prompt_mid_dim"), self.layer_count * 2 * self.hidden_size
            yield embedding("prompt_embedding", 2 * self.config.count("prompt_length"), self.hidden_size)
            yield linear("prompt_trans.0", middle, self.hidden_size, bias=True, component="other", count=2)
            yield linear("prompt_trans.2", out, middle, bias=True, component="other", count=2)


class MBart(PlBart):
    """mBART: norms before the attention, so one more at the end."""

    model_types = ("mbart",)
    architectures = ("MBartForConditionalGeneration", "MBartForCausalLM")
    source = "transformers 5.18 modeling_mbart.py"
    final_norm = True


class BlenderbotSmall(PlBart):
    """Blenderbot small: positions without BART's two spare rows."""

    model_types = ("blenderbot-small",)
    architectures = ("BlenderbotSmallForConditionalGeneration",)
    source = "transformers 5.18 modeling_blenderbot_small.py"
    extra_positions = 0


class Pegasus(PlBart):
    """Pegasus and Blenderbot: no norm after the embedding, one at the end. Pegasus' sinusoids are parameters too."""

    model_types = ("pegasus", "blenderbot")
    architectures = ("PegasusForConditionalGeneration", "BlenderbotForConditionalGeneration")
    source = "transformers 5.18 modeling_pegasus.py, modeling_blenderbot.py"
    extra_positions = 0
    embedding_norm = False
    final_norm = True


class Marian(Bart):
    """Marian (Opus-MT): no norms outside the layers; the two languages may have vocabularies of their own."""

    model_types = ("marian",)
    architectures = ("MarianMTModel", "MarianModel")
    source = "transformers 5.18 modeling_marian.py, configuration_marian.py __post_init__"
    extra_positions = 0
    embedding_norm = False

    @cached_property
    def _shared(self) -> bool:
        return self.config.flag("share_encoder_decoder_embeddings", default=True)

    @cached_property
    def _target_vocab(self) -> int:
        return self.config.optional_count("decoder_vocab_size", minimum=0) or self.config.count("vocab_size")

    @cached_property
    def vocab_size(self) -> int:
        """What the decoder writes."""
        return self.config.count("vocab_size") if self._shared or self.alone else self._target_vocab

    def embedding_parts(self) -> Iterator[Part]:
        """Return one table; or one for each language; or, where nothing is tied, all three."""
        source = self.config.count("vocab_size")
        if self.alone:
            yield embedding("decoder.embed_tokens", self._target_vocab, self.hidden_size)
            return
        if self._shared:
            yield embedding("shared", source, self.hidden_size)
        if not (self._shared and self.tied):
            yield embedding("encoder.embed_tokens", source, self.hidden_size)
            yield embedding("decoder.embed_tokens", self._target_vocab, self.hidden_size)


class M2M100(Bart):
    """M2M-100 and NLLB: sinusoidal positions that are no parameters, a norm at the end."""

    model_types = ("m2m_100",)
    architectures = ("M2M100ForConditionalGeneration",)
    source = "transformers 5.18 modeling_m2m_100.py"
    extra_positions = None
    embedding_norm = False
    final_norm = True


class NllbMoe(M2M100):
    """NLLB-MoE: every fourth layer of both stacks routes over plain experts."""

    model_types = ("nllb-moe",)
    architectures = ("NllbMoeForConditionalGeneration",)
    source = "transformers 5.18 modeling_nllb_moe.py NllbMoeEncoder, NllbMoeDecoder"

    def _is_moe(self, stack: str, index: int) -> bool:
        step = self.config.count(f"{stack}_sparse_step", minimum=0)
        return step > 0 and (index + 1) % step == 0

    @cached_property
    def moe(self) -> Moe:
        """Two of `num_experts` experts (NllbMoeTop2Router)."""
        return Moe(
            experts=self.config.count("num_experts"), experts_per_token=2, intermediate_size=self.intermediate_size
        )

    def _mlp(self, stack: str, index: int, width: int) -> Iterator[Part]:
        if not self._is_moe(stack, index):
            yield from blocks.plain_mlp(self.hidden_size, width)
            return
        count = self.config.count("num_experts")
        yield from blocks.router(self.hidden_size, count, bias=self.config.flag("router_bias", default=False))
        yield from blocks.experts(self.hidden_size, width, count, gated=False, bias=True)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return a dense MLP or the experts."""
        yield from self._mlp("decoder", index, self.intermediate_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder's layers, its experts counted as experts."""
        yield from self._stack_parts("encoder", self.encoder_positions, "encoder")
        for index in range(self.encoder_layer_count):
            yield from self_attention(self.hidden_size, component="encoder")
            yield from self._mlp("encoder", index, self.encoder_intermediate_size)
            yield norm("layer_norms", self.hidden_size, bias=True, component="encoder", count=2)


class BigBirdPegasus(PlBart):
    """BigBird-Pegasus: attention without biases unless `use_bias`; block-sparse in the encoder only."""

    model_types = ("bigbird_pegasus",)
    architectures = ("BigBirdPegasusForConditionalGeneration",)
    source = "transformers 5.18 modeling_bigbird_pegasus.py"
    extra_positions = 0

    @property
    def qkv_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=False)

    @cached_property
    def tied(self) -> bool:
        """As the file says; a decoder on its own has no tie."""
        return super().tied and not self.alone

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer."""
        return encoder_layer(
            self.hidden_size,
            self.encoder_intermediate_size,
            component="encoder",
            qkv_bias=self.qkv_bias,
            output_bias=self.qkv_bias,
        )


class PegasusX(Bart):
    """Pegasus-X: global tokens beside local blocks in the encoder, no biases in any attention, no learned positions."""

    model_types = ("pegasus_x",)
    architectures = ("PegasusXForConditionalGeneration",)
    source = "transformers 5.18 modeling_pegasus_x.py"
    extra_positions = None
    embedding_norm = False
    final_norm = True
    qkv_bias = False

    def encoder_parts(self) -> Iterator[Part]:
        """Return the encoder with the embeddings of its global tokens."""
        yield embedding(
            "encoder.embed_global", self.config.count("num_global_tokens"), self.hidden_size, component="encoder"
        )
        yield from super().encoder_parts()

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer, with a norm for the global tokens."""
        return encoder_layer(
            self.hidden_size,
            self.encoder_intermediate_size,
            component="encoder",
            qkv_bias=False,
            output_bias=False,
            norms=3,
        )


class Led(PlBart):
    """LED: a Longformer encoder with a second set of Q, K and V for global tokens; an ordinary decoder."""

    model_types = ("led",)
    architectures = ("LEDForConditionalGeneration",)
    source = "transformers 5.18 modeling_led.py"
    extra_positions = 0

    @cached_property
    def encoder_positions(self) -> int:
        """`max_encoder_position_embeddings`."""
        return self.config.count("max_encoder_position_embeddings")

    @cached_property
    def decoder_positions(self) -> int:
        """`max_decoder_position_embeddings`."""
        return self.config.count("max_decoder_position_embeddings")

    def encoder_layer_parts(self) -> Iterator[Part]:
        """Return one encoder layer."""
        yield from super().encoder_layer_parts()
        for name in ("query_global", "key_global", "value_global"):
            yield linear(name, self.hidden_size, self.hidden_size, bias=True, component="encoder")


class Fsmt(Bart):
    """FSMT (WMT19): a vocabulary for each language, sinusoids kept as parameters, a head that ties all three tables."""

    model_types = ("fsmt",)
    architectures = ("FSMTForConditionalGeneration",)
    source = "transformers 5.18 modeling_fsmt.py"
    embedding_norm = False

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so: the class declares no default."""
        return self.config.flag("tie_word_embeddings", default=False)

    def _stack_parts(self, prefix: str, rows: int, component: Component | None) -> Iterator[Part]:
        yield embedding(
            f"{prefix}.embed_positions",
            rows + self.config.count("pad_token_id", default=1, minimum=0) + 1,
            self.hidden_size,
            component=component or "embeddings",
            split="replicated",
        )

    def embedding_parts(self) -> Iterator[Part]:
        """Return both languages' tables, one where they are tied."""
        yield embedding("decoder.embed_tokens", self.vocab_size, self.hidden_size)
        if not self.tied:
            yield embedding("encoder.embed_tokens", self.config.count("src_vocab_size"), self.hidden_size)


class TrOcr(Bart):
    """TrOCR's decoder: BART's, always beside an image encoder in a composite file; positions may be sinusoidal."""

    model_types = ("trocr",)
    architectures = ("TrOCRForCausalLM",)
    source = "transformers 5.18 modeling_trocr.py TrOCRDecoder"
    alone = True

    @cached_property
    def encoder_size(self) -> int:
        """`cross_attention_hidden_size`: K and V read the image encoder as it is."""
        return self.config.optional_count("cross_attention_hidden_size") or self.hidden_size

    def decoder_parts(self) -> Iterator[Part]:
        """Return positions and the embedding's norm, each where the file has it."""
        if self.config.flag("use_learned_position_embeddings", default=True):
            yield embedding("embed_positions", self.decoder_positions + 2, self.hidden_size, split="replicated")
        if self.config.flag("layernorm_embedding", default=True):
            yield norm("layernorm_embedding", self.hidden_size, bias=True)
