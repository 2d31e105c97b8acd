"""BERT and the encoders built like it: RoBERTa, XLM-R, CamemBERT, ELECTRA, ERNIE, RemBERT, RoFormer, BigBird and more.

As published they are encoders; with `is_decoder: true` they are decoders of the older kind.
"""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.text_encoder import BASE, LANGUAGE, TextEncoder
from kvplan.weights.parts import Part, embedding, linear, norm

_BERT_POOLED = frozenset(
    (BASE, "ForPreTraining", "ForNextSentencePrediction", "ForSequenceClassification", "ForMultipleChoice")
)


class Bert(TextEncoder):
    """BERT."""

    model_types = ("bert",)
    architectures = ("BertModel", "BertForMaskedLM", "BertLMHeadModel")
    source = "transformers 5.18 modeling_bert.py"
    prefix = ("Bert",)
    can_decode = True
    pooled = _BERT_POOLED
    dense_classifier = False


class Ernie(Bert):
    """ERNIE 1 to 3: BERT, with a table of tasks where `use_task_id` says so."""

    model_types = ("ernie",)
    architectures = ("ErnieModel", "ErnieForMaskedLM")
    source = "transformers 5.18 modeling_ernie.py"
    prefix = ("Ernie",)

    def embedding_parts(self) -> Iterator[Part]:
        """Return BERT's tables and the tasks'."""
        yield from super().embedding_parts()
        if self.config.flag("use_task_id", default=False):
            tasks = self.config.count("task_type_vocab_size")
            yield embedding("task_type_embeddings", tasks, self.hidden_size, split="replicated")


class MegatronBert(Bert):
    """Megatron-BERT: norms before, none after the embeddings, one at the end."""

    model_types = ("megatron-bert",)
    architectures = ("MegatronBertModel",)
    source = "transformers 5.18 modeling_megatron_bert.py"
    prefix = ("MegatronBert",)
    embedding_norm = False
    final_norm = True


class RemBert(Bert):
    """RemBERT: a narrow embedding at the start and a wide one at the end."""

    model_types = ("rembert",)
    architectures = ("RemBertModel",)
    source = "transformers 5.18 modeling_rembert.py"
    prefix = ("RemBert",)

    @cached_property
    def embedding_size(self) -> int:
        """`input_embedding_size`."""
        return self.config.count("input_embedding_size")

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables and the projection to the layers' width."""
        yield from super().embedding_parts()
        yield linear(
            "embedding_hidden_mapping_in", self.hidden_size, self.embedding_size, bias=True, component="projector"
        )

    def language_head_parts(self) -> Iterator[Part]:
        """Return the head over `output_embedding_size`, which is never tied."""
        width = self.config.count("output_embedding_size")
        yield self.head_linear("dense", width)
        yield linear("decoder", self.vocab_size, width, bias=True, component="head", split="vocabulary")
        yield norm("LayerNorm", width, bias=True, component="head")


class RocBert(Bert):
    """RoCBert: tables of pronunciation and shape beside the tokens'."""

    model_types = ("roc_bert",)
    architectures = ("RoCBertModel",)
    source = "transformers 5.18 modeling_roc_bert.py"
    prefix = ("RoCBert",)

    def embedding_parts(self) -> Iterator[Part]:
        """Return all tables and the linear that joins them."""
        yield from super().embedding_parts()
        config = self.config
        joined = self.hidden_size
        for kind in ("pronunciation", "shape"):
            width = config.count(f"{kind}_embed_dim")
            yield embedding(f"{kind}_embed", config.count(f"{kind}_vocab_size"), width, split="replicated")
            joined += width if config.flag(f"enable_{kind}") else 0
        if config.flag("concat_input"):
            yield linear("map_inputs_layer", self.hidden_size, joined, bias=True, component="projector")


class BigBird(Bert):
    """BigBird: Q, K and V with biases where `use_bias` says so; every class but a few keeps the pooler."""

    model_types = ("big_bird",)
    architectures = ("BigBirdModel",)
    source = "transformers 5.18 modeling_big_bird.py"
    prefix = ("BigBird",)
    dense_classifier = True
    pooled = _BERT_POOLED | {LANGUAGE, "ForTokenClassification"}

    @property
    def qkv_bias(self) -> bool:
        """`use_bias`."""
        return self.config.flag("use_bias", default=True)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The question answerer has layers of its own."""
        if self.head == "ForQuestionAnswering":
            return "BigBird's head for question answering is not counted"
        return super().unknown_parameters


class Electra(Bert):
    """ELECTRA: embeddings of a width of their own, no pooler."""

    model_types = ("electra",)
    architectures = ("ElectraModel", "ElectraForPreTraining")
    source = "transformers 5.18 modeling_electra.py"
    prefix = ("Electra",)
    pooled = frozenset()
    dense_classifier = True
    language_bias = False

    @cached_property
    def embedding_size(self) -> int:
        """`embedding_size`."""
        return self.config.count("embedding_size")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The multiple-choice class sums up in ways that files choose."""
        if self.head == "ForMultipleChoice":
            return "the head for multiple choice is not counted"
        return super().unknown_parameters

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables and, where the widths differ, the projection."""
        yield from super().embedding_parts()
        if self.embedding_size != self.hidden_size:
            yield linear("embeddings_project", self.hidden_size, self.embedding_size, bias=True, component="projector")

    def head_parts(self) -> Iterator[Part]:
        """Return the head; before training it is the discriminator's."""
        if self.head == "ForPreTraining":
            yield self.head_linear("dense", self.hidden_size)
            yield self.head_linear("dense_prediction", 1)
        else:
            yield from super().head_parts()


class RoFormer(Electra):
    """RoFormer: rotary positions, whose sinusoids are a table of head_dim."""

    model_types = ("roformer",)
    architectures = ("RoFormerModel",)
    source = "transformers 5.18 modeling_roformer.py"
    prefix = ("RoFormer",)
    learned_positions = False
    language_bias = True

    @cached_property
    def embedding_size(self) -> int:
        """`embedding_size`, else the hidden size."""
        return self.config.optional_count("embedding_size") or self.hidden_size

    def embedding_parts(self) -> Iterator[Part]:
        """Return ELECTRA's and the sinusoids."""
        yield from super().embedding_parts()
        rows = self.config.count("max_position_embeddings")
        yield embedding("embed_positions", rows, self.head_dim, split="replicated")


class BertGeneration(Bert):
    """BERT for generation: no token types, no pooler, a head without a transform."""

    model_types = ("bert-generation",)
    architectures = ("BertGenerationEncoder", "BertGenerationDecoder")
    source = "transformers 5.18 modeling_bert_generation.py"
    prefix = ("BertGeneration",)
    pooled = frozenset()

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of tokens and positions."""
        yield embedding("word_embeddings", self.vocab_size, self.hidden_size)
        rows = self.config.count("max_position_embeddings")
        yield embedding("position_embeddings", rows, self.hidden_size, split="replicated")

    def language_head_parts(self) -> Iterator[Part]:
        """Return matrix and bias."""
        yield from self.vocabulary_parts()


class Roberta(TextEncoder):
    """RoBERTa, XLM-RoBERTa, CamemBERT, data2vec: positions counted from the padding token's."""

    model_types = ("roberta", "data2vec-text")
    architectures = ("RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification")
    source = "transformers 5.18 modeling_roberta.py, modeling_data2vec_text.py"
    prefix = ("Roberta", "Data2VecText")
    can_decode = True
    position_offset = True


class XlmRoberta(Roberta):
    """XLM-RoBERTa and CamemBERT."""

    model_types = ("xlm-roberta", "camembert")
    architectures = ("XLMRobertaModel", "XLMRobertaForSequenceClassification", "CamembertModel")
    source = "transformers 5.18 modeling_xlm_roberta.py, modeling_camembert.py"
    prefix = ("XLMRoberta", "Camembert")


class RobertaPreLayerNorm(Roberta):
    """RoBERTa with norms before, so one more at the end."""

    model_types = ("roberta-prelayernorm",)
    architectures = ("RobertaPreLayerNormModel",)
    source = "transformers 5.18 modeling_roberta_prelayernorm.py"
    prefix = ("RobertaPreLayerNorm",)
    final_norm = True


class XlmRobertaXl(RobertaPreLayerNorm):
    """XLM-R XL and XXL: norms before, none after the embeddings."""

    model_types = ("xlm-roberta-xl",)
    architectures = ("XLMRobertaXLModel",)
    source = "transformers 5.18 modeling_xlm_roberta_xl.py"
    prefix = ("XLMRobertaXL",)
    embedding_norm = False


class Xmod(Roberta):
    """X-MOD: an adapter for each language in every layer."""

    model_types = ("xmod",)
    architectures = ("XmodModel",)
    source = "transformers 5.18 modeling_xmod.py XmodOutput"
    prefix = ("Xmod",)

    @property
    def final_norm(self) -> bool:
        """`pre_norm`."""
        return self.config.flag("pre_norm", default=False)

    def mlp_parts(self, index: int) -> Iterator[Part]:
        """Return the MLP, the adapters and their norm."""
        yield from super().mlp_parts(index)
        config, width = self.config, self.hidden_size
        narrow = width // config.count("adapter_reduction_factor")
        languages = len(config.items("languages") or ["en_XX"])
        yield linear("adapter.dense1", narrow, width, bias=True, component="mlp", count=languages)
        yield linear("adapter.dense2", width, narrow, bias=True, component="mlp", count=languages)
        if config.flag("adapter_layer_norm", default=False):
            yield norm("adapter_layer_norm", width, bias=True)
