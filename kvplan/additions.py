"""What is served beside a model: a draft for speculation, and adapters. Their weights, and the layers that a draft caches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvplan.engines.base import Engine, Settings
from kvplan.errors import SettingError
from kvplan.models.source import load_model
from kvplan.models.spec import Layer, ModelSpec, Note
from kvplan.units import ceil_div
from kvplan.weights.checkpoint import published_scheme
from kvplan.weights.figure import WeightItem
from kvplan.weights.ranks import Ranks, layer_bytes
from kvplan.weights.scheme import Scheme
from kvplan.weights.stage import placed, stage_weights

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter

# The word for the model's own next-token layers instead of a second model's name.
OWN_LAYERS = "mtp"


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """A draft model, or the model's own next-token layers.

    Attributes:
        name: as given.
        model: the second model; None: the first one's own layers.
        layers: what it caches.

    """

    name: str
    model: ModelSpec | None
    layers: tuple[Layer, ...]


def find_draft(name: str, model: ModelSpec, engine: Engine) -> Draft:
    """Return the draft of this name: a model, or `mtp` for the model's own next-token layers.

    Raises:
        SettingError: the model has no such layers, or the engine refuses a draft with another vocabulary.
        KvplanError: the draft cannot be read (as `load_model`).

    """
    if name.lower() == OWN_LAYERS:
        if not model.draft_layers:
            raise SettingError(
                f"--draft {OWN_LAYERS}: {model.id} has no next-token layers in its configuration.",
                hint="Name a draft model instead.",
            )
        return Draft(name=OWN_LAYERS, model=None, layers=model.draft_layers)
    draft = load_model(name)
    if draft.cacheless:
        raise SettingError(f"--draft {name}: {draft.id} is {draft.cacheless}.", hint="Name a language model.")
    if engine.drafts_share_vocabulary and not _is_head(draft) and draft.vocab_size != model.vocab_size:
        raise SettingError(
            f"--draft {name}: it has {draft.vocab_size:,} tokens, {model.id} {model.vocab_size:,}; {engine.name} refuses that.",
            hint="Name a draft of the same family.",
        )
    return Draft(name=draft.id, model=draft, layers=draft.layers)


def with_draft(model: ModelSpec, draft: Draft | None) -> ModelSpec:
    """Return the model whose last layers are the draft's: what an engine lays a cache out for."""
    if draft is None:
        return model
    kind = OWN_LAYERS if draft.model is None else "eagle" if _is_head(draft.model) else "draft_model"
    return replace(model, layers=(*model.layers, *draft.layers), speculates=kind)


def _is_head(draft: ModelSpec) -> bool:
    """Whether a draft is a head trained for one model (EAGLE), which translates its tokens to that model's."""
    return "eagle" in str(draft.config.get("architectures")).lower()


def draft_item(draft: Draft, model: ModelSpec, scheme: Scheme | None, ranks: Ranks, settings: Settings) -> WeightItem:
    """Return the weights of a draft on one rank.

    Raises:
        SettingError: no source says what they take.

    """
    if draft.model is None:
        return _own_layers(model, scheme, ranks)
    own = published_scheme(draft.model, settings.model_dtype)
    layers = range(len(draft.model.layers))
    weights = stage_weights(draft.model, layers, own, replace(ranks, redundant_experts=0), as_published=True)
    if weights is None:
        raise SettingError(f"--draft {draft.name}: what its weights take is unknown.", hint="Name another draft.")
    item = weights.items[0]
    return replace(item, name="draft model", formula=f"{draft.name}: {item.formula}")


def _own_layers(model: ModelSpec, scheme: Scheme | None, ranks: Ranks) -> WeightItem:
    layers = tuple(enumerate(model.draft_layers, start=len(model.layers)))
    listed = placed(model).draft_bytes if model.checkpoint else 0
    if scheme is None:
        if not listed:
            raise SettingError(f"--draft {OWN_LAYERS}: in which format {model.id} stores these layers is unknown.")
        size, how = listed, "as their headers list them, whole on every rank"
    else:
        size, how = layer_bytes(layers, scheme, ranks), f"in {scheme.name}"
        if listed:
            whole = max(layer_bytes(layers, scheme, Ranks()), 1)
            size, how = ceil_div(listed * size, whole), "as their headers list them"
    formula = f"{len(model.draft_layers)} next-token layers {how}"
    return WeightItem(name="draft layers", bytes=size, formula=formula, source=model.source)


def read_adapters(names: Sequence[str]) -> tuple["Adapter", ...]:
    """Return the adapters of these folders or repositories.

    Raises:
        KvplanError: one cannot be read.

    """
    if not names:
        return ()
    from kvplan.checkpoints.adapters import read_adapter  # noqa: PLC0415  only where adapters are given

    return tuple(read_adapter(name) for name in names)


def adapter_items(
    adapters: Sequence["Adapter"], engine: Engine, model: ModelSpec, layers: range, ranks: Ranks, settings: Settings
) -> Iterator[WeightItem]:
    """Yield what adapters take on one rank: the engine's slots for them where it makes some, else their own weights."""
    slots = engine.adapter_slots(model=model, layers=layers, ranks=ranks, settings=settings, adapters=adapters)
    if slots is not None:
        yield slots
        return
    if not adapters:
        return
    sizes = " + ".join(f"{adapter.total_bytes:,} B{_changed(adapter)}" for adapter in adapters)
    yield WeightItem(
        name="adapters",
        bytes=sum(adapter.total_bytes for adapter in adapters),
        formula=f"{sizes}, whole on every rank",
        source=", ".join(adapter.source for adapter in adapters),
    )


def _changed(adapter: "Adapter") -> str:
    """Return which modules an adapter changes, shortened, in brackets."""
    names = [repr(name)[1:-1][:40] for name in adapter.target_modules]
    return f" ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})" if names else ""


def adapter_notes(adapters: Sequence["Adapter"], model: ModelSpec) -> Iterator[Note]:
    """Yield what to know of adapters: how their size was found, and where one cannot belong to this model.

    The inputs of every `lora_A` (rank x inputs) are those of some module of its base model.
    """
    parts = (*model.outer, *(part for layer in model.layers for part in layer.parts)) if adapters else ()
    widths = {part.shape[1] for part in parts if len(part.shape) > 1} | {model.vocab_size}
    for adapter in adapters:
        for text in adapter.notes:
            yield Note(text, adapter.source)
        inputs = (t.shape[1] for t in adapter.tensors if "lora_A" in t.name and len(t.shape) == 2)
        strange = next((width for width in inputs if width not in widths), None)
        if strange is not None and model.unknown_parameters is None:
            base = f"; it names {adapter.base_model[:80]!r} as its base" if adapter.base_model else ""
            yield Note(
                f"The adapter changes a module of {strange:,} inputs, and {model.id} has none{base}: "
                "it was made for another model",
                adapter.source,
            )
