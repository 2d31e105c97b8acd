"""What torch's CUDA caching allocator takes for a sequence of tensors: blocks rounded up, in segments that it reserves.

Source: pytorch 2.13 c10/core/AllocatorConfig.h (kMinBlockSize, kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer,
kRoundLarge) and c10/cuda/CUDACachingAllocator.cpp (get_allocation_size, should_split), settings at their defaults.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from kvplan.units import MIB, round_up

_BLOCK, _SMALL, _SMALL_SEGMENT = 512, MIB, 2 * MIB
_MEDIUM, _MEDIUM_SEGMENT, _LARGE_MULTIPLE = 10 * MIB, 20 * MIB, 2 * MIB


@dataclass(slots=True)
class CachingAllocator:
    """An allocator whose tensors are never freed.

    Attributes:
        unsplit: blocks of this size and more are never split (max_split_size); None: all may be.
        allocated_bytes: of blocks in use, as `torch.cuda.memory_allocated` counts them.
        reserved_bytes: of segments taken from the device, as `torch.cuda.memory_reserved` counts them.

    """

    unsplit: int | None = None
    allocated_bytes: int = 0
    reserved_bytes: int = 0
    _free: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []), repr=False)

    def allocate(self, sizes: Iterable[int]) -> None:
        """Allocate one tensor of each size, in this order.

        A size is rounded up to 512 B. The smallest free block that holds it is used; else a segment is reserved: 2 MiB
        for up to 1 MiB, 20 MiB below 10 MiB, else the size rounded up to 2 MiB. What is left of a block is split off
        where it is at least 512 B (small) or more than 1 MiB (large); else the tensor keeps it.
        """
        for asked in sizes:
            if asked <= 0:
                continue
            size = -(-asked // _BLOCK) * _BLOCK
            small = size <= _SMALL
            free = self._free[0 if small else 1]
            at = bisect_left(free, size)
            if at < len(free):
                block = free.pop(at)
            else:
                block = (
                    _SMALL_SEGMENT if small else _MEDIUM_SEGMENT if size < _MEDIUM else round_up(size, _LARGE_MULTIPLE)
                )
                self.reserved_bytes += block
            rest = block - size
            splits = rest >= _BLOCK if small else rest > _SMALL and (self.unsplit is None or size < self.unsplit)
            if splits:
                insort(free, rest)
                block = size
            self.allocated_bytes += block
