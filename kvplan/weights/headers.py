"""A checkpoint's tensors put to a model's modules, so that headers say what one rank holds.

A tensor belongs to the modules whose path it bears (`layers.7.self_attn.q_proj.weight_scale` to the query projection of
layer 7; a fused `qkv_proj` to three), and is divided over ranks as they are. The tensors of a layer that bear no module's
path belong to those of its modules that no tensor bears; where there are none, they stand whole on every rank.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from kvplan.checkpoints.tensors import Checkpoint, Tensor
from kvplan.models.spec import ModelSpec
from kvplan.units import ceil_div
from kvplan.weights.parts import Component, Part
from kvplan.weights.paths import paths_in_layer, paths_outside, split_path
from kvplan.weights.ranks import Ranks, shard

# llama.cpp's names (gguf-py constants.py TENSOR_NAMES) to the leaves that the parts have.
_GGUF_LEAVES = {
    "attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_output": "o_proj", "attn_qkv": "qkv_proj",
    "attn_q_a": "q_a_proj", "attn_q_b": "q_b_proj", "attn_kv_a_mqa": "kv_a_proj_with_mqa", "attn_kv_b": "kv_b_proj",
    "attn_k_b": "kv_b_proj", "attn_v_b": "kv_b_proj", "attn_q_a_norm": "q_a_layernorm", "attn_kv_a_norm": "kv_a_layernorm",
    "attn_q_norm": "q_norm", "attn_k_norm": "k_norm", "attn_sinks": "sinks", "attn_gate": "in_proj_z",
    "ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj",
    "ffn_gate_exps": "experts.gate_proj", "ffn_up_exps": "experts.up_proj", "ffn_down_exps": "experts.down_proj",
    "ffn_gate_up_exps": "experts.gate_up_proj",
    "ffn_gate_shexp": "shared_experts.gate_proj", "ffn_up_shexp": "shared_experts.up_proj",
    "ffn_down_shexp": "shared_experts.down_proj", "ffn_gate_inp_shexp": "shared_expert_gate",
    "ffn_gate_inp": "router", "exp_probs_b": "router",
    "ssm_in": "in_proj", "ssm_conv1d": "conv1d", "ssm_x": "x_proj", "ssm_dt": "dt_proj", "ssm_a": "A_log", "ssm_d": "D",
    "ssm_out": "out_proj", "ssm_norm": "norm", "ssm_ba": "in_proj_b", "ssm_beta": "in_proj_b", "ssm_alpha": "in_proj_a",
}  # fmt: skip
_GGUF_OUTER = {"token_embd": "embed_tokens", "output": "lm_head", "output_norm": "norm"}
# Buffers that old checkpoints carry and no engine loads.
_BUFFERS = re.compile(r"(?:rotary_emb\.inv_freq|\.attn\.bias|\.masked_bias|rope_freqs\.weight)$")
_TOWERS = re.compile(
    r"(?:^|\.)(?:visual\w*|vision\w*|vpm|sam_model|img_\w+|image\w*|video\w*|audio\w*|apm|sound\w*|vit|v|mm|resampler|qformer|encoder)\."
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|blocks|block|h)\.\d+(?=\.)")
_PROJECTOR = re.compile(r"(?:^|\.)(?:\w*projector|mlp1|aligner|embed_(?:vision|audio))\.")
_HEAD = re.compile(r"(?:.*\.)?(?:lm_head|output|output_layer|embed_out|head)\.")
_BESIDE: frozenset[Component] = frozenset({"vision", "audio", "projector", "encoder"})
_Left = dict[tuple[int | None, bool], tuple[Part, ...]]
_DRAFT = re.compile(r"(?:^|\.)(?:mtp|mtp_layers|nextn|eagle|medusa_heads?)(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one tensor belongs.

    Attributes:
        layer: of the decoder; None: outside the layers.
        parts: the modules that own it; none: no module is left for it.
        tower: whether it stands beside the language model.
        draft: whether only speculation loads it.
        loaded: whether an engine loads it at all.

    """

    layer: int | None
    parts: tuple[Part, ...]
    tower: bool = False
    draft: bool = False
    loaded: bool = True


@dataclass(frozen=True, kw_only=True)
class PlacedCheckpoint:
    """A checkpoint's tensors with their places in a model."""

    model: ModelSpec
    checkpoint: Checkpoint

    @cached_property
    def tensors(self) -> tuple[tuple[Tensor, Placement], ...]:
        """Every tensor and its place."""
        # Equal names in equal layers have one place: ninety thousand tensors of experts are some dozens of names.
        known: dict[str, Placement] = {}
        places = []
        for tensor in self.checkpoint.tensors:
            name = _without_number(tensor.name)
            if name not in known:
                known[name] = self._place(name)
            places.append(known[name])
        left = self._left_over(places)
        return tuple(
            (tensor, replace(place, parts=_roomy(tensor, left, place)) if place.loaded and not place.parts else place)
            for tensor, place in zip(self.checkpoint.tensors, places, strict=True)
        )

    def _left_over(self, places: Iterable[Placement]) -> _Left:
        """Return the modules that no tensor bears the path of, by layer and whether they stand beside the language model."""
        borne: dict[tuple[int | None, bool], set[Part]] = {}
        for place in places:
            borne.setdefault((place.layer, place.tower), set()).update(place.parts)
        whole: _Left = {(index, False): layer.parts for index, layer in enumerate(self.model.layers)}
        for tower in (False, True):
            whole[None, tower] = tuple(part for part in self.model.outer if (part.component in _BESIDE) == tower)
        return {key: tuple(part for part in parts if part not in borne.get(key, ())) for key, parts in whole.items()}

    def _place(self, name: str) -> Placement:
        layer, rest = split_path(_plain_name(name))
        count = len(self.model.layers)
        if _BUFFERS.search(name):
            return Placement(layer, (), loaded=False)
        if _DRAFT.search(name) or (layer is not None and layer >= count and not _in_tower(name)):
            return Placement(None, (), draft=True, loaded=False)
        if layer is not None and not _in_tower(name):
            return Placement(layer, _owners(self.model.layers[layer].parts, rest, paths_in_layer))
        tower = _in_tower(name) or _PROJECTOR.search(name) is not None
        beside = tuple(part for part in self.model.outer if (part.component in _BESIDE) == tower)
        parts = _owners(beside, _plain_name(name), paths_outside)
        tied_head = self.model.tied and not parts and _HEAD.match(name)
        return Placement(None, parts, tower=tower, loaded=not tied_head)

    def on_stage(self, layers: range) -> Iterator[tuple[Tensor, Placement]]:
        """Yield the tensors that a pipeline stage loads, as `ranks.stage_parts` divides them."""
        first, last = layers.start == 0, layers.stop == len(self.model.layers)
        for tensor, place in self.tensors:
            if not place.loaded:
                continue
            if place.layer is not None:
                if place.layer in layers:
                    yield tensor, place
                continue
            component = place.parts[0].component if place.parts else None
            at_end = component in ("head", "norms")
            if (last if at_end else first) or (component == "embeddings" and self.model.tied and last):
                yield tensor, place

    def rank_bytes(self, layers: range, ranks: Ranks, cast_to: int | None = None) -> dict[Component, int]:
        """Return what the fullest rank of a stage loads, by component.

        Args:
            layers: of the stage.
            ranks: how the engine spreads them.
            cast_to: bytes of the number that the engine casts float tensors to; None: they stay as they are.

        """
        # Tensors of one place are added up before they are divided: they are many, and places are few.
        whole: dict[int, tuple[tuple[Part, ...], int]] = {}
        for tensor, place in self.on_stage(layers):
            _, size = whole.get(id(place.parts), (place.parts, 0))
            loaded = tensor.numbers * cast_to if cast_to is not None and tensor.is_plain else tensor.bytes
            whole[id(place.parts)] = (place.parts, size + loaded)
        sizes: dict[Component, int] = {}
        for parts, size in whole.values():
            component: Component = parts[0].component if parts else "other"
            if component not in ranks.left_out:
                share = _share(parts, ranks)
                sizes[component] = sizes.get(component, 0) + ceil_div(size * share.numerator, share.denominator)
        return sizes

    @cached_property
    def draft_bytes(self) -> int:
        """Bytes of the next-token layers."""
        return sum(tensor.bytes for tensor, place in self.tensors if place.draft)

    @cached_property
    def not_loaded_bytes(self) -> int:
        """Bytes of all that the engine leaves in the file: next-token layers, a tied head's copy, old buffers."""
        return sum(tensor.bytes for tensor, place in self.tensors if not place.loaded)


def _plain_name(name: str) -> str:
    """Return a GGUF name in the words of the other files; another name as it is."""
    match = re.match(r"blk\.(\d+)\.([a-z0-9_]+)(.*)", name)
    if match:
        return f"layers.{match[1]}.{_GGUF_LEAVES.get(match[2], match[2])}{match[3]}"
    first, dot, rest = name.partition(".")
    return f"{_GGUF_OUTER[first]}{dot}{rest}" if first in _GGUF_OUTER else name


def _roomy(tensor: Tensor, left: _Left, place: Placement) -> tuple[Part, ...]:
    """Return the modules of a layer that are left for a tensor; of what stands outside where it is more than they are.

    Blocks that layers share (Zamba's) are counted outside the layers, and stored under the first that has them.
    """
    parts = left[place.layer, place.tower]
    if place.layer is not None and tensor.numbers > sum(part.parameters for part in parts):
        return left[None, False] or parts
    return parts


def _in_tower(name: str) -> bool:
    # ChatGLM calls its decoder an encoder. What stands within a layer says nothing of where the layer stands (CogVLM's experts).
    before = _LAYER.split(name.removeprefix("transformer.encoder."), maxsplit=1)[0]
    return _TOWERS.search(f"{before}.") is not None


def _owners(parts: Iterable[Part], name: str, paths: Callable[[Part], tuple[str, ...]]) -> tuple[Part, ...]:
    """Return the modules whose path a tensor's name bears; those that agree on the longest path."""
    found: tuple[Part, ...] = ()
    best = 0
    pieces = name.split(".")
    for part in parts:
        # The groups of a mixer's projection are part of its tensor, and split by a rule of their own.
        bare = replace(part, name=part.name.removesuffix(".groups"))
        spellings = (*paths(bare), bare.name, bare.name.split(".")[-1])
        length = max(_agreement(path.split("."), pieces) for path in spellings)
        if length > best:
            found, best = (part,), length
        elif length == best and best:
            found = (*found, part)
    return found


def _without_number(rest: str) -> str:
    """Return the path with every expert's number the first's: `experts.17.w1` as `experts.0.w1`."""
    return re.sub(r"experts\.\d+\.", "experts.0.", rest)


def _agreement(path: list[str], pieces: list[str]) -> int:
    """Return how many pieces of a tensor's name a path takes up: all of the path, somewhere in the name; else 0."""
    for start in range(len(pieces) - len(path) + 1):
        if pieces[start : start + len(path)] == path:
            return len(path)
    return 0


def _share(parts: tuple[Part, ...], ranks: Ranks) -> Fraction:
    """Return the piece of these modules that the fullest rank holds: its parameters over theirs."""
    whole = sum(part.parameters for part in parts)
    return Fraction(sum(shard(part, ranks).parameters for part in parts), whole) if whole else Fraction(1)
