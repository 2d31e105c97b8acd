"""PyTorch's files: pickles are programs and are never opened, so their sizes stand in for what they hold."""

from collections.abc import Mapping

from kvplan.checkpoints.index import Index
from kvplan.checkpoints.large_json import shown


def torch_bytes(sizes: Mapping[str, int], index: Index | None) -> tuple[int, tuple[str, ...]]:
    """Return the bytes of the weights in PyTorch files, and what to know about the figure.

    Args:
        sizes: of the files.
        index: theirs, where there is one; the total it states is that of the tensors.

    """
    on_disk = sum(sizes.values())
    if index is None or index.total_bytes is None:
        return on_disk, ("PyTorch files are not opened: their size on disk stands in for the weights",)
    if abs(on_disk - index.total_bytes) * 100 > index.total_bytes:
        return index.total_bytes, (
            f"{shown(index.where)} states {index.total_bytes:,} bytes of tensors, but its files have {on_disk:,}",
        )
    return index.total_bytes, ()
