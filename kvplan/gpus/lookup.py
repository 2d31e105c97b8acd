"""What `--gpu` means: names, counts, instance types, sizes, `auto`."""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import NamedTuple

from kvplan.catalogue import GPUS, Entry, normalise
from kvplan.errors import KvplanError, SettingError, UnknownGpuError
from kvplan.gpus.instances import find_instance, instance_types, spelling
from kvplan.gpus.partition import PROFILE, mig_slice, share_of
from kvplan.gpus.spec import GpuSpec, configurations, nameless, read_gpu
from kvplan.units import GIB, MIB, TIB, format_bytes, parse_size

_LONGEST_NAME = 100
_MOST_GPUS = 100_000
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([kmgt](?:i?b)?)", re.IGNORECASE)
_COUNT_FIRST = re.compile(r"([0-9]{1,9})\s*[x×*]\s*(.+)", re.IGNORECASE)  # noqa: RUF001  people paste the real sign
_COUNT_LAST = re.compile(r"(.+?)\s*:\s*([0-9]{1,9})")
_SLICE = re.compile(rf"(.+?)[\s:_-]*mig[\s:_-]*({PROFILE})", re.IGNORECASE)
_TRAILING_SIZE = re.compile(r"(.+?)[\s_-]+([0-9]{1,4})\s*g(?:i?b)?", re.IGNORECASE)
_MAKERS = re.compile(r"^(?:nvidia|geforce|tesla|amd|radeon|instinct|intel|google|aws)+(?=.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuGroup:
    """The GPUs a plan is for, all alike.

    Attributes:
        gpu: one of them.
        count: how many.
        origin: where the answer comes from: a spec file, an instance type, a size, a tool of this machine.
        assumptions: what was assumed, one sentence each.

    """

    gpu: GpuSpec
    count: int
    origin: str
    assumptions: tuple[str, ...]


class SharedName(NamedTuple):
    """A name that several GPUs go by. `gpu`: the one it means, None where it is refused; `among`: the choices."""

    gpu: str | None
    among: tuple[str, ...]
    why: str


def find_gpu(text: str) -> GpuGroup:
    """Return the GPUs that a text names.

    Args:
        text: a catalogue name in any usual spelling (`rtx4090`, `RTX 4090`, `NVIDIA H100 80GB HBM3`), a MIG slice
            of it (`a100-80gb mig-3g.40gb`), a cloud's instance type (`p5.48xlarge`), a size (`24GiB`: a nameless GPU
            of exactly that driver's and torch's total), any of these with a count (`4xh100`, `8 x H100`, `H100:8`),
            or `auto`: the GPUs in this machine.

    Raises:
        UnknownGpuError: no such name, or one that GPUs of different sizes share; carries the nearest.
        SettingError: a count or a size that cannot be meant.

    """
    name = text.strip()
    if name.lower() == "auto":
        from kvplan.gpus.detect import detect_gpus  # noqa: PLC0415  runs programs: only when it is asked for

        return detect_gpus()
    if not name:
        raise UnknownGpuError(
            "No GPU is named.", hint="`kvplan gpus` lists the names; a size (24GiB) or auto works too."
        )
    if len(name) > _LONGEST_NAME:
        raise UnknownGpuError(f"No GPU is called {name[:40]!r}….", hint="`kvplan gpus` lists the names.")
    return _find(name)


@lru_cache(maxsize=1024)
def _find(name: str) -> GpuGroup:
    if match := _SIZE.fullmatch(name):
        return _of_size(name, match)
    # A name may hold a colon or an x itself, so the whole comes first.
    if group := _named(name):
        return group
    for pattern, count_group, name_group in ((_COUNT_FIRST, 1, 2), (_COUNT_LAST, 2, 1)):
        if (match := pattern.fullmatch(name)) and not pattern.fullmatch(match[name_group]):
            count, rest = int(match[count_group]), match[name_group].strip()
            if rest.lower() == "auto":
                raise SettingError(f"{name!r}: auto counts the GPUs itself.", hint="Write --gpu auto, or 4xh100.")
            if not 1 <= count <= _MOST_GPUS:
                raise SettingError(f"{name!r}: {count} is not a number of GPUs.", hint="Write it as 4xh100.")
            return _times(_find(rest), count, name)
    raise _unknown(name)


def shared_name(name: str) -> SharedName | None:
    """Return what a name that several GPUs go by means (`gpu_specs/names/shared.yaml`), or None."""
    line = _shared_lines().get(normalise(name))
    if line is None:
        return None
    import yaml  # noqa: PLC0415  40 ms that a size or `auto` does not need

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    (row,) = yaml.load(line, loader)  # noqa: S506  both loaders are the safe ones
    return SharedName(gpu=row.get("gpu"), among=tuple(row["among"]), why=row["why"])


def candidates(name: str) -> tuple[Entry, ...]:
    """Return the catalogue entries that a name may mean: several where GPUs share it, none where it is unknown."""
    for spelled in (name, _without_makers(name)):
        if shared := shared_name(spelled):
            return tuple(GPUS.entries[gpu] for gpu in shared.among)
        if entry := GPUS.find(spelled):
            return (entry,)
    return ()


def _named(name: str) -> GpuGroup | None:
    """Return one GPU by its name, a slice or share of it, or the GPUs of an instance type; None for an unknown name."""
    if match := _SLICE.fullmatch(name):
        whole = _named(match[1])
        if whole is None:
            return None
        part = mig_slice(whole.gpu, match[2].lower())
        # What the whole's totals rest on is said of the slice's.
        assumed = (f"The slice's {format_bytes(part.driver_bytes)}: {part.driver_origin}.",)
        return replace(whole, gpu=part, assumptions=assumed)
    for spelled in (name, _without_makers(name)):
        # A shared name first: `h100` is also a file. With the maker first: `nvidia-tesla-a100` is GKE's 40 GB one.
        if shared := shared_name(spelled):
            return _of_shared(name, shared)
        if entry := GPUS.find(spelled):
            return _of_entry(entry)
    if instance := find_instance(name):
        group = _of_entry(GPUS.entries[instance.gpu_id])
        note = (f"{instance.type}: {instance.note}.",) if instance.note else ()
        gpu, assumptions = group.gpu, group.assumptions
        if instance.parts > 1:
            gpu = share_of(gpu, instance.parts)
            assumptions = (f"{instance.type} has 1/{instance.parts} of a GPU: {format_bytes(gpu.driver_bytes)}.",)
        origin = f"instance type {instance.type} ({instance.provider}: {instance.source})"
        return GpuGroup(gpu=gpu, count=instance.count, origin=origin, assumptions=(*assumptions, *note))
    match = _TRAILING_SIZE.fullmatch(name)
    return _sized(match[1], int(match[2])) if match else None


def _sized(name: str, size: int) -> GpuGroup | None:
    """Return the GPU of a name that ends in its size: `rtx-4090-24gb`, `M3 Max 64GB`."""
    entries = candidates(name)
    for entry in entries:
        if size in (known := configurations(entry)):
            return _of_entry(entry, size if len(known) > 1 else None)
    if not entries:
        return None
    sizes = sorted({size for entry in entries for size in configurations(entry)})
    raise UnknownGpuError(
        f"The {name.strip()} is not known with {size} GB, but with {_either([f'{each:g}' for each in sizes])} GB.",
        nearest=[entry.id for entry in entries],
        hint=f"Give the memory of a board that the catalogue does not have as a size: --gpu {size}GiB",
    )


def _of_shared(name: str, shared: SharedName) -> GpuGroup:
    if shared.gpu is None:
        raise UnknownGpuError(
            f"{name!r} is not one GPU: {shared.why}.",
            nearest=shared.among,
            hint=f"Name {_either(shared.among)}, or give the size.",
        )
    group = _of_entry(GPUS.entries[shared.gpu])
    others = [gpu for gpu in shared.among if gpu != shared.gpu]
    note = f"{name!r} is taken as {group.gpu.name}: {shared.why}"
    note += f" (the others: {', '.join(others)})." if others else "."
    return replace(group, assumptions=(note, *group.assumptions))


def _of_entry(entry: Entry, configuration_gb: int | None = None) -> GpuGroup:
    gpu = read_gpu(entry, configuration_gb=configuration_gb)
    return GpuGroup(gpu=gpu, count=1, origin=f"gpu_specs/{entry.path.name}", assumptions=assumptions_of(gpu, entry))


def assumptions_of(gpu: GpuSpec, entry: Entry) -> tuple[str, ...]:
    """Return what is assumed of a GPU's memory when it is named and not read."""
    said = []
    if gpu.unified and len(configurations(entry)) > 1 and gpu.id == entry.id:
        said.append(f"The {gpu.name} is taken with {gpu.marketing_gb:g} GB; name another as {gpu.id}-64gb.")
    if gpu.unified:
        said.append(
            f"The CPU shares the {gpu.name}'s memory; {format_bytes(gpu.driver_bytes)} are the GPU's:"
            f" {gpu.driver_origin}."
        )
    elif not gpu.driver_is_measured:
        said.append(f"The driver's total of the {gpu.name}, {format_bytes(gpu.driver_bytes)}, is {gpu.driver_origin}.")
    if not gpu.torch_bytes_is_measured and not gpu.unified:
        said.append(
            f"torch's total, {format_bytes(gpu.torch_bytes)}, is an estimate that errs low (at most"
            f" {format_bytes(gpu.torch_high_bytes)}): {gpu.torch_origin}."
        )
    return tuple(said)


def _of_size(name: str, match: re.Match[str]) -> GpuGroup:
    size = parse_size(name)
    if not 256 * MIB <= size <= 16 * TIB:
        raise SettingError(f"{name!r} is not the memory of a GPU.", hint="Write it as 24GiB or 80GB.")
    gpu = nameless(name, driver_bytes=size, torch_bytes=size, origin="the size given")
    said = f"A GPU of which only its {format_bytes(size)} are known: the driver's total and torch's."
    if match[2].lower() == "gb":
        said += f" GB is decimal: {match[1]}GiB would be {format_bytes(float(match[1]) * GIB)}."
    return GpuGroup(gpu=gpu, count=1, origin="the size given", assumptions=(said,))


def _times(group: GpuGroup, count: int, text: str) -> GpuGroup:
    if group.count * count > _MOST_GPUS:
        raise SettingError(f"{text!r}: {group.count * count} is not a number of GPUs.", hint="Write it as 4xh100.")
    note = (f"{text!r}: {count} machines with {group.count} GPUs each.",) if group.count > 1 and count > 1 else ()
    return replace(group, count=group.count * count, assumptions=(*group.assumptions, *note))


def _unknown(name: str) -> KvplanError:
    if re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]+)?", name):
        return UnknownGpuError(
            f"No GPU is called {name!r}.", hint=f"For a size write {name}GiB; `kvplan gpus` lists the names."
        )
    match = _COUNT_FIRST.fullmatch(name) or _COUNT_LAST.fullmatch(name)
    near = list(GPUS.nearest(name))
    if re.search(r"\.[a-z0-9]*(large|metal)|^standard|^[a-z][0-9][a-z]?-", name.lower()) and not match:
        import difflib  # noqa: PLC0415  only for the words of an error

        known = {spelling(known): known for known in instance_types()}
        near = [known[close] for close in difflib.get_close_matches(spelling(name), known, n=3, cutoff=0.6)] or near
    meant = f"Did you mean {_either(near)}? " if near else ""
    return UnknownGpuError(
        f"No GPU or instance type is called {name!r}.", nearest=near, hint=f"{meant}`kvplan gpus` lists the names."
    )


def _either(names: tuple[str, ...] | list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _without_makers(name: str) -> str:
    return _MAKERS.sub("", normalise(name))


@cache
def _shared_lines() -> dict[str, str]:
    """Return the line of each shared name, found by reading text."""
    lines: dict[str, str] = {}
    for line in (GPUS.root / "names" / "shared.yaml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"- \{names: \[([^\]]+)\]", line):
            lines |= {normalise(name): line for name in match[1].split(",")}
    return lines
