"""Instance types of the clouds: `p5.48xlarge` is eight H100. One file per provider in `gpu_specs/instances/`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kvplan.catalogue import GPUS
from kvplan.errors import SpecError, UnknownGpuError


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that a cloud rents out.

    Attributes:
        type: its name, as the provider spells it.
        provider: AWS EC2, Google Cloud or Azure.
        gpu_id: an id of `gpu_specs/`.
        count: GPUs of the machine.
        parts: 1 for whole GPUs; 8 where the one "GPU" is an eighth of one.
        source: where the row comes from.
        note: what a reader should know.

    """

    type: str
    provider: str
    gpu_id: str
    count: int
    parts: int
    source: str
    note: str | None


def spelling(name: str) -> str:
    """Return the spelling under which instance types are compared: without `Standard_`, SageMaker's `ml.` and case."""
    return re.sub(r"^(ml\.|standard[_ ])", "", name.strip().lower()).replace(" ", "_")


def find_instance(name: str) -> Instance | None:
    """Return the instance type of this name, or None.

    Raises:
        UnknownGpuError: a known type whose GPU kvplan has no figures of.

    """
    place = _lines().get(spelling(name))
    if place is None:
        return None
    path, line = place
    text = path.read_text(encoding="utf-8")
    head = _load(text.partition("\ninstances:")[0], path)
    ((instance_type, row),) = _load(line, path).items()
    unsupported = head.get("unsupported", {})
    if row["gpu"] in unsupported:
        raise UnknownGpuError(
            f"{instance_type} has a GPU that kvplan has no figures of. {unsupported[row['gpu']]}.",
            hint="Give its memory instead: --gpu 8GiB",
        )
    count, _, parts = str(row["count"]).partition("/")
    return Instance(
        type=instance_type,
        provider=head["provider"],
        gpu_id=row["gpu"],
        count=int(count),
        parts=int(parts or 1),
        source=head["sources"][row["source"]],
        note=row.get("note"),
    )


def instance_types() -> tuple[str, ...]:
    """Return every instance type, as its provider spells it, those without a supported GPU included."""
    return tuple(line.partition(":")[0].strip() for _, line in _lines().values())


@cache
def _lines() -> dict[str, tuple[Path, str]]:
    """Return the line of each instance type, found by reading text: parsing the files would cost more than a plan."""
    return {spelling(line.partition(":")[0]): (path, line) for path, line in _read()}


def _read() -> Iterator[tuple[Path, str]]:
    for path in sorted((GPUS.root / "instances").glob("*.yaml")):
        rows = path.read_text(encoding="utf-8").partition("\ninstances:\n")[2]
        for line in rows.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield path, line


def _load(text: str, path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  not needed where no instance type is named

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(text, loader)  # noqa: S506  both loaders are the safe ones
    except yaml.YAMLError as error:
        raise SpecError(f"instances/{path.name} is not readable YAML: {error}") from error
    if not isinstance(content, dict):
        raise SpecError(f"instances/{path.name} holds no mapping.")
    return content
