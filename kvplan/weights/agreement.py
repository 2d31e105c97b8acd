"""Where several sources say what a checkpoint takes: the most exact one, and how far the others are from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kvplan.models.spec import ModelSpec
from kvplan.weights.figure import Origin
from kvplan.weights.scheme import Scheme
from kvplan.weights.stored import as_in_files, checkpoint_bytes


class Figure(NamedTuple):
    """The bytes of a whole checkpoint, next-token layers included, as one source has them."""

    origin: Origin
    bytes: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the sources at hand say of a checkpoint, the most exact first."""

    figures: tuple[Figure, ...]

    @property
    def best(self) -> Figure | None:
        """The most exact figure; None where no source says."""
        return self.figures[0] if self.figures else None

    @property
    def differences(self) -> tuple[tuple[Figure, float], ...]:
        """The other figures, each with its relative difference from the most exact one."""
        if not self.figures or not self.figures[0].bytes:
            return ()
        return tuple((figure, figure.bytes / self.figures[0].bytes - 1) for figure in self.figures[1:])


def agreement(model: ModelSpec, scheme: Scheme | None, *, as_published: bool) -> Agreement:
    """Return the figures of a checkpoint in a scheme: headers, file sizes, published size, configuration.

    Args:
        model: whose checkpoint it is.
        scheme: how it is stored; None: not understood.
        as_published: whether that is how it is published, so that headers and published sizes are of the same thing.

    """
    return Agreement(figures=tuple(_figures(model, scheme, as_published=as_published)))


def _figures(model: ModelSpec, scheme: Scheme | None, *, as_published: bool) -> Iterator[Figure]:
    checkpoint = model.checkpoint
    if checkpoint is not None and as_published:
        origin: Origin = "headers" if checkpoint.tensors else "file sizes"
        yield Figure(origin=origin, bytes=checkpoint.total_bytes, source=checkpoint.source)
    size = model.published_bytes
    if size is not None and as_published:
        yield Figure(origin="published size", bytes=size, source=model.source)
    if scheme is not None and model.unknown_parameters is None:
        if checkpoint is not None and as_published:
            scheme = as_in_files(scheme, checkpoint, model.parameters)
        size = checkpoint_bytes(model, scheme)
        yield Figure(origin="configuration", bytes=size, source=scheme.source or "parameters x bytes of their format")
