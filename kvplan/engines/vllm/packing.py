"""Groups whose pages differ, packed side by side in one block (DeepSeek V4).

Source: vLLM 0.33 v1/core/kv_cache_planning.py _get_packed_kv_cache_groups, _approximate_gcd; 0.20 to 0.28
v1/core/kv_cache_utils.py group_and_unify_kv_cache_specs, _get_kv_cache_groups_uniform_groups.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import UnsupportedArchitectureError
from kvplan.units import ceil_div

Registered = tuple[int, LayerSpec]


class _Bucket(NamedTuple):
    """Layers that one block table can serve, by the size of their pages."""

    members: list[Registered]

    @property
    def by_page(self) -> dict[int, list[Registered]]:
        pages: dict[int, list[Registered]] = {}
        for member in self.members:
            pages.setdefault(member[1].page_bytes, []).append(member)
        return pages

    @property
    def balanced(self) -> bool:
        """Whether there are equally many layers of each page size: a pattern that repeats."""
        return len({len(members) for members in self.by_page.values()}) == 1

    @property
    def repeats(self) -> int:
        return max(len(members) for members in self.by_page.values())

    def widest_bytes(self, groups: int) -> int:
        """Page bytes of the largest of so many groups."""
        return sum(ceil_div(len(members), groups) * page for page, members in self.by_page.items())


def pack(layers: Sequence[Registered], uniform: Callable[[Sequence[LayerSpec]], bool]) -> list[list[Registered]]:
    """Return the layers of each group.

    Buckets are filled greedily. Those with one layer of each page size per repeat are split into groups of equally many
    repeats; states are split down to what the block of the others holds anyway.
    """
    buckets = _buckets(layers, uniform)
    floor = max((bucket.repeats for bucket in buckets if bucket.balanced and len(bucket.by_page) > 1), default=0)
    repeats = approximate_gcd([b.repeats for b in buckets if b.balanced], at_least=floor) if floor else None

    def parts(bucket: _Bucket) -> int:
        return ceil_div(bucket.repeats, repeats) if bucket.balanced and repeats else 1

    def is_state(bucket: _Bucket) -> bool:
        kind = bucket.members[0][1].kind
        return kind in ("mamba", "ring") or (repeats is None and kind in ("sliding", "sliding_mla"))

    anchor = max(b.widest_bytes(len(b.members) if is_state(b) else parts(b)) for b in buckets)
    groups: list[list[Registered]] = []
    for bucket in buckets:
        count = parts(bucket)
        if is_state(bucket):
            fitting = max(anchor // bucket.members[0][1].page_bytes, 1)
            count = max(count, ceil_div(len(bucket.members), fitting))
        if count == 1:
            groups.append(bucket.members)
            continue
        pattern = list(zip(*bucket.by_page.values(), strict=False))
        groups += [[member for repeat in pattern[part::count] for member in repeat] for part in range(count)]
    return groups


def _buckets(layers: Sequence[Registered], uniform: Callable[[Sequence[LayerSpec]], bool]) -> list[_Bucket]:
    """Return each layer in the first bucket that stays uniform with it."""
    buckets: list[_Bucket] = []
    for layer in layers:
        for bucket in buckets:
            if uniform([*dict.fromkeys(spec for _, spec in bucket.members), layer[1]]):
                bucket.members.append(layer)
                break
        else:
            buckets.append(_Bucket([layer]))
    return buckets


def approximate_gcd(values: Sequence[int], *, at_least: int) -> int:
    """Return the divisor from `at_least` up to the largest value that leaves least padding; the larger of equals."""
    largest = max(values)
    if at_least > largest:
        return at_least
    return min(
        range(max(1, at_least), largest + 1),
        key=lambda d: (sum(-value % d for value in values), -d),
    )


def tuple_groups(layers: Sequence[Registered], version: Version) -> tuple[list[list[Registered]], int | None]:
    """Return the groups of DeepSeek V4 from 0.20 to 0.28, and the bytes of a block where groups do not decide them.

    The latents make the first group. Windows are grouped by block and window and dealt out so that no group has more layers
    of a size than the latents' most frequent one. Up to 0.22 a block has one page of each of the latents' sizes for each of
    these layers, up to 0.26 as many of each size as some group needs; windows' pages are padded to the latents' sizes.

    Raises:
        UnsupportedArchitectureError: this version has no such model.

    """
    if not applies("v4_tuples", version):
        raise UnsupportedArchitectureError(
            f"vLLM {'.'.join(map(str, version))} cannot serve latents beside windows of latents.",
            hint="DeepSeek V4 came with 0.20: vllm@0.20.",
        )
    latents = [layer for layer in layers if layer[1].kind == "mla"]
    windows: dict[tuple[int, int | None], list[Registered]] = {}
    for layer in layers:
        if layer[1].kind == "sliding_mla":
            windows.setdefault((layer[1].block_tokens, layer[1].window), []).append(layer)
    if not latents or len(latents) + sum(map(len, windows.values())) != len(layers):
        raise UnsupportedArchitectureError(
            f"How vLLM {'.'.join(map(str, version))} groups these layers is not built.", hint="Plan with vllm@0.33."
        )
    sizes = {spec.page_bytes for _, spec in latents}
    rows = approximate_gcd([_rows(members) for members in (latents, *windows.values())], at_least=_rows(latents))
    groups = [latents]
    for members in windows.values():
        if not applies("v4_dense", version):
            members = [(index, _padded(spec, sizes)) for index, spec in members]  # noqa: PLW2901  the same layers, padded
        by_size: dict[int, list[Registered]] = {}
        for member in members:
            by_size.setdefault(member[1].page_bytes, []).append(member)
        parts = ceil_div(max(map(len, by_size.values())), rows)
        tuples = list(zip(*by_size.values(), strict=True))
        groups += [[member for row in tuples[part::parts] for member in row] for part in range(parts)]
    if applies("v4_dense", version):
        return groups, None
    if applies("v4_slots", version):
        slots: Counter[int] = Counter()
        for group in groups:
            slots |= Counter(spec.page_bytes for _, spec in group)
        return groups, sum(size * count for size, count in slots.items())
    return groups, sum(sizes) * max(_rows(group) for group in groups)


def _rows(members: Sequence[Registered]) -> int:
    """Return the layers of the most frequent page size."""
    return max(Counter(spec.page_bytes for _, spec in members).values())


def _padded(spec: LayerSpec, sizes: set[int]) -> LayerSpec:
    fitting = [size for size in sizes if size >= spec.page_bytes]
    return spec.padded(min(fitting)) if fitting and min(fitting) > spec.page_bytes else spec
