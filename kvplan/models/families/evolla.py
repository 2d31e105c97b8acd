"""Evolla: a Llama that answers about proteins; adapters in some layers look at what a resampler makes of the protein."""

from collections.abc import Iterator
from functools import cached_property

from kvplan.models.decoder import Decoder
from kvplan.models.towers import encoder_layer, times
from kvplan.weights.parts import Part, embedding, linear, norm, vector


class Evolla(Decoder):
    """Evolla. The adapters compute the protein's keys and values anew at every step: nothing of it is kept.

    Source: EvollaSequenceAlignerCrossAttention.forward has no cache.
    """

    model_types = ("evolla", "EvollaModel")
    architectures = ("EvollaForProteinText2Text",)
    source = "transformers 5.18 modeling_evolla.py, configuration_evolla.py SaProtConfig"
    tied = False  # the class ties nothing

    def attention_parts(self, index: int) -> Iterator[Part]:
        """Return attention, and the adapter in every n-th layer."""
        yield from super().attention_parts(index)
        step = max(self.layer_count // self.config.count("aligner_num_add_layers"), 1)
        if (index + 1) % step == 0:
            yield from self.adapter_parts()

    def adapter_parts(self) -> Iterator[Part]:
        """Return an adapter: attention over the protein, an MLP with a norm, two gates."""
        width = self.hidden_size
        mlp = width * self.config.count("aligner_ffn_mult")
        for name in ("query", "key_protein", "value_protein"):
            yield linear(f"adapter.{name}", width, width, bias=True, component="attention")
        bias = self.config.flag("aligner_enable_bias", default=True)
        yield linear("adapter.out_proj", width, width, bias=bias, component="attention", split="row")
        yield norm("adapter.attention_norm", width)
        yield norm("adapter.ff.norm", width, bias=True)
        yield linear("adapter.ff.fc1", mlp, width, component="mlp")
        yield linear("adapter.ff.fc2", width, mlp, component="mlp", split="row")
        yield vector("adapter.gates", 2, component="attention")

    def outer(self) -> Iterator[Part]:
        """Return the language model's, the protein encoder and the resampler."""
        yield from super().outer()
        protein = self.config.part("protein_encoder_config", "")
        width = protein.count("hidden_size", default=1280)
        yield embedding("protein.word_embeddings", protein.count("vocab_size", default=446), width, component="encoder")
        if protein.flag("emb_layer_norm_before", default=False):
            yield norm("protein.layer_norm", width, bias=True, component="encoder")
        if protein.text("position_embedding_type", default="rotary") == "absolute":
            rows = protein.count("max_position_embeddings", default=1026)
            yield embedding("protein.position_embeddings", rows, width, component="encoder", split="replicated")
        mlp = protein.count("intermediate_size", default=5120)
        layers = protein.count("num_hidden_layers", default=33)
        yield from times(layers, encoder_layer(width, mlp, component="encoder"))
        yield norm("protein.emb_layer_norm_after", width, bias=True, component="encoder")
        yield from self.resampler_parts(width)

    def resampler_parts(self, width: int) -> Iterator[Part]:
        """Return the resampler and the projection to the language model."""
        config = self.config
        inner = config.count("resampler_dim_head") * config.count("resampler_heads")
        mlp = width * config.count("resampler_ff_mult")
        yield vector("resampler.latents", config.count("resampler_num_latents"), width, component="projector")
        block = (
            linear("to_qkv", 3 * inner, width, component="projector"),
            linear("to_out", width, inner, component="projector", split="row"),
            linear("fc1", mlp, width, component="projector"),
            linear("fc2", width, mlp, component="projector", split="row"),
            norm("norms", width, bias=True, component="projector", count=3),
        )
        yield from times(config.count("resampler_depth", minimum=0), block)
        yield norm("resampler.norm", self.hidden_size, bias=True, component="projector")
        yield linear("resampler.protein_projector", self.hidden_size, width, bias=True, component="projector")

    @cached_property
    def qkv_bias(self) -> bool:
        """`attention_bias`."""
        return self.config.flag("attention_bias", default=False)
