"""Speech models that write codes frame by frame: CSM, Moshi and Kyutai's recogniser.

Each writes the further codes of a frame with a small depth decoder, whose cache lasts for one frame.
"""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.encoder_decoder import architecture
from kvplan.models.family import Family, as_component
from kvplan.models.spec import Note
from kvplan.weights.parts import Part, embedding, linear, vector


class CsmDepth(Decoder):
    """CSM's depth decoder: Llama's layers between tables and heads of its own for each codebook."""

    model_types = ("csm_depth_decoder_model",)
    source = "transformers 5.18 modeling_csm.py CsmDepthDecoderForCausalLM"
    tied = False

    def embedding_parts(self) -> Iterator[Part]:
        """Return the codebooks' tables and the projection from the backbone's width."""
        wide = self.config.count("backbone_hidden_size")
        yield embedding("embed_tokens", self.config.count("num_codebooks") * self.vocab_size, wide)
        yield linear("inputs_embeds_projector", self.hidden_size, wide, component="projector", split="replicated")

    def head_parts(self) -> Iterator[Part]:
        """Return a head for each codebook but the first."""
        heads = self.config.count("num_codebooks") - 1
        yield vector("codebooks_head", heads, self.hidden_size, self.vocab_size, component="head")


class Csm(Decoder):
    """CSM (Sesame): a Llama over text and codes, the depth decoder and the codec."""

    model_types = ("csm",)
    architectures = ("CsmForConditionalGeneration",)
    source = "transformers 5.18 modeling_csm.py, configuration_csm.py __post_init__"
    tied = False

    @cached_property
    def depth(self) -> Family:
        """The depth decoder."""
        return self.nested("depth_decoder_config", "csm_depth_decoder_model")

    @cached_property
    def codec(self) -> Family:
        """The codec."""
        return self.nested("codec_config", "mimi")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The codec's."""
        return self.codec.unknown_parameters

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of text and codes."""
        yield embedding("embed_text_tokens", self.config.count("text_vocab_size"), self.hidden_size)
        yield embedding("embed_audio_tokens", self.config.count("num_codebooks") * self.vocab_size, self.hidden_size)

    def outer(self) -> Iterator[Part]:
        """Return the backbone's, the depth decoder and the codec."""
        yield from super().outer()
        yield from as_component(self.depth_parts(), "other")
        yield from as_component(self.codec.outer(), "audio")

    def depth_parts(self) -> Iterator[Part]:
        """Return the depth decoder's parameters, its table of codes too: transformers 5.18 ties it to nothing."""
        yield from self.depth.outer()
        for layer in self.depth.layers():
            yield from layer.parts

    def assumptions(self) -> Iterator[Note]:
        """Add what the depth decoder keeps."""
        yield from super().assumptions()
        yield Note(
            "The depth decoder's cache, of one frame's codes, and what the codec keeps where it streams are not counted.",
            self.source,
        )


class MoshiText(Decoder):
    """Moshi's main decoder: every layer slides, gate and up are one linear of `ffn_dim`."""

    source = "transformers 5.18 modeling_moshi.py MoshiForCausalLM, configuration_moshi.py __post_init__"
    windowed = True
    qkv_bias = False
    output_bias = False
    mlp_bias = False
    tied = False  # the class ties nothing

    @cached_property
    def intermediate_size(self) -> int:
        """Half of `ffn_dim`, which holds gate and up."""
        return self.config.count("ffn_dim") // 2

    def mlp_parts(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the MLP."""
        both = self.config.count("ffn_dim")
        yield linear("fc1", both, self.hidden_size, component="mlp")
        yield linear("fc2", self.hidden_size, both // 2, component="mlp", split="row")


class Moshi(MoshiText):
    """Moshi, as its language model alone where the file names that class or none."""

    model_types = ("moshi",)
    architectures = ("MoshiForConditionalGeneration", "MoshiForCausalLM")

    @cached_property
    def speaks(self) -> bool:
        """Whether the class also has the depth decoder and the codec."""
        return architecture(self.config).endswith("ForConditionalGeneration")

    @cached_property
    def codec(self) -> Family:
        """The codec."""
        return self.nested("audio_encoder_config", "mimi")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The codec's."""
        return self.codec.unknown_parameters if self.speaks else None

    def embedding_parts(self) -> Iterator[Part]:
        """Return the text's table, one row longer than the head, and the codes' where the class speaks."""
        yield embedding("embed_tokens", self.vocab_size + 1, self.hidden_size)
        if self.speaks:
            rows = self._codes + 1
            yield embedding("audio_embed_tokens", 2 * self.config.count("num_codebooks") * rows, self.hidden_size)

    @cached_property
    def _codes(self) -> int:
        return self.config.optional_count("audio_vocab_size") or self.codec.config.count("codebook_size")

    def outer(self) -> Iterator[Part]:
        """Return the language model's, the depth decoder and the codec."""
        yield from super().outer()
        if self.speaks:
            yield from self.depth_parts()
            yield from as_component(self.codec.outer(), "audio")

    def depth_parts(self) -> Iterator[Part]:
        """Return the depth decoder: every matrix once for each codebook, sizes after the main decoder's.

        A file without the part has the class's own sizes, one with it the main decoder's.
        """
        config = self.config.part("depth_decoder_config", "moshi_depth")
        stated = self.config.states("depth_decoder_config")
        books = self.config.count("num_codebooks") if stated else config.count("num_codebooks")
        codes = self._codes if stated else config.count("audio_vocab_size")
        source = self.hidden_size if stated else config.count("input_size")
        vocab = self.vocab_size if stated else config.count("vocab_size")
        width, wide = config.count("hidden_size"), config.count("ffn_dim")
        heads = config.count("num_attention_heads")
        size = config.optional_count("head_dim", minimum=0) or width // heads
        inner, kv = heads * size, (config.optional_count("num_key_value_heads") or heads) * size
        config.read |= {"sliding_window"}  # its cache lasts for one frame
        yield embedding("depth.text_embed_tokens", vocab + 1, width, component="other")
        yield embedding("depth.embed_tokens", (books - 1) * (codes + 1), width, component="other")
        yield vector("depth.input_projections", books, width, source, component="other")
        yield vector("depth.lm_heads", books, codes, width, component="other")
        per_layer = books * width * (2 * inner + 2 * kv + wide + wide // 2) + 2 * width
        yield vector("depth.layers", config.count("num_hidden_layers"), per_layer, component="other")

    def assumptions(self) -> Iterator[Note]:
        """Add what the depth decoder keeps."""
        yield from super().assumptions()
        if self.speaks:
            yield Note(
                "The depth decoder's cache, of one frame's codes, and what the codec keeps where it streams are not "
                "counted.",
                self.source,
            )


class MoshiDepth(MoshiText):
    """Moshi's depth decoder on its own: parameters are not counted, its matrices are one for each codebook."""

    model_types = ("moshi_depth",)
    source = "transformers 5.18 modeling_moshi.py MoshiDepthDecoder"
    unknown_parameters = "the depth decoder on its own is not counted"


class KyutaiSpeechToText(MoshiText):
    """Kyutai's recogniser: Moshi's layers over text and codes."""

    model_types = ("kyutai_speech_to_text",)
    architectures = ("KyutaiSpeechToTextForConditionalGeneration",)
    source = "transformers 5.18 modeling_kyutai_speech_to_text.py"

    @cached_property
    def codec(self) -> Family:
        """The codec."""
        return self.nested("codec_config", "mimi")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The codec's."""
        return self.codec.unknown_parameters

    @cached_property
    def tied(self) -> bool:
        """Tied only where the file says so, and then only if the rows are equal."""
        return False

    def embedding_parts(self) -> Iterator[Part]:
        """Return one table for text and codes."""
        config = self.config
        rows = self.vocab_size + config.count("num_codebooks") * config.count("codebook_vocab_size") + 1
        yield embedding("embed_tokens", rows, self.hidden_size)

    def outer(self) -> Iterator[Part]:
        """Return the language model's and the codec."""
        yield from super().outer()
        yield from as_component(self.codec.outer(), "audio")
