"""GLM-5.3-Flash: Kimi's delta attention between layers of sparse latent attention, several residual streams, a tower."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from kvplan.caches import LayerCache, SparseIndex
from kvplan.caches.compressed import CompressorState
from kvplan.models.decoder import FULL, LINEAR
from kvplan.models.families.deepseek_v32 import INDEXED, SharedIndexers
from kvplan.models.families.glm4v import GlmOcrVision
from kvplan.models.families.kimi_linear import DeltaHybrid
from kvplan.models.listed import next_token_layers
from kvplan.models.spec import Layer
from kvplan.models.towers import Composed
from kvplan.weights import blocks
from kvplan.weights.parts import Part, vector


class Glm5NextText(DeltaHybrid, SharedIndexers):
    """The language model. Its index keys are pooled: one for `index_kpool` positions."""

    model_types = ("glm5_next_text",)
    source = (
        "transformers 5.18 modeling_glm5_next.py, configuration_glm5_next.py __post_init__; vLLM 0.33 models/glm5next"
    )
    first_dense = 3
    expert_keys = ("n_routed_experts",)
    per_token_keys = ("num_experts_per_tok",)

    @cached_property
    def layer_types(self) -> Sequence[str]:
        """The file's list (`full_attention` means indexed too); else every fourth layer is indexed."""
        return [INDEXED if word in (FULL, "deepseek_sparse_attention") else word for word in super().layer_types]

    def layer_type_rule(self, index: int) -> str:
        """Every fourth layer attends; the section's own lists say the same and are not read."""
        return INDEXED if index % 4 == 3 else LINEAR

    @cached_property
    def pool(self) -> int:
        """Positions that share an index key."""
        return self.config.count("index_kpool")

    def index(self, index: int) -> SparseIndex:  # noqa: ARG002
        """Return the indexer's cache."""
        return SparseIndex(dim=self.index_dim, ratio=self.pool)

    def caches(self, index: int) -> tuple[LayerCache, ...]:
        """Return the state, or the latents, index keys and the positions of the unfinished pool."""
        state, latent, keys = self.mixer.cache(), self.latent(index), self.index(index)
        if self.is_recurrent(index):
            return (state,)
        if self.layer_types[index] != INDEXED:
            raise self.unknown_layer_type(index)
        if not self.indexes(index):
            return (latent,)
        tail = CompressorState(dim=self.index_dim, ratio=self.pool, dtype="bfloat16")
        return (latent, keys, tail) if self.pool > 1 else (latent, keys)

    def indexer_parts(self, source: int) -> Iterator[Part]:
        """Return the indexer and what weighs the positions of a pool."""
        yield from super().indexer_parts(source)
        yield vector("indexer.index_kpool_compress_ape", self.pool, self.index_dim, component="indexer")
        yield vector("indexer.index_kpool_compress_gate", self.index_dim, self.hidden_size, component="indexer")

    def norm_parts(self, index: int) -> Iterator[Part]:
        """Return the norms and the two mixers of the residual streams."""
        yield from super().norm_parts(index)
        yield from self.stream_parts()

    def stream_parts(self) -> Iterator[Part]:
        """Return the two mixers of the residual streams."""
        streams = self.config.count("hc_mult")
        return blocks.hyper_connection(
            self.hidden_size, streams, name="hc", outputs=(2 + streams) * streams, scales=3, count=2
        )

    def draft_layers(self) -> tuple[Layer, ...]:
        """Return the next-token layers: indexed layers with one residual stream.

        Source: vLLM 0.33 models/glm5next/common/mtp.py, model.py (is_mtp_layer).
        """
        count = self.config.count("num_nextn_predict_layers", default=0, minimum=0)
        indexed = [i for i, word in enumerate(self.layer_types) if word == INDEXED]
        if not count or not indexed:
            return ()
        streams = frozenset(self.stream_parts())
        parts = tuple(part for part in self.parts(indexed[-1]) if part not in streams)
        return next_token_layers(self, Layer(caches=self.caches(indexed[-1]), parts=parts), count)


class Glm5NextVision(GlmOcrVision):
    """GLM-OCR's tower with a width of its own for the merger."""

    model_types = ("glm5_next_vision",)
    source = "transformers 5.18 modeling_glm5_next.py (Glm5NextVisionModel)"

    @property
    def merger_size(self) -> int:
        """Width of the merger's MLP."""
        return self.config.count("projection_intermediate_size")


class Glm5Next(Composed):
    """GLM-5.3-Flash."""

    model_types = ("glm5_next",)
    architectures = ("Glm5NextForConditionalGeneration",)
    source = "transformers 5.18 modeling_glm5_next.py, configuration_glm5_next.py __post_init__"
    fixed: ClassVar[dict[str, str]] = {"vision_config": "glm5_next_vision", "text_config": "glm5_next_text"}
