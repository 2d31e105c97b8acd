"""Groups whose pages differ, packed side by side in one block (DeepSeek V4).

Source: vLLM 0.33 v1/core/kv_cache_planning.py _get_packed_kv_cache_groups, _approximate_gcd.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvplan.engines.vllm.specs import LayerSpec
from kvplan.units import ceil_div

Registered = tuple[int, LayerSpec]


@dataclass(frozen=True, slots=True)
class _Bucket:
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
