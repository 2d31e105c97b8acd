"""torch's caching allocator: what a sequence of tensors takes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvplan.engines.torch_allocator import CachingAllocator

MIB = 2**20


def taken(*sizes: int, unsplit: int | None = None) -> tuple[int, int]:
    """Return allocated and reserved bytes of tensors of these sizes."""
    allocator = CachingAllocator(unsplit=unsplit)
    allocator.allocate(sizes)
    return allocator.allocated_bytes, allocator.reserved_bytes


@pytest.mark.parametrize(
    "sizes, allocated, reserved",
    [
        ((1,), 512, 2 * MIB),
        ((513,), 1024, 2 * MIB),
        ((MIB, MIB), 2 * MIB, 2 * MIB),  # one small segment holds both
        ((MIB + 1,), MIB + 512, 20 * MIB),
        ((9 * MIB, 9 * MIB), 18 * MIB, 20 * MIB),
        ((9 * MIB, 9 * MIB, 2 * MIB), 20 * MIB, 20 * MIB),
        ((19 * MIB // 2, 19 * MIB // 2), 39 * MIB // 2 + MIB // 2, 20 * MIB),  # the last keeps the 1 MiB that is left
        ((63 * MIB // 2,), 32 * MIB, 32 * MIB),  # 31.5 MiB: half a MiB is not split off
        ((49 * MIB // 2,), 49 * MIB // 2, 26 * MIB),  # 24.5 MiB: 1.5 MiB are
        ((49 * MIB // 2, 3 * MIB // 2), 26 * MIB, 26 * MIB),  # and serve the next
    ],
)
def test_worked_blocks(sizes, allocated, reserved):
    """Blocks and segments as CUDACachingAllocator.cpp rounds and splits them."""
    assert taken(*sizes) == (allocated, reserved)


def test_unsplit_blocks_keep_what_is_left_of_their_segment():
    """From a given size on a block is the whole segment (max_split_size)."""
    assert taken(49 * MIB // 2, unsplit=20 * MIB) == (26 * MIB, 26 * MIB)
    assert taken(11 * MIB // 2, unsplit=20 * MIB) == (11 * MIB // 2, 20 * MIB)


@given(st.lists(st.integers(0, 2**31), max_size=40))
def test_no_tensor_is_smaller_than_asked_and_none_outside_a_segment(sizes):
    """Allocated is at least what was asked, reserved at least what is allocated, and never more than 20 MiB a tensor over."""
    allocated, reserved = taken(*sizes)
    assert sum(sizes) <= allocated <= reserved <= sum(sizes) + 20 * MIB * len(sizes)
