"""Under which paths a checkpoint may name a module, so that the patterns of a quantisation section can be held against it.

A part knows its name within a layer and its component (`q_proj`, attention). Published files put that under `self_attn`,
`attn` or `mixer`, and the layer under `model.layers`, `model.language_model.layers`, `backbone.layers`, ...; the prefix is
taken off both sides, so that a path here begins with `layers.7.` or, outside the layers, with the module itself.
"""

import re
from functools import lru_cache

from kvplan.weights.parts import Component, Part

# Where the reference implementations put the modules of a component within a layer.
_PARENTS: dict[Component, tuple[str, ...]] = {
    "attention": ("self_attn", "attn", "attention", "mixer", "self_attention", "cross_attn"),
    "mixer": ("linear_attn", "mamba", "mixer", "self_attn", "conv", "short_conv", "temporal_block"),
    "indexer": ("self_attn", "attn"),
    "mlp": ("mlp", "feed_forward", "ffn", "mixer", "block_sparse_moe"),
    "experts": ("mlp", "block_sparse_moe", "feed_forward", "ffn", "mixer", "moe", ""),
    "shared_experts": ("mlp", "block_sparse_moe", "feed_forward", "ffn", "mixer", "moe", ""),
}
_SHARED = ("shared_experts", "shared_expert", "shared_mlp")
_ROUTERS = (
    "mlp.gate", "mlp.router", "block_sparse_moe.gate", "feed_forward.router", "ffn.gate", "mixer.gate", "router",
    "moe.gate", "gate",
)  # fmt: skip
# Other names of a module, the fused ones included: a pattern that names the fused module means its parts.
_LEAVES = {
    "q_proj": ("q_proj", "wq", "qkv_proj"),
    "k_proj": ("k_proj", "wk", "qkv_proj"),
    "v_proj": ("v_proj", "wv", "qkv_proj"),
    "o_proj": ("o_proj", "wo", "out_proj"),
    "q_a_proj": ("q_a_proj", "wq_a", "fused_qkv_a_proj"),
    "kv_a_proj_with_mqa": ("kv_a_proj_with_mqa", "wkv", "fused_qkv_a_proj"),
    "q_b_proj": ("q_b_proj", "wq_b"),
    "gate_proj": ("gate_proj", "w1", "gate_up_proj"),
    "up_proj": ("up_proj", "w3", "gate_up_proj", "fc1"),
    "down_proj": ("down_proj", "w2", "fc2"),
    "fc1": ("fc1", "up_proj"),
    "fc2": ("fc2", "down_proj"),
    "in_proj_qkv": ("in_proj_qkv", "in_proj_qkvz"),
    "in_proj_z": ("in_proj_z", "in_proj_qkvz"),
    "in_proj_a": ("in_proj_a", "in_proj_ba"),
    "in_proj_b": ("in_proj_b", "in_proj_ba"),
}
_OUTER: dict[Component, tuple[str, ...]] = {
    "head": ("lm_head", "head", "output", "embed_out", "output_layer"),
    "embeddings": ("embed_tokens", "embed", "wte", "word_embeddings", "tok_embeddings"),
    "vision": ("visual", "vision_tower", "vision_model", "vision_encoder", "vision", "vision_embedder"),
    "audio": ("audio_tower", "audio_encoder", "audio_model", "audio", "sound_encoder"),
    "projector": (
        "multi_modal_projector", "mm_projector", "projector", "embed_vision", "embed_audio", "mlp1", "aligner",
        "vision_language_adapter", "patch_merger",
    ),
    "draft": ("mtp",),
}  # fmt: skip
# What stands before the layers, or before a module outside them.
_PREFIX = re.compile(
    r"^(?:(?:transformer\.encoder|model|language_model|language|transformer|backbone|decoder|thinker|text_model|llm|module"
    r"|base_model|gpt_neox|rwkv)\.)*"
    r"(?:(?:layers|h|blocks|block)\.(?P<layer>\d{1,6}|\*)\.?)?"
)


def split_path(path: str) -> tuple[int | None, str]:
    """Return the layer that a path names and what follows.

    `model.layers.7.mlp.gate` as (7, `mlp.gate`), `lm_head` as (None, `lm_head`).
    """
    match = _PREFIX.match(path)
    if match is None or match["layer"] in (None, "*"):
        return None, path if match is None else path[match.end() :]
    return int(match["layer"]), path[match.end() :]


# The layers that predict further tokens, under names of their own (others follow the last layer: `model.layers.61`).
_DRAFT = re.compile(
    r"^(?:(?:model|language_model)\.)*(?:mtp|mtp_layers|nextn_predict_layers)\.(?:layers\.)?(?P<layer>\d{1,6})(?:\.|$)"
)


def split_rule(path: str) -> tuple[int | None, str]:
    """Return what `split_path` does, but next-token layers under names of their own count down from -1.

    `mtp.layers.0.mlp.gate` as (-1, `mlp.gate`).
    """
    draft = _DRAFT.match(path)
    return (-1 - int(draft["layer"]), path[draft.end() :]) if draft else split_path(path)


@lru_cache(maxsize=4096)
def paths_in_layer(part: Part) -> tuple[str, ...]:
    """Return the paths of a layer's module within its layer, most usual first."""
    *middle, leaf = part.name.split(".")
    leaves = _LEAVES.get(leaf, (leaf,))
    if part.component == "router":
        return _ROUTERS
    parents = _PARENTS.get(part.component, ("",))
    if part.component == "experts" and middle == ["experts"]:
        # Experts stand one by one (`experts.0.w1`) or stacked.
        return tuple(
            _join(parent, f"experts{number}", leaf) for parent in parents for number in (".0", "") for leaf in leaves
        )
    if part.component == "shared_experts" and middle:
        return tuple(_join(parent, shared, leaf) for parent in parents for shared in _SHARED for leaf in leaves)
    inner = ".".join(middle)
    return tuple(_join(parent, inner, leaf) for parent in parents for leaf in leaves)


@lru_cache(maxsize=4096)
def paths_outside(part: Part) -> tuple[str, ...]:
    """Return the paths of a module outside the layers."""
    roots = _OUTER.get(part.component, ())
    if part.component in ("head", "embeddings"):
        return (*roots, part.name)
    return (*(_join(root, part.name) for root in roots), part.name)


@lru_cache(maxsize=4096)
def pieces_in_layer(part: Part) -> tuple[str, ...]:
    """Return every run of names between dots within the paths of a layer's module, longest first by path."""
    return _pieces(paths_in_layer(part))


@lru_cache(maxsize=4096)
def pieces_outside(part: Part) -> tuple[str, ...]:
    """Return every run of names between dots within the paths of a module outside the layers."""
    return _pieces(paths_outside(part))


def _pieces(paths: tuple[str, ...]) -> tuple[str, ...]:
    runs: dict[str, None] = {}
    for path in paths:
        names = path.split(".")
        for start in range(len(names)):
            runs.update(dict.fromkeys(".".join(names[start:end]) for end in range(len(names), start, -1)))
    return tuple(runs)


def draft_prefixes(draft: int) -> tuple[str, ...]:
    """Return how files begin the path of a module of a next-token layer (the first is 0)."""
    return f"mtp.layers.{draft}.", f"mtp.{draft}.", "mtp."


def tower_roots(tower: Component) -> tuple[str, ...]:
    """Return the names under which files keep a tower."""
    return _OUTER.get(tower, ())


def tower_paths(tower: Component) -> tuple[str, ...]:
    """Return what paths within a tower look like, one of each kind."""
    return tuple(_join(root, inner) for root in tower_roots(tower) for inner in _INSIDES)


# Modules of towers in the reference implementations: Qwen, Pixtral, SigLIP, CLIP, Whisper.
_INSIDES = (
    "blocks.0.attn.qkv", "blocks.0.mlp.fc1", "layers.0.self_attn.q_proj", "encoder.layers.0.self_attn.q_proj",
    "vision_model.encoder.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj",
    "transformer.layers.0.attention.q_proj",
)  # fmt: skip


def _join(*pieces: str) -> str:
    return ".".join(piece for piece in pieces if piece)
