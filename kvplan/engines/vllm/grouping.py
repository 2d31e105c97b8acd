"""How vLLM turns layer specs into KV cache groups that share one pool of equal blocks.

Source: vLLM 0.33 v1/core/kv_cache_planning.py: get_kv_cache_groups, unify_kv_cache_spec_page_size,
_get_kv_cache_groups_uniform_page_size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import UnsupportedArchitectureError
from kvplan.units import ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Layers with one block table.

    Attributes:
        specs: distinct specs with their layer counts; more than one only where a block carries pages of several kinds.
        slots: pages that a block costs, padding slots included.

    """

    specs: tuple[tuple[LayerSpec, int], ...]
    bytes_per_block: int

    @property
    def leader(self) -> LayerSpec:
        """The spec that decides how many blocks a request takes."""
        return self.specs[0][0]


def group_layers(specs: Sequence[LayerSpec]) -> tuple[Group, ...]:
    """Return the groups, each costing the same bytes per block; none for a model without caches.

    Raises:
        UnsupportedArchitectureError: page sizes that vLLM cannot make equal.

    """
    if not specs:
        return ()
    counts: dict[LayerSpec, int] = {}
    for spec in specs:
        counts[spec] = counts.get(spec, 0) + 1
    if len(counts) == 1 or _uniform(tuple(counts)):
        total = sum(spec.page_bytes * count for spec, count in counts.items())
        return (Group(specs=tuple(counts.items()), bytes_per_block=total),)
    buckets = _buckets(_unify(counts))
    sizes = [count for _, count in buckets]
    # The smallest bucket sets the size of a group, the largest where it is less than half as large again.
    size = max(sizes) if max(sizes) < 1.5 * min(sizes) else min(sizes)
    page = buckets[0][0].page_bytes
    groups = []
    for spec, count in buckets:
        parts = ceil_div(count, size)
        for index in range(parts):
            # Layers are dealt round; buckets that do not divide leave slots that cost all the same.
            groups.append(Group(specs=((spec, len(range(index, count, parts))),), bytes_per_block=size * page))
    return tuple(groups)


def _uniform(specs: Sequence[LayerSpec]) -> bool:
    """Whether all are paged for every position in blocks of one size: one table serves them all, pages side by side."""
    return all(spec.grows for spec in specs) and len({spec.block_tokens for spec in specs}) == 1


def _unify(counts: dict[LayerSpec, int]) -> dict[LayerSpec, int]:
    """Return the specs with equal pages: smaller ones that divide the largest get longer blocks, others are padded."""
    largest = max(spec.page_bytes for spec in counts)
    unified: dict[LayerSpec, int] = {}
    for spec, count in counts.items():
        if spec.page_bytes == largest:
            same = spec
        elif not spec.is_state and largest % spec.page_bytes == 0:
            same = spec.with_block(spec.block_tokens * (largest // spec.page_bytes))
        elif spec.paddable:
            same = replace(spec, page_bytes=largest)
        else:
            raise UnsupportedArchitectureError(
                f"vLLM cannot make the pages of {spec.cache.kind} ({spec.page_bytes:,} B) equal to {largest:,} B.",
                hint="Choose another --kv-dtype, or plan with --engine textbook.",
            )
        unified[same] = unified.get(same, 0) + count
    return unified


def _buckets(counts: dict[LayerSpec, int]) -> list[tuple[LayerSpec, int]]:
    """Return layers of one kind and block size together, in order of first appearance."""
    return list(counts.items())
