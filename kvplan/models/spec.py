"""What kvplan knows of a model, engine-free: its layers, what each caches, its parameters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kvplan.caches import LayerCache
from kvplan.models.config import language_config
from kvplan.weights.parts import Component, Part, total

if TYPE_CHECKING:
    from kvplan.checkpoints.tensors import Checkpoint


class Note(NamedTuple):
    """Something assumed or worth knowing, with where it comes from."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the decoder.

    Attributes:
        caches: what it keeps for a request; several for hybrids, none for layers that keep nothing.
        parts: its parameters.
        shares_cache_of: index of the layer whose cache it reads instead of having its own.

    """

    caches: tuple[LayerCache, ...]
    parts: tuple[Part, ...]
    shares_cache_of: int | None = None


class Moe(NamedTuple):
    """Experts of a mixture-of-experts model: routed, chosen per token, always on, and the width of one."""

    experts: int
    experts_per_token: int
    shared_experts: int = 0
    intermediate_size: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelSpec:
    """A model as its configuration establishes it. Compared by identity, so that work on it can be cached.

    Attributes:
        id: catalogue id, hub id or file name.
        source: where the configuration came from.
        model_type: of the configuration.
        layers: the decoder's layers in order; empty for a model without a language-model cache.
        draft_layers: MTP / next-token layers that only speculation loads.
        outer: parameters outside the layers: embeddings, final norm, head, encoders, vision, audio, projectors.
        unknown_parameters: why the parameters cannot be counted, or None where they can.
        hidden_size, vocab_size: of the language model; 0 where there is none.
        max_context_tokens: the longest sequence the configuration allows; None where nothing bounds it.
        dtype: the checkpoint's number format.
        cacheless: why there is no language-model cache, or None where there is one.
        encoder_tokens: the encoder's own fixed or maximum length; None where it follows the request.
        has_encoder: whether decoding reads an encoder's output through cross-attention.
        quantization: the configuration's own quantisation section, as published.
        published_as: the weight format of the repository that was named, where the configuration is its base model's.
        published_bytes: the size of its files, where the catalogue knows it.
        published_kv_dtype: the cache format that this repository declares, where the catalogue knows it.
        checkpoint: the weight files' headers, where they were read; None: only the configuration is known.
        checkpoints: known published variants (catalogue only).
        published_parameters: the count a catalogue entry states, for models whose parts no rule covers.
        assumptions: what was assumed, each with its source.
        config: the configuration as read, for engines that look at single keys.
        speculates: how the last of `layers` draft tokens: `mtp`, `eagle` or `draft_model`; None: they do not.

    """

    id: str
    source: str
    model_type: str
    layers: tuple[Layer, ...]
    draft_layers: tuple[Layer, ...] = ()
    outer: tuple[Part, ...] = ()
    unknown_parameters: str | None = None
    hidden_size: int = 0
    vocab_size: int = 0
    max_context_tokens: int | None = None
    dtype: str = "bfloat16"
    cacheless: str | None = None
    encoder_tokens: int | None = None
    has_encoder: bool = False
    moe: Moe | None = None
    tied: bool = False
    quantization: Mapping[str, Any] | None = None
    published_as: str | None = None
    published_bytes: int | None = None
    published_kv_dtype: str | None = None
    checkpoint: "Checkpoint | None" = None
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    published_parameters: int | None = None
    assumptions: tuple[Note, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    speculates: str | None = None

    def parts(self) -> Iterator[Part]:
        """Every part of the model but the draft layers'."""
        yield from self.outer
        for layer in self.layers:
            yield from layer.parts

    @cached_property
    def parameters(self) -> int | None:
        """Parameters as transformers counts: tied tensors once, buffers not, towers included, draft layers not; None: unknown."""
        return self.published_parameters if self.unknown_parameters else total(self.parts())

    @cached_property
    def parameters_by_component(self) -> dict[Component, int]:
        """Parameters of each component; empty where they are unknown. Draft layers stand apart under `draft`."""
        if self.unknown_parameters:
            return {}
        counts: dict[Component, int] = {}
        for part in self.parts():
            counts[part.component] = counts.get(part.component, 0) + part.parameters
        draft = sum(total(layer.parts) for layer in self.draft_layers)
        return counts | ({"draft": draft} if draft else {})

    def stated(self, key: str) -> Any:
        """Return a value of the language model's configuration, else of the file around it; None where neither states it."""
        inner = language_config(self.config)
        return inner[key] if key in inner else self.config.get(key)

    @cached_property
    def caches(self) -> tuple[tuple[LayerCache, int], ...]:
        """Distinct caches with the number of layers that keep one, in order of first appearance; draft layers not."""
        counts: dict[LayerCache, int] = {}
        for layer in self.layers:
            for cache in layer.caches:
                counts[cache] = counts.get(cache, 0) + 1
        return tuple(counts.items())
