"""How vLLM turns layer specs into KV cache groups that share one pool of equal blocks.

From 0.11 on layers are grouped over the whole model; a pipeline stage then holds its part of each group.
Source: vLLM 0.33 v1/core/kv_cache_planning.py (before: v1/core/kv_cache_utils.py): get_kv_cache_groups,
unify_hybrid_kv_cache_specs, unify_kv_cache_spec_page_size, _get_kv_cache_groups_uniform_page_size,
_project_kv_cache_groups_to_worker. What differs between releases stands in `changes`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import lcm

from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.packing import pack, tuple_groups
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import SettingError, UnsupportedArchitectureError
from kvplan.units import ceil_div, round_up

# A layer of the model by its index, with one of the specs it registers.
Registered = tuple[int, LayerSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Layers with one block table.

    Attributes:
        members: the layers on one rank. A group of equal layers has its spec in `leaders` even where the rank holds none.
        leaders: the distinct specs; a request takes as many blocks as the one that needs most.
        packed: whether the layers' pages lie side by side in each block, not each layer's blocks in a row.
        fixed_bytes: the bytes of a block, where they are not those of its layers (DeepSeek V4 before 0.27).

    """

    members: tuple[Registered, ...]
    leaders: tuple[LayerSpec, ...]
    packed: bool = False
    fixed_bytes: int | None = None

    @property
    def page_bytes(self) -> int:
        """One page of each of its layers."""
        return sum(spec.page_bytes for _, spec in self.members)

    @property
    def bytes_per_block(self) -> int:
        """One page of each of its layers, rounded to what its kernel asks for where each layer's blocks lie in a row."""
        if self.fixed_bytes is not None:
            return self.fixed_bytes
        if self.packed:
            return sum(spec.page_bytes for _, spec in self.members)
        return sum(round_up(spec.page_bytes, spec.stride_bytes) for _, spec in self.members)

    def on_stage(self, layers: Collection[int]) -> "Group":
        """Return the part of the group that a pipeline stage holds."""
        return replace(self, members=tuple(member for member in self.members if member[0] in layers))


def group_of_layers(members: Sequence[Registered], *, packed: bool = False) -> Group:
    """Return one group of these layers."""
    return Group(members=tuple(members), leaders=tuple(dict.fromkeys(spec for _, spec in members)), packed=packed)


def pool_bytes_per_block(groups: Sequence[Group]) -> int:
    """Return the bytes of one block of the pool that the groups share: the largest group's, 0 without layers.

    Packed blocks are a multiple of every layer's stride apart. Source: _get_kv_cache_bytes_per_block.
    """
    largest = max((group.bytes_per_block for group in groups), default=0)
    strides = {spec.stride_bytes for group in groups if group.packed for _, spec in group.members}
    return round_up(largest, lcm(*strides))


def group_layers(
    layers: Sequence[Registered], *, hybrid: bool, block_outermost: bool, version: Version
) -> tuple[Group, ...]:
    """Return the groups, in vLLM's order; none for a model without caches.

    Args:
        layers: in the order of the model.
        hybrid: whether the hybrid manager is on; off, windows are paged for every position.
        block_outermost: whether a block holds the pages of all layers side by side, so that pages may differ.
        version: of vLLM.

    Raises:
        SettingError: the hybrid manager is off and the layers are of more than one kind all the same.
        UnsupportedArchitectureError: page sizes that this version cannot make equal.

    """
    if not layers:
        return ()
    if not hybrid:
        layers = promote(layers)
    specs = [spec for _, spec in layers]
    if mergeable(specs) or (applies("uniform_types", version) and uniform(specs)):
        return (group_of_layers(layers, packed=block_outermost),)
    if block_outermost and len({spec.page_bytes for spec in specs}) > 1:
        if applies("packed_groups", version):
            return tuple(group_of_layers(members, packed=True) for members in pack(layers, uniform))
        groups, size = tuple_groups(layers, version)
        return tuple(replace(group_of_layers(members, packed=True), fixed_bytes=size) for members in groups)
    try:
        layers = unify_pages(layers, version)
    except UnsupportedArchitectureError:
        if (full := _in_full(layers, version)) is None:
            raise
        return (group_of_layers(full),)
    return equal_groups(layers, version)


def _in_full(layers: Sequence[Registered], version: Version) -> Sequence[Registered] | None:
    """Return windows beside latents as full attention, where their pages cannot be made equal; None where that is no way.

    Source: _try_get_full_allocation_fallback_groups.
    """
    kinds = {spec.kind for _, spec in layers}
    if not applies("latents_with_windows", version) or not kinds <= {"mla", "full", "sliding"} or "mla" not in kinds:
        return None
    try:
        full = promote(layers)
    except SettingError:
        return None
    return full if uniform([spec for _, spec in full]) else None


def mergeable(specs: Sequence[LayerSpec]) -> bool:
    """Whether vLLM takes the specs for one: equal, or full attention of one shape with one window recorded.

    Source: v1/kv_cache_interface.py KVCacheSpec.merge, FullAttentionSpec.merge.
    """
    first = specs[0]
    if all(spec == first for spec in specs):
        return True
    if any(spec.kind != "full" for spec in specs):
        return False
    shapes = {replace(spec, cache=first.cache, window=None) for spec in specs}
    windows = {spec.window for spec in specs} - {None}
    return len(shapes) == 1 and len(windows) <= 1


def uniform(specs: Sequence[LayerSpec]) -> bool:
    """Whether all need the same positions in blocks of one length, so that one table serves pages of several sizes.

    Source: v1/kv_cache_interface.py UniformTypeKVCacheSpecs.is_uniform_type, is_uniform_with_collection.
    """
    first = specs[0]
    if any(spec.block_tokens != first.block_tokens for spec in specs):
        return False
    if first.grows:
        return all(spec.grows for spec in specs)
    if any(spec.kind != first.kind for spec in specs):
        return False
    if first.kind == "mamba":
        return all((spec.state_pages, spec.page_bytes) == (first.state_pages, first.page_bytes) for spec in specs)
    return all(spec.window == first.window for spec in specs)


def promote(layers: Sequence[Registered]) -> Sequence[Registered]:
    """Return the layers as they are allocated with the hybrid manager off: windows and chunks as full attention.

    Raises:
        SettingError: they are still of more than one kind.

    """
    specs = [spec for _, spec in layers]
    if mergeable(specs) or uniform(specs):
        return layers
    blocks = {spec.block_tokens for spec in specs if spec.grows}
    promoted = list(layers)
    if blocks:
        block = blocks.pop() if len(blocks) == 1 else None
        promoted = [(index, _as_full(spec, block)) for index, spec in layers]
    specs = [spec for _, spec in promoted]
    if mergeable(specs) or uniform(specs):
        return promoted
    raise SettingError(
        "vLLM refuses disable_hybrid_kv_cache_manager here: the layers' caches cannot be promoted to one kind.",
        hint="Leave the hybrid manager on.",
    )


def _as_full(spec: LayerSpec, block: int | None) -> LayerSpec:
    if spec.kind not in ("sliding", "chunked", "sliding_mla"):
        return spec
    return replace(
        spec,
        kind="mla" if spec.kind == "sliding_mla" else "full",
        block_tokens=block or spec.block_tokens,
    )


def unify_pages(layers: Sequence[Registered], version: Version) -> Sequence[Registered]:
    """Return the layers with equal pages: smaller ones that divide the largest get longer blocks, others are padded.

    Raises:
        UnsupportedArchitectureError: pages that this version does not make equal; latents' never are padded.

    """
    largest = max(spec.page_bytes for _, spec in layers)
    known: dict[LayerSpec, LayerSpec] = {}
    for _, spec in layers:
        if spec not in known:
            known[spec] = _with_page(spec, largest, version)
    return [(index, known[spec]) for index, spec in layers]


def _with_page(spec: LayerSpec, page: int, version: Version) -> LayerSpec:
    if spec.page_bytes == page:
        return spec
    divides = page % spec.page_bytes == 0 and applies("pages_unified", version)
    if divides and (spec.kind != "mamba" or not applies("states_padded", version)):
        return spec.with_block(spec.block_tokens * (page // spec.page_bytes))
    if applies("states_padded" if spec.kind == "mamba" else "pages_padded", version) and spec.paddable:
        return spec.padded(page)
    raise UnsupportedArchitectureError(
        f"vLLM {'.'.join(map(str, version))} cannot make the pages of {spec.cache.kind} ({spec.page_bytes:,} B) equal to "
        f"{page:,} B.",
        hint="Choose another --kv-dtype or a newer version, or plan with --engine textbook.",
    )


def equal_groups(layers: Sequence[Registered], version: Version) -> tuple[Group, ...]:
    """Return groups of equally many layers each, those of one kind dealt round.

    The smallest kind sets the size, the largest where it is less than half as large again. A kind that does not divide
    leaves slots empty; a block costs them all the same.
    """
    buckets: list[list[Registered]] = []
    by_spec: dict[LayerSpec, list[Registered]] = {}
    for layer in layers:
        by_spec.setdefault(layer[1], []).append(layer)
    for spec, members in by_spec.items():
        for bucket in buckets if applies("kinds_merged", version) else ():
            if mergeable([*dict.fromkeys(known for _, known in bucket), spec]):
                bucket.extend(members)
                break
        else:
            buckets.append(list(members))
    sizes = [len(bucket) for bucket in buckets]
    size = max(sizes) if max(sizes) < _tolerance(version) * min(sizes) else min(sizes)
    groups = []
    for bucket in buckets:
        parts = ceil_div(len(bucket), size)
        dealt = applies("groups_over_stages", version)
        groups += [
            group_of_layers(bucket[part::parts] if dealt else bucket[part * size : (part + 1) * size])
            for part in range(parts)
        ]
    return tuple(groups)


def _tolerance(version: Version) -> float:
    """Return how many times the smallest kind the largest may be to set the size of groups."""
    if applies("group_size_by_half", version):
        return 1.5
    return 1.25 if applies("group_size_by_quarter", version) else 1.0
