"""Text encoders with layers of their own: DistilBERT, ALBERT, DeBERTa, MPNet, ESM, Longformer; ModernBERT and its kin."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.encoder_decoder import architecture
from kvplan.models.text_encoder import BASE, LANGUAGE, TextEncoder
from kvplan.models.towers import feed_forward, times
from kvplan.weights.parts import Part, convolution, embedding, linear, norm, vector

_POOLED = frozenset((BASE, "ForPreTraining", "ForSequenceClassification", "ForMultipleChoice"))


class DistilBert(TextEncoder):
    """DistilBERT: BERT without token types and pooler."""

    model_types = ("distilbert",)
    architectures = ("DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification")
    source = "transformers 5.18 modeling_distilbert.py"
    prefix = ("DistilBert",)
    pooled = frozenset()
    language_bias = False

    @cached_property
    def intermediate_size(self) -> int:
        """`hidden_dim`."""
        return self.config.count("hidden_dim")

    def head_parts(self) -> Iterator[Part]:
        """Return the head; multiple choice has a linear before the last one."""
        if self.head == "ForMultipleChoice":
            yield self.head_linear("pre_classifier", self.hidden_size)
        yield from super().head_parts()


class Albert(TextEncoder):
    """ALBERT: `num_hidden_groups` x `inner_group_num` layers, used over and over."""

    model_types = ("albert",)
    architectures = ("AlbertModel", "AlbertForMaskedLM")
    source = "transformers 5.18 modeling_albert.py"
    prefix = ("Albert",)
    pooled = _POOLED
    dense_classifier = False

    @cached_property
    def embedding_size(self) -> int:
        """`embedding_size`."""
        return self.config.count("embedding_size")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the projection to the layers' width and the layers that differ."""
        yield linear(
            "embedding_hidden_mapping_in", self.hidden_size, self.embedding_size, bias=True, component="projector"
        )
        yield from times(self.config.count("num_hidden_groups") * self.config.count("inner_group_num"), self.parts(0))


class Deberta(TextEncoder):
    """DeBERTa: relative positions, one table for all layers; Q, K and V in one linear, two biases in v1."""

    model_types = ("deberta",)
    architectures = ("DebertaModel", "DebertaForMaskedLM")
    source = "transformers 5.18 modeling_deberta.py"
    prefix = ("DebertaM", "DebertaF")
    pooled = frozenset(("ForSequenceClassification", "ForMultipleChoice"))
    dense_classifier = False

    @cached_property
    def embedding_size(self) -> int:
        """`embedding_size`, else the hidden size."""
        return self.config.optional_count("embedding_size") or self.hidden_size

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Heads and talking heads that no published file has."""
        if self.head == LANGUAGE and not self.config.flag("legacy", default=True):
            return "legacy is false: a head that is not counted"
        if self.config.flag("talking_head", default=False) or self.config.raw("attention_head_size") is not None:
            return "the attention is not one that is counted"
        return super().unknown_parameters

    @property
    def embedding_norm(self) -> bool:
        """After the projection: `embedding_parts` has it."""
        return False

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables that the file switches on, the projection and the norm."""
        config = self.config
        yield embedding("word_embeddings", self.vocab_size, self.embedding_size)
        if config.flag("position_biased_input", default=True):
            rows = config.count("max_position_embeddings")
            yield embedding("position_embeddings", rows, self.embedding_size, split="replicated")
        if types := config.optional_count("type_vocab_size", minimum=0):
            yield embedding("token_type_embeddings", types, self.embedding_size, split="replicated")
        if self.embedding_size != self.hidden_size:
            yield linear("embed_proj", self.hidden_size, self.embedding_size, component="projector")
        yield norm("embeddings.LayerNorm", self.hidden_size, bias=True)

    @cached_property
    def relative_rows(self) -> int:
        """Rows of the table of relative positions; 0: none."""
        if not self.config.flag("relative_attention", default=False):
            return 0
        stated = self.config.optional_count("max_relative_positions", minimum=-1) or 0
        return 2 * (stated if stated > 0 else self.config.count("max_position_embeddings"))

    @cached_property
    def position_kinds(self) -> list[str]:
        """`pos_att_type`: a list, or a text with bars."""
        stated = self.config.raw("pos_att_type", default=[])
        items = stated.lower().split("|") if isinstance(stated, str) else stated if isinstance(stated, list) else []
        return [str(item).strip() for item in items]

    def one_attention(self, index: int) -> Iterator[Part]:  # noqa: ARG002
        """Return the projections and those of the relative positions."""
        width = self.hidden_size
        yield linear("in_proj", 3 * width, width, component="attention")
        yield vector("q_bias", width, component="attention")
        yield vector("v_bias", width, component="attention")
        yield linear("output.dense", width, width, bias=True, component="attention", split="row")
        if self.relative_rows:
            if "c2p" in self.position_kinds:
                yield linear("pos_proj", width, width, component="attention")
            if "p2c" in self.position_kinds:
                yield linear("pos_q_proj", width, width, bias=True, component="attention")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the layers and the table of relative positions."""
        yield from super().encoder_parts()
        if self.relative_rows:
            yield embedding("rel_embeddings", self.relative_rows, self.hidden_size, split="replicated")

    def pooler_parts(self) -> Iterator[Part]:
        """Return the context pooler: `pooler_hidden_size`, which the classifier reads too."""
        width = self.config.optional_count("pooler_hidden_size") or self.hidden_size
        if width != self.hidden_size:
            raise self.config.fail("pooler_hidden_size", f"is {width}, not the hidden size ({self.hidden_size}).")
        yield self.head_linear("pooler", width)


class DebertaV2(Deberta):
    """DeBERTa v2 and v3: ordinary projections, buckets of positions, a convolution in the first layer."""

    model_types = ("deberta-v2",)
    architectures = ("DebertaV2Model", "DebertaV2ForMaskedLM", "DebertaV2ForSequenceClassification")
    source = "transformers 5.18 modeling_deberta_v2.py"
    prefix = ("DebertaV2",)

    @cached_property
    def relative_rows(self) -> int:
        """Two for each bucket where there are buckets."""
        buckets = self.config.optional_count("position_buckets", minimum=-1) or 0
        return 2 * buckets if super().relative_rows and buckets > 0 else super().relative_rows

    def one_attention(self, index: int) -> Iterator[Part]:
        """Return the projections; without `share_att_key` positions have some of their own."""
        yield from TextEncoder.one_attention(self, index)
        if self.relative_rows and not self.config.flag("share_att_key", default=False):
            for kind in ("c2p", "p2c"):
                if kind in self.position_kinds:
                    yield linear(f"pos_{kind}", self.hidden_size, self.hidden_size, bias=True, component="attention")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the layers, the table with its norm, and the convolution."""
        yield from super().encoder_parts()
        config, width = self.config, self.hidden_size
        words = [word.strip() for word in config.text("norm_rel_ebd", default="none").lower().split("|")]
        if "layer_norm" in words:
            yield norm("rel_embeddings.LayerNorm", width, bias=True)
        if kernel := config.optional_count("conv_kernel_size", minimum=0):
            groups = config.count("conv_groups", default=1)
            yield convolution("conv", width, width // groups, kernel, bias=True, component="mlp")
            yield norm("conv.LayerNorm", width, bias=True)


class MpNet(TextEncoder):
    """MPNet: no token types, one table of relative positions."""

    model_types = ("mpnet",)
    architectures = ("MPNetModel", "MPNetForMaskedLM")
    source = "transformers 5.18 modeling_mpnet.py"
    prefix = ("MPNet",)
    position_offset = True

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tables of tokens and positions."""
        yield embedding("word_embeddings", self.vocab_size, self.hidden_size)
        rows = self.config.count("max_position_embeddings")
        yield embedding("position_embeddings", rows, self.hidden_size, split="replicated")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the layers and the relative positions."""
        yield from super().encoder_parts()
        buckets = self.config.count("relative_attention_num_buckets")
        yield embedding("relative_attention_bias", buckets, self.heads, split="replicated")


class Longformer(TextEncoder):
    """Longformer: RoBERTa with a second set of Q, K and V for global tokens."""

    model_types = ("longformer",)
    architectures = ("LongformerModel", "LongformerForMaskedLM")
    source = "transformers 5.18 modeling_longformer.py"
    prefix = ("Longformer",)
    position_offset = True

    def one_attention(self, index: int) -> Iterator[Part]:
        """Return both sets."""
        yield from super().one_attention(index)
        for name in ("query_global", "key_global", "value_global"):
            yield linear(name, self.hidden_size, self.hidden_size, bias=True, component="attention")


class Esm(TextEncoder):
    """ESM: protein sequences; norms before, rotary positions in ESM-2, a head for contacts in every class."""

    model_types = ("esm",)
    architectures = ("EsmModel", "EsmForMaskedLM")
    source = "transformers 5.18 modeling_esm.py"
    prefix = ("EsmModel", "EsmForM", "EsmForS", "EsmForT")
    position_offset = True
    can_decode = True
    language_bias = False

    @property
    def embedding_norm(self) -> bool:
        """`emb_layer_norm_before`."""
        return self.config.flag("emb_layer_norm_before", default=False)

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The folding model is not counted."""
        if self.config.flag("is_folding_model", default=False):
            return "the folding trunk is not counted"
        bare = self.name.startswith(self.prefix)
        return None if bare or not self.name else f"the class {self.name} is not one that is counted"

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tokens' table and, unless positions are rotary, theirs."""
        yield embedding("word_embeddings", self.vocab_size, self.hidden_size)
        if self.config.text("position_embedding_type", default="absolute") == "absolute":
            rows = self.config.count("max_position_embeddings")
            yield embedding("position_embeddings", rows, self.hidden_size, split="replicated")

    def encoder_parts(self) -> Iterator[Part]:
        """Return the layers."""
        yield from super().encoder_parts()

    @property
    def final_norm(self) -> bool:
        """After the layers."""
        return True

    def head_parts(self) -> Iterator[Part]:
        """Return the head for contacts and the class's own."""
        yield self.head_linear("contact_head", 1, self.layer_count * self.heads)
        yield from super().head_parts()


class RotaryEncoder(TextEncoder):
    """What Nomic, GTE and Jina v3 share: BERT with rotary positions, heads that may be stated."""

    learned_positions = False

    @cached_property
    def head_dim(self) -> int:
        """Stated, else hidden size / heads."""
        return self.config.optional_count("head_dim", minimum=0) or self._derived_head_dim()

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Classes of other code are not counted; `position_embedding_type` says nothing here."""
        known = architecture(self.config)
        return None if not known or known.startswith(self.prefix) else f"the class {known} is not one that is counted"


class NomicBert(RotaryEncoder):
    """Nomic Embed 1 and 1.5: gated MLPs, no bias in the layers. The published files also have GPT-2's names."""

    model_types = ("nomic_bert",)
    architectures = ("NomicBertModel",)
    source = "transformers 5.18 modeling_nomic_bert.py; the published files' n_embd, n_head, n_layer, n_inner"
    prefix = ("NomicBert",)
    gated_mlp = True
    qkv_bias = False
    output_bias = False
    mlp_bias = False
    pooled = frozenset(("ForSequenceClassification",))
    dense_classifier = False

    @cached_property
    def hidden_size(self) -> int:
        """`hidden_size` or `n_embd`."""
        return self.config.count("hidden_size", "n_embd")

    @cached_property
    def layer_count(self) -> int:
        """`num_hidden_layers` or `n_layer`."""
        return self.config.count("num_hidden_layers", "n_layer")

    @cached_property
    def heads(self) -> int:
        """`num_attention_heads` or `n_head`."""
        return self.config.count("num_attention_heads", "n_head")

    @cached_property
    def intermediate_size(self) -> int:
        """`intermediate_size` or `n_inner`."""
        return self.config.count("intermediate_size", "n_inner")

    @cached_property
    def max_context_tokens(self) -> int | None:
        """`max_position_embeddings` or `n_positions`."""
        return self.config.optional_count("max_position_embeddings", "n_positions")

    @cached_property
    def unknown_parameters(self) -> str | None:
        """Nomic Embed 2 routes over experts, other files switch biases on."""
        config = self.config
        if config.raw("num_experts") or config.raw("moe_every_n_layers"):
            return "the experts of Nomic Embed 2 are not counted"
        for key in ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"):
            if config.flag(key, default=False):
                return f"{key} is true"
        return super().unknown_parameters


class Gte(RotaryEncoder):
    """GTE: gated MLPs with a bias at the end only."""

    model_types = ("gte",)
    architectures = ("GteModel",)
    source = "transformers 5.18 modeling_gte.py"
    prefix = ("Gte",)
    pooled = frozenset(("ForSequenceClassification",))
    dense_classifier = False
    language_bias = False

    def dense_mlp(self, width: int) -> Iterator[Part]:
        """Return the MLP."""
        return feed_forward(self.hidden_size, width, component="mlp", gated=True, bias=False, output_bias=True)


class JinaV3(RotaryEncoder):
    """Jina Embeddings v3 in transformers' form: XLM-RoBERTa with rotary positions, adapters not loaded."""

    model_types = ("jina_embeddings_v3",)
    architectures = ("JinaEmbeddingsV3Model",)
    source = "transformers 5.18 modeling_jina_embeddings_v3.py"
    prefix = ("JinaEmbeddingsV3",)


class ModernBert(TextEncoder):
    """ModernBERT: gated MLPs, no norm before the first attention, most layers local; none keeps a cache."""

    model_types = ("modernbert",)
    architectures = ("ModernBertModel", "ModernBertForMaskedLM")
    source = "transformers 5.18 modeling_modernbert.py"
    prefix = ("ModernBertM", "ModernBertF")
    pooled = frozenset()
    learned_positions = False
    final_norm = True
    ignored = dict.fromkeys(("layer_types", "local_attention", "sliding_window"), "an encoder: no layer keeps anything")

    @property
    def norm_bias(self) -> bool:
        """`norm_bias`."""
        return self.config.flag("norm_bias", default=False)

    @property
    def qkv_bias(self) -> bool:
        """`attention_bias`."""
        return self.config.flag("attention_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """`attention_bias`."""
        return self.qkv_bias

    @property
    def mlp_bias(self) -> bool:
        """`mlp_bias`."""
        return self.config.flag("mlp_bias", default=False)

    def embedding_parts(self) -> Iterator[Part]:
        """Return the tokens' table."""
        yield embedding("tok_embeddings", self.vocab_size, self.hidden_size)

    def encoder_parts(self) -> Iterator[Part]:
        """Return the layers."""
        width = self.hidden_size
        layer = (
            *self.attention_parts(0),
            *feed_forward(width, self.intermediate_size, component="mlp", gated=True, bias=False),
        )
        yield from times(self.layer_count, layer)
        if self.mlp_bias:
            yield vector("mlp_bias", (2 * self.intermediate_size + width) * self.layer_count, component="mlp")
        yield norm("layer_norms", width, bias=self.norm_bias, count=2 * self.layer_count - 1)

    def head_parts(self) -> Iterator[Part]:
        """Return the head: every class but the bare one has a linear and a norm first."""
        if self.head == BASE:
            return
        bias = self.config.flag("classifier_bias", default=False)
        yield linear("head.dense", self.hidden_size, self.hidden_size, bias=bias, component="head", split="replicated")
        yield norm("head.norm", self.hidden_size, bias=self.norm_bias, component="head")
        yield from super().head_parts()

    dense_classifier = False

    def language_head_parts(self) -> Iterator[Part]:
        """Return the matrix where it is not tied, and its bias where the file has one."""
        if not self.tied:
            yield linear("decoder", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
        if self.config.flag("decoder_bias", default=True):
            yield vector("decoder.bias", self.vocab_size, component="head", split="vocabulary")


class EuroBert(TextEncoder):
    """EuroBERT: Llama's layers without the causal mask."""

    model_types = ("eurobert",)
    architectures = ("EuroBertModel", "EuroBertForMaskedLM")
    source = "transformers 5.18 modeling_eurobert.py"
    prefix = ("EuroBert",)
    pooled = frozenset()
    learned_positions = False
    embedding_norm = False
    final_norm = True
    norm_bias = False
    gated_mlp = True

    @property
    def qkv_bias(self) -> bool:
        """`attention_bias`."""
        return self.config.flag("attention_bias", default=False)

    @property
    def output_bias(self) -> bool:
        """`attention_bias`."""
        return self.qkv_bias

    @property
    def mlp_bias(self) -> bool:
        """`mlp_bias`."""
        return self.config.flag("mlp_bias", default=False)

    @cached_property
    def kv_heads(self) -> int:
        """`num_key_value_heads`, else one per query head."""
        return self.config.optional_count("num_key_value_heads") or self.heads

    @cached_property
    def head_dim(self) -> int:
        """Stated, else hidden size / heads."""
        return self.config.optional_count("head_dim", minimum=0) or self._derived_head_dim()

    @cached_property
    def tied(self) -> bool:
        """Untied unless the file says so."""
        return self.config.flag("tie_word_embeddings", default=False)

    def language_head_parts(self) -> Iterator[Part]:
        """Return the matrix where it is not tied, and a bias where the MLPs have one."""
        if not self.tied:
            yield linear("lm_head", self.vocab_size, self.hidden_size, component="head", split="vocabulary")
        if self.mlp_bias:
            yield vector("lm_head.bias", self.vocab_size, component="head", split="vocabulary")
