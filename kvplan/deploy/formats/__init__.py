"""The formats, one file each. The folder is the registry: every module holds `read(file)`, which yields workloads.

`read` looks for itself whether a file holds anything of its format and yields nothing where it does not; two formats never
claim the same block. It never opens a file but through `file.beside`, and never fails on odd input: what it cannot read it
leaves out or marks as `half` or `templated`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache

from kvplan.deploy import fallback
from kvplan.deploy.file import File
from kvplan.deploy.workload import Workload

Reader = Callable[[File], Iterator[Workload]]


@cache
def readers() -> tuple[tuple[str, Reader], ...]:
    """Return every format's name and reader, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return tuple((name, importlib.import_module(f"{__name__}.{name}").read) for name in names)


def workloads(file: File) -> list[Workload]:
    """Return what a file starts, in the order it stands there."""
    found = [workload for _, read in readers() for workload in read(file)]
    found += fallback.read(file, found)
    return sorted(found, key=lambda workload: workload.place.start)
